"""Differences of finished runs on the same videos, one score at a time, with intervals."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from leaderboards.blocks import Result, ScoreBlock
from leaderboards.intervals import SAME, Difference, paired
from leaderboards.record import Record, RecordError, read
from zoo.errors import UserError

KINDS = {"raw": "raw", "post": "post-processed"}
ALIKE = {"edition": "edition", "track": "track", "track_version": "track version", "split": "split"}


@dataclass(frozen=True)
class ComparedRun:
    """A run to compare. ``folder``: the run folder, which may hold predictions; None for a record by itself."""

    name: str
    folder: Path | None
    record: Record

    @property
    def result(self) -> Result:
        """The result of the run."""
        return self.record.result

    def block(self, kind: str) -> ScoreBlock | None:
        """Return a block of scores, or None."""
        return (self.result.get("scores") or {}).get(kind)


@dataclass(frozen=True)
class Statistic:
    """A score, and its values without each group of videos."""

    value: float
    without: tuple[float, ...]


@dataclass(frozen=True)
class Compared:
    """The difference of one score: a run's value minus the first run's."""

    what: str
    first: float
    other: float
    groups: tuple[str, ...]
    difference: Difference
    without: tuple[float, ...]  # the difference without each group


class DifferenceRow(TypedDict):
    """One score of two runs and the difference with its interval; ``figure``: which score."""

    run: str
    figure: str
    first: float
    other: float
    difference: float
    low: float
    high: float


def differences(paths: Sequence[Path], plugins: Sequence[Path] = ()) -> list[DifferenceRow]:
    """Compare all runs with the first; return rows of run, score, both values, the difference and its interval.

    Raises:
        UserError: The runs cannot be compared.
    """
    first, *others = comparable(paths, plugins)
    return [
        {
            "run": other.name,
            "figure": found.what.strip(),
            "first": found.first,
            "other": found.other,
            "difference": found.difference.value,
            "low": found.difference.low,
            "high": found.difference.high,
        }
        for other in others
        for found in all_compared(first, other, plugins)
    ]


def comparable(paths: Sequence[Path], plugins: Sequence[Path]) -> list[ComparedRun]:
    """Return the runs; raise UserError if the others cannot be compared with the first."""
    sides = _sides(paths) if paths else []
    if len(sides) < 2:
        raise UserError("compare-too-few")
    first, *others = sides
    for other in others:
        _check_alike(first, other)
    if plugins:
        from harness.runs.recorded_plugins import plugins_of

        plugins_of(plugins, {path: side.record for path, side in zip(paths, sides, strict=True)})
    return sides


def all_compared(first: ComparedRun, other: ComparedRun, plugins: Sequence[Path]) -> list[Compared]:
    """Return all scores of two runs; raise UserError if they have none in common."""
    compared = [found for kind in KINDS for found in _compared(first, other, kind, plugins)]
    if not compared:
        raise UserError("compare-no-common-score", name=first.name, name2=other.name)
    return compared


def _sides(paths: Sequence[Path]) -> list[ComparedRun]:
    records = []
    for path in paths:
        try:
            record = read(path / "record.json" if path.is_dir() else path)
        except RecordError as error:
            raise UserError("record-invalid", message=str(error)) from None
        if record.status != "done" or not (record.result.get("scores") or {}):
            why = (
                f"is {record.status}" if record.status != "done" else f"scored nothing on {record.result.get('split')}"
            )
            raise UserError("compare-run-not-finished", file=path, why=why)
        folder = path if path.is_dir() else path.parent if path.name == "record.json" else None
        records.append((folder, record))
    doubled = Counter(record.name for _, record in records)
    common = os.path.commonpath([path.absolute().parent for path in paths])
    return [
        ComparedRun(
            record.name if doubled[record.name] == 1 else os.path.relpath(path.absolute(), common), folder, record
        )
        for path, (folder, record) in zip(paths, records, strict=True)
    ]


def _check_alike(a: ComparedRun, b: ComparedRun) -> None:
    """Raise UserError with the differences of two runs that make their scores incomparable."""
    data = [side.result.get("data") or {} for side in (a, b)]
    differing = []
    if data[0].get("fingerprint") != data[1].get("fingerprint"):
        there = [f"{d.get('name')} ({str(d.get('fingerprint'))[:8]})" for d in data]
        differing.append(f"data {there[0]} and {there[1]}")
    differing += [
        f"{words} {a.result.get(key)} and {b.result.get(key)}"
        for key, words in ALIKE.items()
        if a.result.get(key) != b.result.get(key)
    ]
    if differing:
        raise UserError("compare-different-tracks", name=a.name, name2=b.name, names="; ".join(differing))


def _compared(first: ComparedRun, other: ComparedRun, kind: str, plugins: Sequence[Path]) -> Iterator[Compared]:
    """Yield the main score, and its parts if both runs' predictions exist."""
    a, b = first.block(kind), other.block(kind)
    if a is None or b is None:
        return
    groups = tuple(map(str, a.get("groups") or ()))
    if groups != tuple(map(str, b.get("groups") or ())):
        raise UserError("compare-different-groups", name=first.name, name2=other.name)
    low, high = first.result.get("score_range") or (-math.inf, math.inf)
    yield _less(KINDS[kind], groups, _main(first, a), _main(other, b), (float(low), float(high)))
    parts = _parts(first, kind, groups, plugins)
    others = _parts(other, kind, groups, plugins) if parts else {}
    for name in parts:
        if name in others:
            yield _less(f"  {name}", groups, parts[name], others[name], _range_of(name))


