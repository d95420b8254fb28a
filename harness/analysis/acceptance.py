"""``harness data acceptance``: try every step of this program on a data folder and report without names.

The report is made to be shared by people whose data nobody else may see: versions, counts, our numbers next to
published ones, and codes of errors. It holds no path, no name of a video and no picture.
"""

from __future__ import annotations

import platform
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import numpy as np

from harness.config.schema import load_config
from harness.data.affwild2.build import build_index
from harness.data.affwild2.folder_layout import Layout, survey
from harness.data.decoding.audio import read_sound
from harness.data.decoding.video import probe, read_frames
from harness.data.doctor.report import choose_tracks, diagnose
from harness.data.index.index import Index, Split
from harness.io.atomic import atomic
from harness.io.scratch import scratch
from harness.runs.identity import VERSIONED
from harness.runs.job import make_job
from harness.runs.multi_run import write_config
from harness.runs.run import run
from harness.runtime.launchers import Failure
from harness.runtime.machine import cores
from harness.runtime.process_pool import Tick, run_jobs
from harness.runtime.terminal import tabulate
from harness.submissions.submission import submission_obstacle, submit_videos
from zoo.api import EditionSpec, TrackSpec, VideoAnswers
from zoo.errors import UserError
from zoo.libraries import version
from zoo.registry.registry import Registry
from zoo.registry.tracks import all_editions
from zoo.text import visible

SAMPLE: dict[Split, int] = {"train": 8, "val": 4}
"""Videos of each split that are extracted, and used for a short training."""

EPOCHS = 2
RATE = 16_000  # Hz at which sound is read
LATE = 0.1  # seconds from which sound counts as beginning late or ending early
HEAD = """\
Acceptance of a data folder
===========================
Made by `harness data acceptance`. It holds no name, path or picture; read it before you share it."""

Track = tuple[EditionSpec, TrackSpec]


@dataclass(frozen=True)
class Media:
    """Properties of one video file.

    ``decoded``: frames that were read, of the ``frames`` on its time line; ``gap``: the longest time between two of
    them, in medians; ``sound``: seconds (from, to), None without sound.
    """

    kind: str
    frames: int
    decoded: int
    rate: float
    gap: float
    length: float
    sound: tuple[float, float] | None


def acceptance(
    root: Path,
    registry: Registry,
    out: Path,
    *,
    edition: str | None = None,
    track: str | None = None,
    device: str = "auto",
    jobs: int | None = None,
) -> bool:
    """Try every step on a data folder, write the report ``out``, and return True if all steps succeeded.

    A failed step is reported by the code of its error; the error's sentence contains names, and goes to standard error.
    Raise UserError only if there is no such folder, or the report cannot be written.
    """
    layout = survey(root)
    tracks = choose_tracks(layout, registry, edition, track)
    steps: list[tuple[str, Callable[[], str]]] = [
        ("Versions", _versions),
        ("Doctor: published numbers next to those found", lambda: _doctor(root, registry, edition, track)),
        ("Index", lambda: _indexes(root, tracks)),
        ("Videos: time lines and sound", lambda: _videos(layout, jobs)),
    ]
    for number, (spec, one, path) in enumerate(_lists(layout, tracks), start=1):
        steps.append((f"Submission by list {number}: {one.name}", partial(_list, layout, spec, one, path, registry)))
    for spec, one in tracks[:1]:
        title = f"Extraction and a short training: {one.name}"
        steps.append((title, partial(_training, root, spec, one, device)))
    parts, good = [HEAD], bool(tracks)
    for title, step in steps:
        print(f"{title} ...", flush=True)
        try:
            text = step()
        except UserError as error:
            good, text = False, f"FAILED: {error.code}"
            print(visible(f"{title}: {error}"), file=sys.stderr)
        except Exception as error:
            good, text = False, f"FAILED: {type(error).__name__}, which is a fault of this program"
            print(visible(f"{title}: {error}"), file=sys.stderr)
        parts.append(f"{title}\n{'-' * len(title)}\n{text}")
    parts.append("Every step went through." if good else "Not every step went through: see above.")
    content = "\n\n".join(parts) + "\n"
    atomic(out, lambda part: part.write_text(content, encoding="utf-8"))
    return good


