"""`harness evaluate --drop each` and `--noise`: a run's scores with each stream withheld, or with noise.

Noise: see harness.evaluation.input_noise. Post-processors are fitted, on other groups, to the undisturbed predictions,
because the disturbance could not have been foreseen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from harness.batching.clips import ClipData
from harness.evaluation.input_noise import InputStatistics, Noisy
from harness.evaluation.postprocessing import apply_folds, fit_folds
from harness.evaluation.scoring import score_block
from harness.runs.job import Job
from harness.runs.preparation import Prepared, predict_split, prepare
from harness.runs.start import read
from harness.runtime.terminal import tabulate
from leaderboards.blocks import ScoreBlock
from leaderboards.intervals import paired
from leaderboards.record import canonical, replace_file
from leaderboards.render.markdown import cell
from zoo.api import VideoAnswers
from zoo.errors import UserError
from zoo.model.model import Model
from zoo.text import visible

EACH = "each"
SCHEMA = 1
HEADERS = ("", "score", "95 % interval", "difference", "95 % interval", "p", "post-processed", "difference")


class Scores(TypedDict):
    """One kind of score under a condition; ``difference`` from the undisturbed score, paired over groups."""

    main: float
    low: float | None
    high: float | None
    leave_one_out: list[float]
    parts: dict[str, float]
    difference: NotRequired[dict[str, float]]


class Row(TypedDict):
    """One condition as it is written to JSON."""

    name: str
    withheld: list[str]
    noise: float
    raw: Scores
    post: Scores
    groups: list[str]
    frames: int
    videos: int


@dataclass(frozen=True)
class Condition:
    """A change to a run's input: slots withheld, noise in standard deviations of the features."""

    name: str
    withheld: tuple[str, ...] = ()
    noise: float = 0.0


def conditions(slots: Sequence[str], each: bool, levels: Sequence[float]) -> list[Condition]:
    """Return the conditions: nothing withheld, then slots withheld, then noise.

    ``each``: every stream withheld, every slot of a stream with several slots, and every slot alone (identical
    conditions share one row).
    """
    found: dict[frozenset[str], list[str]] = {}
    if each and len(slots) < 2:
        raise UserError("drop-one-slot", each=EACH, first=slots[0])
    streams: dict[str, list[str]] = {}
    for slot in slots:
        streams.setdefault(slot.partition(".")[0], []).append(slot)
    for stream, own in streams.items():
        found.setdefault(frozenset(own), []).append(f"without {stream}")
    for slot in [slot for own in streams.values() if len(own) > 1 for slot in own]:
        found.setdefault(frozenset([slot]), []).append(f"without slot {slot}")
    for slot in slots:
        found.setdefault(frozenset(slots) - {slot}, []).append(f"{slot} alone")
    dropped = [
        Condition(", ".join(names), tuple(slot for slot in slots if slot in withheld))
        for withheld, names in found.items()
        if len(withheld) < len(slots)
    ]
    return [
        Condition("nothing withheld"),
        *(dropped if each else ()),
        *(Condition(f"noise {level:g}", noise=level) for level in levels),
    ]


def prepared_split(job: Job, folder: Path) -> Prepared:
    """Return the run's model and its reported videos; raise UserError if none has labels."""
    if not (videos := job.index.split("val")):
        raise UserError("evaluate-no-validation", root=job.index.root)
    if not any((video.labels == video.labels).any() for video in videos):
        raise UserError("evaluate-no-labels", root=job.index.root, name=job.track.name)
    return prepare(job, weights=folder / "weights.safetensors")


def robustness(job: Job, folder: Path, split: str, *, each: bool, levels: Sequence[float]) -> None:
    """Score every condition, print the table and write it to ``folder``/robustness as JSON and Markdown."""
    slots = [slot.name for slot in job.plan.slots]
    wanted = conditions(slots, each, levels)
    prepared = prepared_split(job, folder)
    watched = InputStatistics(prepared.model)
    clean = predict_split(job, replace(prepared, model=cast(Model, watched)), "val")
    chains = fit_folds(job.plan.post, job.track, clean)
    frames = {video.name: video.n_frames for video in prepared.splits["val"].videos}
    rows: list[Row] = []
    for condition in wanted:
        videos = clean
        if condition.noise:
            noisy = Noisy(prepared.model, watched.standard_deviations(), condition.noise, frames)
            videos = predict_split(job, replace(prepared, model=cast(Model, noisy)), "val")
        elif condition.withheld:
            with withheld(prepared.splits["val"], condition.withheld):
                videos = predict_split(job, prepared, "val")
        rows.append(_row(job, condition, videos, apply_folds(chains, videos), rows[0] if rows else None))
    name = "-".join([*(["drop-each"] if each else []), *(["noise"] if levels else []), split])
    _write(job, folder, name, rows)