def _main(side: ComparedRun, block: ScoreBlock) -> Statistic:
    try:
        without = tuple(math.nan if x is None else float(x) for x in block["leave_one_out"])
        if len(without) != len(block["groups"]):
            raise ValueError
        return Statistic(float(block["main"]), without)
    except (KeyError, TypeError, ValueError):
        raise UserError("compare-no-group-scores", name=side.name) from None


def _less(what: str, groups: tuple[str, ...], a: Statistic, b: Statistic, score_range: tuple[float, float]) -> Compared:
    without = tuple(float(y - x) for x, y in zip(a.without, b.without, strict=True))
    difference = paired(b.value, b.without, a.value, a.without, score_range=score_range)
    return Compared(what, a.value, b.value, groups, difference, without)


def _parts(side: ComparedRun, kind: str, groups: tuple[str, ...], plugins: Sequence[Path]) -> dict[str, Statistic]:
    """Return the parts of a score, from the run's predictions; {} if these are missing or do not match the record."""
    from harness.evaluation.scoring import statistics_of
    from harness.runs.finished import read_own
    from zoo.metrics import scores as metrics

    split = side.result["split"]
    path = (side.folder or Path()) / "predictions" / f"{split}{'.post' if kind == 'post' else ''}.parquet"
    track = _track(side, plugins)
    if side.folder is None or track is None or not path.is_file():
        return {}
    grouped: dict[str, list[metrics.Stats]] = {group: [] for group in groups}
    for video in read_own(path, track):
        stats = statistics_of(track, video)
        if stats[metrics.FRAMES] > 0:
            grouped.setdefault(video.group, []).append(stats)
    if set(grouped) != set(groups) or not all(grouped.values()):
        return {}
    sums = [metrics.merge(grouped[group]) for group in groups]
    whole = metrics.score(track.metric, track.answers, metrics.merge(sums))
    if abs(whole.main - float((side.block(kind) or {})["main"])) > SAME or len(groups) < 2:
        return {}
    rest = [
        metrics.score(track.metric, track.answers, metrics.merge([*sums[:g], *sums[g + 1 :]])).parts
        for g in range(len(groups))
    ]
    shown = [n for n in whole.parts if _is_score(n, track.metric) and abs(whole.parts[n] - whole.main) > SAME]
    return {name: Statistic(whole.parts[name], tuple(parts[name] for parts in rest)) for name in shown}


def _range_of(part: str) -> tuple[float, float]:
    """Return the bounds of a part of a score."""
    return (-1.0, 1.0) if "ccc" in part or "pearson" in part else (0.0, 1.0)


def _is_score(part: str, metric: str) -> bool:
    """Return True if a part is shown: it is not a count, and not a correlation unless the metric uses one."""
    return not part.startswith("frames") and ("pearson" not in part or "pearson" in metric)


def _track(side: ComparedRun, plugins: Sequence[Path]) -> Any:
    """Return this program's version of the track; None if it no longer exists or has another version."""
    from harness.runs.folder import saved_config
    from harness.runs.recorded_plugins import own_plugins, trusted_plugins
    from zoo.registry.tracks import find_track, load_plugins

    plugins = own_plugins(plugins, side.record)
    try:
        beside = side.folder is not None and (side.folder / "config.toml").is_file()
        named = saved_config(side.folder).plugin if beside and side.folder else ()
    except UserError:  # written by another version
        return None
    trusted_plugins(side.folder or Path(side.name), named, side.record, plugins)
    try:
        registry = load_plugins([str(path) for path in plugins])
        track = find_track(registry, side.result["track"], side.result["edition"])[1]
    except UserError:
        return None
    return track if track.version == side.result["track_version"] else None
