"""Leaderboard tables, built from the records of runs and from nothing else.

One table for every data set, edition, track, track version and split, so that only like is compared with like. Runs
stand in the order of their raw score. A run that the paired comparison cannot tell from the best of its place shares
that place (``1=``); with few groups of videos there are no places at all, only the order (leaderboards.ranks).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from leaderboards.ranks import FEWEST, LEVEL, places
from leaderboards.record import Record, RecordError, read, replace_file

__all__ = ["Key", "Row", "Table", "leaderboard", "load_runs", "to_csv", "to_markdown", "write"]

LONGEST = 400  # characters of a reason that a table shows; the CSV has all of them


class Key(NamedTuple):
    """What makes runs comparable. Empty where a run failed before it knew."""

    data: str
    edition: str
    track: str
    version: str
    split: str


@dataclass(frozen=True)
class Row:
    """One run. Scores are None where there are none; ``spread``: standard deviation of the score over the seeds;
    ``seen``: evaluated videos that its weights were trained on; ``weights``: the pretrained weights it began with, by
    name; ``aff_wild2``: those among them that have seen Aff-Wild2."""

    run: str
    status: str
    reason: str = ""
    encoders: str = ""
    fusion: str = ""
    head: str = ""
    score: float | None = None
    low: float | None = None
    high: float | None = None
    post_score: float | None = None
    post_low: float | None = None
    post_high: float | None = None
    videos: int | None = None
    groups: int | None = None
    seeds: str = ""
    spread: float | None = None
    trained_parameters: int | None = None
    selection_split: str = ""
    selections: int | None = None
    seen: str = ""
    weights: str = ""
    aff_wild2: str = ""
    rank: str = ""


@dataclass(frozen=True)
class Table:
    """Comparable runs in order; ``notes`` are sentences that belong under the title."""

    key: Key
    title: str
    notes: tuple[str, ...]
    rows: tuple[Row, ...]


def load_runs(folder: Path) -> tuple[list[Record], list[str]]:
    """The records of ``<folder>/*/record.json`` by name of their folder, and a line for each that cannot be read."""
    records: list[Record] = []
    problems: list[str] = []
    for run in sorted(p for p in folder.glob("*") if p.is_dir()):
        path = run / "record.json"
        if not path.exists():
            problems += [f"{run}: has no record.json"] if (run / "config.toml").exists() else []
            continue
        try:
            record = read(path)
            leaderboard([record])  # a result of another shape must show here, not among the others
            records.append(record)
        except RecordError as error:
            problems.append(str(error))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            problems.append(f"{path}: the result is not of the shape of a run's: {error}")
    return records, problems


def leaderboard(records: Iterable[Record]) -> list[Table]:
    """The tables, ordered by their key; the runs without a score come last in theirs."""
    ordered = sorted(records, key=lambda r: (_key(r), *_place(r)))
    return [_table(key, list(runs)) for key, runs in groupby(ordered, _key)]


def to_markdown(tables: Sequence[Table], problems: Sequence[str] = ()) -> str:
    """All tables as GitHub Markdown, and what could not be read."""
    parts = ["# Leaderboard", *(_markdown(t) for t in tables)]
    if not tables:
        parts.append("There are no runs yet.")
    if problems:
        parts.append("## Not in the tables\n\n" + "\n".join(f"- {_cell(p)}" for p in problems))
    return "\n\n".join(parts) + "\n"


def to_csv(tables: Sequence[Table]) -> str:
    """All rows of all tables as one CSV with the columns of Key and Row; figures in full."""
    names = [f.name for f in fields(Row)]
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow([*Key._fields, *names])
    for table in tables:
        for row in table.rows:
            values = (getattr(row, name) for name in names)
            out.writerow([*table.key, *("" if v is None else v for v in values)])
    return text.getvalue()


def write(folder: Path, tables: Sequence[Table], problems: Sequence[str] = ()) -> tuple[Path, Path]:
    """Put ``leaderboard.md`` and ``leaderboard.csv`` into the folder; returns their paths."""
    markdown, flat = folder / "leaderboard.md", folder / "leaderboard.csv"
    replace_file(markdown, to_markdown(tables, problems).encode())
    replace_file(flat, to_csv(tables).encode())
    return markdown, flat


# --- records to rows --------------------------------------------------------------------------------------------------


def _key(record: Record) -> Key:
    r = record.result
    data = r.get("data") or {}
    parts = (data.get("fingerprint"), r.get("edition"), r.get("track"), r.get("track_version"), r.get("split"))
    return Key(*("" if part is None else str(part) for part in parts))


def _scored(record: Record) -> bool:
    """Whether the run stands in the order: a run that is not done may hold the scores of half a training."""
    return record.status == "done" and _block(record, "raw").get("main") is not None


def _place(record: Record) -> tuple[bool, float, str]:
    """Sorts scored runs first, the best of them first, runs with equal scores by name."""
    scored = _scored(record)
    return not scored, -float(_block(record, "raw")["main"]) if scored else 0.0, record.name


def _block(record: Record, kind: str) -> Mapping[str, Any]:
    return (record.result.get("scores") or {}).get(kind) or {}


def _row(record: Record) -> Row:
    r, raw, post = record.result, _block(record, "raw"), _block(record, "post")
    combination, parameters = r.get("combination") or {}, r.get("parameters") or {}
    passports = r.get("passports") or []
    return Row(
        run=record.name,
        status=record.status,
        reason=record.reason or "",
        encoders=str(combination.get("encoders", "")),
        fusion=str(combination.get("fusion", "")),
        head=str(combination.get("head", "")),
        score=_number(raw.get("main")),
        low=_number(raw.get("low")),
        high=_number(raw.get("high")),
        post_score=_number(post.get("main")),
        post_low=_number(post.get("low")),
        post_high=_number(post.get("high")),
        videos=_count(raw.get("videos")),
        groups=len(_left_out(record)) if raw else None,
        seeds=" ".join(str(seed) for seed in r.get("seeds") or ()),
        spread=_number(raw.get("spread")),
        trained_parameters=_count(parameters.get("trained")),
        selection_split=str(r.get("selection_split") or ""),
        selections=_count(r.get("n_selections")),
        seen=" ".join(str(name) for name in r.get("seen") or ()),
        weights=", ".join(dict.fromkeys(str(p["name"]) for p in passports)) or ("none" if "passports" in r else ""),
        aff_wild2=", ".join(dict.fromkeys(str(p["name"]) for p in passports if p.get("seen_affwild2"))),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _count(value: Any) -> int | None:
    return None if value is None else int(value)


def _left_out(record: Record) -> dict[str, float]:
    """Group -> the raw score without it; NaN where nothing would be left."""
    raw = _block(record, "raw")
    groups, without = raw.get("groups") or [], raw.get("leave_one_out") or []
    without = without if len(groups) != 1 else [None]
    return {str(g): float("nan") if v is None else float(v) for g, v in zip(groups, without, strict=True)}


# --- rows to tables ---------------------------------------------------------------------------------------------------


def _table(key: Key, records: list[Record]) -> Table:
    scored = [r for r in records if _scored(r)]
    rows = [_row(r) for r in records]
    # One row with few groups takes the places from all: with so few, no order of the runs means anything.
    fewest = min((row.groups or 0 for row in rows[: len(scored)]), default=0)
    ranks = places([(float(_block(r, "raw")["main"]), _left_out(r)) for r in scored]) if fewest >= FEWEST else []
    ranked = [Row(**{**vars(row), "rank": rank}) for row, rank in zip(rows, ranks, strict=False)]
    return Table(
        key, _title(key, records), tuple(_notes(key, rows, fewest, len(scored))), (*ranked, *rows[len(ranked) :])
    )


def _title(key: Key, records: Sequence[Record]) -> str:
    if not any(key):
        return "Runs that ended before their data was known"
    data: dict[str, Any] = next((r.result["data"] for r in records if r.result.get("data")), {})
    synthetic = " (SYNTHETIC data, made up by a generator)" if data.get("synthetic") else ""
    metric = next((f", {r.result['metric']}" for r in records if r.result.get("metric")), "")
    name = f"{data.get('name') or 'unknown data'}{synthetic}, fingerprint {key.data[:8] or 'unknown'}"
    return f"{key.edition} {key.track} (version {key.version}){metric}: {key.split} of {name}"


def _notes(key: Key, rows: Sequence[Row], fewest: int, scored: int) -> Iterable[str]:
    if scored and fewest < FEWEST:
        yield (
            f"{fewest} groups of videos, fewer than {FEWEST}, cannot order runs: the rows are sorted by score, and a "
            "higher row is not thereby the better system."
        )
    elif scored > 1:
        yield (
            f"Runs that share a place (=) cannot be told apart from the first of them by a paired comparison over "
            f"groups of videos (p >= {LEVEL})."
        )
    if scored and any(row.selection_split == key.split for row in rows):
        yield f"Epochs or settings were chosen on {key.split} as well, the split that is scored: these scores flatter."
    if any(row.seen for row in rows):
        yield "† The weights were trained on videos that are scored here; seen: " + "; ".join(
            f"{row.run}: {row.seen}" for row in rows if row.seen
        )
    if any(row.aff_wild2 for row in rows):
        yield (
            "‡ These weights were trained on Aff-Wild2 itself, with labels that a uni-task track forbids (editions "
            "6 to 10): " + "; ".join(f"{row.run}: {row.aff_wild2}" for row in rows if row.aff_wild2)
        )
    if scored:
        yield "In brackets: 95 % interval, jackknife over groups of videos."


# --- tables to text ---------------------------------------------------------------------------------------------------

_HEADERS = ("rank", "run", "encoders", "fusion", "head", "score", "post-processed", "videos", "seeds", "trained",
            "weights", "selected on")  # fmt: skip


def _markdown(table: Table) -> str:
    ranked = any(row.rank for row in table.rows)
    start = 0 if ranked else 1  # without places not even their column
    body = [[_cell(text) for text in _texts(row)[start:]] for row in table.rows]
    grid = tabulate(body, headers=_HEADERS[start:], tablefmt="pipe", disable_numparse=True)
    return "\n\n".join([f"## {_cell(table.title)}", *(_cell(note) for note in table.notes), grid])


def _texts(row: Row) -> list[str]:
    score = _figure(row.score, row.low, row.high) or "no score"
    if row.status != "done":
        score = f"{row.status}: {row.reason}" if row.reason else row.status
        score = score if len(score) <= LONGEST else score[: LONGEST - 1] + "…"
    post = _figure(row.post_score, row.post_low, row.post_high) if row.status == "done" else ""
    videos = "" if row.videos is None else str(row.videos)
    videos += f" ({row.groups} groups)" if row.groups is not None and row.groups != row.videos else ""
    chosen = row.selection_split + (f", of {row.selections}" if row.selections else "")
    seeds = row.seeds if row.spread is None else f"{row.seeds} (sd {row.spread:.3f})"
    parameters = "" if row.trained_parameters is None else f"{row.trained_parameters:,}"
    name = row.run + (" †" if row.seen else "") + (" ‡" if row.aff_wild2 else "")
    return [
        row.rank, name, row.encoders, row.fusion, row.head, score, post, videos, seeds, parameters, row.weights, chosen,
    ]  # fmt: skip


def _figure(main: float | None, low: float | None, high: float | None) -> str:
    interval = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return "" if main is None else f"{main:.3f}{interval}".replace("-0.000", "0.000")


def _cell(text: str) -> str:
    """Text that cannot end a cell or a line nor start HTML, whatever a reason or a file name holds."""
    flat = " ".join(text.split())
    return flat.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;")