@contextmanager
def withheld(data: ClipData, slots: Sequence[str]) -> Iterator[None]:
    """Mark some slots as absent everywhere while the context is active."""
    before = [dict(masks) for masks in data.present], data.seen
    data.withhold(slots)
    try:
        yield
    finally:
        data.present, data.seen = before


def _row(
    job: Job, condition: Condition, raw: Sequence[VideoAnswers], post: Sequence[VideoAnswers], base: Row | None
) -> Row:
    """Return the row of one condition: blocks of raw and processed predictions, with differences from ``base``."""
    blocks = [score_block(job.track, videos) or ScoreBlock() for videos in (raw, post)]
    return {
        "name": condition.name,
        "withheld": list(condition.withheld),
        "noise": condition.noise,
        "raw": _scores(blocks[0], base and base["raw"], job.track.score_range),
        "post": _scores(blocks[1], base and base["post"], job.track.score_range),
        "groups": blocks[1]["groups"],
        "frames": blocks[1]["frames"],
        "videos": blocks[1]["videos"],
    }


def _scores(block: ScoreBlock, base: Scores | None, score_range: tuple[float, float]) -> Scores:
    found: Scores = {
        "main": block["main"],
        "low": block["low"],
        "high": block["high"],
        "leave_one_out": block["leave_one_out"],
        "parts": block["parts"],
    }
    if base is not None:
        rest, usual = block["leave_one_out"], base["leave_one_out"]
        difference = paired(block["main"], rest, base["main"], usual, score_range=score_range)
        found["difference"] = vars(difference)
    return found


def _write(job: Job, folder: Path, name: str, rows: Sequence[Row]) -> None:
    record = folder / "record.json"
    content = {
        "schema": SCHEMA,
        "run": folder.name,
        "result_sha256": read(record).result_sha256 if record.is_file() else None,
        "edition": job.edition.name,
        "track": job.track.name,
        "metric": job.track.metric,
        "split": job.split,
        "data": job.data_name,
        "fingerprint": (job.whole or job.index).fingerprint(),
        "conditions": rows,
    }
    groups = len(rows[0]["groups"])
    title = visible(
        f"{job.edition.name} {job.track.name}, {job.track.metric} on {job.split} of {job.data_name}, {folder.name}: "
        f"{rows[0]['videos']} videos, {groups} groups, {rows[0]['frames']} frames"
    )
    notes = [
        "Differences from the first row, paired over groups of videos."
        + (" One group says nothing about others." if groups < 2 else ""),
        "Post-processing is fitted, on other groups, to the predictions with nothing withheld.",
    ]
    if any(row["noise"] for row in rows):
        notes.insert(
            1, "Noise: Gaussian on each slot's adapted features, in their standard deviations over these videos."
        )
    if job.synthetic:
        notes.append("Synthetic demo set: these scores say nothing about people.")
    table = [_texts(row) for row in rows]
    grid = tabulate(table, HEADERS, tablefmt="pipe", disable_numparse=True)
    stem = folder / "robustness" / name
    text = "\n\n".join([f"# Robustness\n\n{cell(title)}", grid, "\n".join(notes)]) + "\n"
    replace_file(Path(f"{stem}.json"), f"{json.dumps(json.loads(canonical(content)), indent=1)}\n".encode())
    replace_file(Path(f"{stem}.md"), text.encode())
    print("\n".join([title, tabulate(table, HEADERS, disable_numparse=True), *notes, f"written: {stem}.json, .md"]))


def _texts(row: Row) -> list[str]:
    raw, post = row["raw"], row["post"]
    difference, post_difference = raw.get("difference"), post.get("difference")
    known = difference if difference is not None and difference["groups"] > 1 else None
    return [
        row["name"],
        f"{raw['main']:.4f}",
        f"[{raw['low']:.4f}, {raw['high']:.4f}]",
        f"{difference['value']:+.4f}" if difference else "",
        f"[{known['low']:+.4f}, {known['high']:+.4f}]" if known else "",
        f"{known['p']:.3f}" if known else "",
        f"{post['main']:.4f}",
        f"{post_difference['value']:+.4f}" if post_difference else "",
    ]