def _versions() -> str:
    rows = [(name, version(name) or "not installed") for name in (*VERSIONED, "opencv-python", "av", "pyarrow")]
    rows += [("python", platform.python_version()), ("system", f"{platform.system()} {platform.machine()}")]
    return tabulate(rows, tablefmt="plain", disable_numparse=True)


def _doctor(root: Path, registry: Registry, edition: str | None, track: str | None) -> str:
    report = diagnose(root, registry, edition=edition, track=track)
    cells = [(row.edition, row.track, row.what, row.official, row.found, row.verdict, row.cause) for row in report.rows]
    headers = ("edition", "track", "what", "official", "found", "verdict", "likely cause")
    kinds = Counter(row.verdict.partition(" by")[0] for row in report.rows)
    said = ", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items()))
    return (
        f"{tabulate(cells, headers=headers, disable_numparse=True)}\n"
        f"{said}; notes: {len(report.notes)}, problems: {len(report.problems)} (`harness data doctor` shows them)"
    )


def _indexes(root: Path, tracks: Sequence[Track]) -> str:
    rows = []
    for spec, one in tracks:
        try:
            rows.append(_counts(build_index(root, spec, one)))
        except UserError as error:
            rows.append([spec.name, one.name, f"FAILED: {error.code}"])
            print(visible(f"index of {one.name}: {error}"), file=sys.stderr)
    if not rows:
        raise UserError("data-no-track", folder=root, no_track="no annotations that an edition knows")
    headers = ("edition", "track", "train", "val", "test", "groups", "rows", "labelled", "with crop", "fingerprint")
    return tabulate(rows, headers=headers, disable_numparse=True)


def _counts(index: Index) -> list[str]:
    splits = [len(index.split(split)) for split in ("train", "val", "test")]
    labelled = sum(int((~np.isnan(video.labels).all(axis=1)).sum()) for video in index.videos)
    rows = sum(int(video.rows.sum()) for video in index.videos)
    crops = sum(int(video.crop_frames.sum()) for video in index.videos)
    numbers = (*splits, len({video.group for video in index.videos}), rows, labelled, crops)
    return [index.edition.name, index.track.name, *(f"{n:,}" for n in numbers), index.fingerprint()[:12]]


# --- videos -----------------------------------------------------------------------------------------------------------


def _videos(layout: Layout, jobs: int | None) -> str:
    paths = sorted({path.resolve() for files in layout.videos.values() for path in files})
    if not paths:
        return "no raw videos"
    sizes = [path.stat().st_size for path in paths]
    done = run_jobs(_examine, paths, paths, sizes, jobs=jobs or cores(), label="videos", unit="byte")
    outcomes = [found for _, found in done]
    media = [found for found in outcomes if isinstance(found, Media)]
    failed = [found for found in outcomes if isinstance(found, Failure)]
    for failure in failed:
        print(visible(f"video: {failure}"), file=sys.stderr)
    rows = list(_summary(media))
    rows.append(("files that could not be read", str(len(failed))))
    return tabulate(rows, tablefmt="plain", disable_numparse=True)


def _examine(path: Path, tick: Tick) -> Media:
    """Read all frames and all sound of a file."""
    info = probe(path)
    decoded = 0
    for _ in read_frames(path, threads=1):
        decoded += 1
        tick(0.9 * decoded / max(info.n_frames, decoded))
    steps = np.diff(info.times)
    usual = float(np.median(steps)) if len(steps) else 0.0
    sound = read_sound(path, RATE)
    heard = None if sound is None else (sound.start, sound.start + len(sound.samples) / RATE)
    gap = float(steps.max() / usual) if usual else 1.0
    rate = 1 / usual if usual else 0.0
    return Media(path.suffix.lower(), info.n_frames, decoded, rate, gap, float(info.times[-1]) + usual, heard)


