"""`harness data ...`: make, check and prepare data folders."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.runtime.progress import Bar
from harness.runtime.terminal import tabulate
from zoo.api import DetectorSpec
from zoo.errors import UserError
from zoo.registry.tracks import load_plugins
from zoo.text import visible


def demo(folder: Path, seed: int, videos: str, frames: int, jobs: int | None) -> None:
    """Write the synthetic demo set."""
    from harness.data.synthetic import make_demo

    try:
        train, val, test = (int(part) for part in videos.split(","))
    except ValueError:
        raise UserError("demo-counts-invalid", videos=videos) from None
    make_demo(folder, seed=seed, videos=(train, val, test), frames=frames, jobs=jobs)
    print(
        f"{train} train, {val} val and {test} test videos; if a train or val video shows two people, each of them "
        "counts as a video of a run"
    )
    print(f"{folder}: the synthetic demo set, seed {seed}; try `harness run --data {folder} --encoders face,context`")


def _detector(name: str, plugins: Sequence[Path]) -> DetectorSpec:
    spec = load_plugins([str(p) for p in plugins]).get("detectors", name)
    assert isinstance(spec, DetectorSpec)
    return spec


def crop(
    raw: Path,
    out: Path,
    detector: str,
    jobs: int | None,
    *,
    link: bool,
    plugins: Sequence[Path],
    sets: Sequence[str] = (),
) -> None:
    """Make a data folder from raw videos. ``sets``: ``detector.KEY=VALUE``."""
    from harness.data.preprocessing.crop import crop_folder
    from harness.data.tracking.detection import detector_settings

    settings = detector_settings(sets)
    report = crop_folder(raw, out, detector=_detector(detector, plugins), jobs=jobs, link=link, options=settings)
    print(report)
    _failures(report.failures)


def boxes(folder: Path, detector: str, jobs: int | None, plugins: Sequence[Path], sets: Sequence[str] = ()) -> None:
    """Find the person boxes of a data folder. ``sets``: ``detector.KEY=VALUE``."""
    from harness.data.affwild2.raw_video_names import raw_people
    from harness.data.tracking.detection import detector_settings
    from harness.data.tracking.person_boxes import FOLDER, all_posed, make_boxes

    work, settings = raw_people(folder), detector_settings(sets)
    failures = make_boxes(folder, work, _detector(detector, plugins), jobs, options=settings)
    print(f"{folder / FOLDER}: boxes of {len(work) - len(failures)} of {len(work)} videos")
    names = [name for given, _ in work for name in ((given,) if isinstance(given, str) else given)]
    if (posed := all_posed(folder / FOLDER / f"{name}.parquet" for name in names)) is not None:
        print(posed)
    _failures(failures)


def _failures(failures: Sequence[Any]) -> None:
    for failure in failures:
        print(visible(f"failed: {failure}"), file=sys.stderr)
    if failures:
        raise UserError("videos-some-failed", count=len(failures))


def doctor(folder: Path, edition: str | None, track: str | None, plugins: Sequence[Path]) -> None:
    """Compare a folder with the published counts; exit with code 1 if something must be done."""
    from harness.data.doctor.report import diagnose, render

    if not folder.is_dir():
        raise UserError("folder-missing", folder=folder)
    report = diagnose(folder, load_plugins([str(p) for p in plugins]), edition=edition, track=track)
    print(render(report), end="")
    if not report.clean:
        sys.exit(1)


def index(folder: Path, edition: str | None, track: str | None, plugins: Sequence[Path], *, fresh: bool) -> None:
    """Index a folder for each track that its annotations fit, and print the counts of each."""
    from harness.data.affwild2.cached_files import forget, index_folder
    from harness.data.affwild2.folder_layout import survey
    from harness.data.doctor.counts import COLUMNS, count
    from harness.data.doctor.report import choose_tracks, no_track

    layout, registry = survey(folder), load_plugins([str(p) for p in plugins])
    if fresh:
        forget(folder)
    chosen = choose_tracks(layout, registry, edition, track)
    if not chosen:
        raise UserError("data-no-track", folder=folder, no_track=no_track(layout, registry))
    rows, notes, failures = [], [], []
    for spec, one in Bar(chosen, desc="index", unit="track"):
        try:
            row, said = count(folder, spec, one)
            rows.append(row)
            notes += [f"{one.name}: {note}" for note in said]
        except UserError as error:
            failures.append(f"{one.name}: {error}")
    if rows:
        print(tabulate(rows, headers=COLUMNS, intfmt=",", colalign=("left", "left", "left")))
        notes += [*layout.left_out_notes(), *_video_notes(layout.videos.values())]
        print("".join(f"- {visible(note)}\n" for note in notes), end="")
        if index_folder(folder).is_dir():  # otherwise a note says why
            print(f"kept in {index_folder(folder)}; only changed files are read again")
    if failures:
        raise UserError("extract-failed", message="\n".join(failures))


def _video_notes(files: Iterable[Sequence[Path]]) -> list[str]:
    """Return the notes of the raw videos that a user should know.

    Each video is read once, and the result is kept. `harness data doctor` reports videos that cannot be read.
    """
    from harness.data.decoding.probe_cache import known_video

    notes = []
    videos = [path for paths in files for path in paths]
    for path in Bar(videos, desc="raw videos", unit="video"):
        with suppress(UserError):
            notes += [f"{path.name}: {note}" for note in known_video(path).notes]
    return notes


def accept(
    folder: Path,
    out: Path,
    edition: str | None,
    track: str | None,
    device: str,
    jobs: int | None,
    plugins: Sequence[Path],
) -> None:
    """Try everything on a folder; exit with code 1 if a step failed."""
    from harness.analysis.acceptance import acceptance

    registry = load_plugins([str(p) for p in plugins])
    good = acceptance(folder, registry, out, edition=edition, track=track, device=device, jobs=jobs)
    print(f"written: {out}; it holds no names: please read it and share it with the project")
    if not good:
        sys.exit(1)


def extract(flags: Mapping[str, Any], sets: Sequence[str], kind: str, jobs: int | None) -> None:
    """Fill the feature cache, in this process (which uses all cores), with ``jobs`` processes or on a cluster."""
    from harness.config.schema import load_usual
    from harness.features.extraction import extract as fill
    from harness.features.frozen_encoder import frozen_slots
    from harness.runs.job import make_job
    from harness.runtime.device import pick_device

    job = make_job(load_usual(None, flags, sets))
    slots = frozen_slots(job.plan.slots, job.config.features, pick_device(job.config.device))
    if not slots:
        raise UserError("extract-nothing")
    if kind == "local" and jobs is None:
        store, failures = fill(job.index, slots)
        computed, damaged = store.computed, store.damaged
    else:
        from harness.runs.extraction_workers import extract_with_workers
        from harness.runtime.launchers import devices_of, launcher

        with launcher(kind, jobs, devices=devices_of(job.config.device)) as launch:
            computed, damaged, failures = extract_with_workers(job.config, job.index, launch)
    print(f"{len(job.index.videos)} videos, {len(slots)} slots: {computed} computed, the rest were in the cache")
    if damaged:
        print(f"{damaged} entries of the cache were damaged, and were computed again")
    _failures([f"{failure.item}: {failure}" for failure in failures])