def _summary(media: Sequence[Media]) -> Iterator[tuple[str, str]]:
    kinds = Counter(one.kind for one in media)
    yield "files read", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "0"
    if not media:
        return
    yield "frames on the time lines", f"{sum(one.frames for one in media):,}"
    yield "frames decoded", f"{sum(one.decoded for one in media):,}"
    yield "files where these differ", str(sum(one.frames != one.decoded for one in media))
    rates = [one.rate for one in media]
    yield "frames per second", f"{min(rates):.4g} to {max(rates):.4g}"
    yield "files with a gap of over two frames", str(sum(one.gap > 2.5 for one in media))
    heard = [(one, one.sound) for one in media if one.sound is not None]
    yield "files with sound", str(len(heard))
    yield f"sound begins over {LATE} s late", str(sum(start > LATE for _, (start, _) in heard))
    yield f"sound ends over {LATE} s early", str(sum(end < one.length - LATE for one, (_, end) in heard))
    yield "hours", f"{sum(one.length for one in media) / 3600:.2f}"


# --- submissions and training -----------------------------------------------------------------------------------------


def _lists(layout: Layout, tracks: Sequence[Track]) -> Iterator[tuple[EditionSpec, TrackSpec, Path]]:
    """Yield every test list whose name matches a pattern of a track."""
    for spec, one in tracks:
        patterns = [pattern.lower() for pattern in one.lists]
        for path in layout.texts:
            if any(fnmatch(path.name.lower(), pattern) for pattern in patterns):
                yield spec, one, path


def _list(layout: Layout, spec: EditionSpec, one: TrackSpec, path: Path, registry: Registry) -> str:
    """Submit random predictions, whose rows, order, format and ranges are those of a real submission."""
    index = build_index(layout.root, spec, one, test_list=path)
    if reason := submission_obstacle(index, all_editions(registry)):
        raise UserError("run-not-ready", message=reason)
    rng = np.random.default_rng(0)
    answers = [_random(one, video.name, video.group, video.n_frames, rng) for video in index.split("test")]
    with scratch("acceptance") as folder:
        made, notes = submit_videos(one, answers, index.test_list, folder / "submission", edition=spec.name)
    official = "rows and order of the list" if made["official"] else "not the list's rows"
    rows = f"{made['rows']:,} rows written and verified, {official}; notes: {len(notes)}"
    return f"random predictions for {len(answers)} videos: {rows}"


def _random(track: TrackSpec, name: str, group: str, n: int, rng: np.random.Generator) -> VideoAnswers:
    values = {}
    for answer in track.answers:
        if answer.kind == "class":
            values[answer.name] = rng.dirichlet(np.ones(len(answer.classes)), n)
        else:
            low, high = (0, 1) if answer.kind == "binary" else (answer.low, answer.high)
            values[answer.name] = rng.uniform(low, high, n)
    unknown = {answer.name: np.full(n, np.nan) for answer in track.answers}
    return VideoAnswers(name, group, values, unknown, {}, np.arange(n) / 25)


def _training(root: Path, spec: EditionSpec, one: TrackSpec, device: str) -> str:
    """Train a default combination for EPOCHS on the first videos of each split, with the streams that exist."""
    index = build_index(root, spec, one)
    crops, raw = any(v.crops for v in index.videos), any(v.video for v in index.videos)
    streams = ",".join([*(["face"] if crops else []), *(["audio"] if raw else [])])
    flags = {"data_dir": str(root), "encoders": streams, "track": one.name, "edition": spec.name, "device": device}
    job = make_job(load_config("default", flags, [f"train.epochs={EPOCHS}"]))
    sample = tuple(video for split, n in SAMPLE.items() for video in job.index.split(split)[:n])
    job = replace(job, index=replace(job.index, videos=sample, test_list=None), whole=None)
    with scratch("acceptance") as folder:
        write_config(job.config, folder)
        record = run(job, folder).record
    scores = record.result["scores"]
    shown = f"{record.result['metric']} {scores['raw']['main']:.4f}" if "raw" in scores else "nothing to score"
    videos = ", ".join(f"{sum(v.split == split for v in sample)} {split}" for split in SAMPLE)
    rates = record.circumstances.get("frames_per_second") or {}
    speed = "".join(f", {name} {rate:,.0f} frames/s" for name, rate in rates.items() if rate)
    return f"{streams} on {videos} videos, {EPOCHS} epochs: {shown} (a trial run, not a result){speed}"
