"""Leaderboard tables, built only from the records of runs.

There is one table for every data set, edition, track, track version and split, so that only comparable runs are
compared. Runs are sorted by raw score. A run that the paired comparison cannot distinguish from the best of its place
shares that place (``1=``); with few groups of videos there are no places at all, only the order (leaderboards.ranks).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from leaderboards.blocks import Combination, DataBlock, ScoreBlock, SearchBlock, TtaBlock
from leaderboards.ranks import FEWEST, LEVEL, places
from leaderboards.record import Record, RecordError, read, replace_file
from leaderboards.render.csv import to_csv
from leaderboards.render.markdown import to_markdown
from leaderboards.rows import PARTS, Key, Row, Table

__all__ = ["Key", "Row", "Table", "leaderboard", "load_runs", "to_csv", "to_markdown", "write"]


def load_runs(folder: Path) -> tuple[list[Record], list[str]]:
    """Return the records of ``<folder>/*/record.json`` by folder name, and a line for each that cannot be read."""
    records: list[Record] = []
    problems: list[str] = []
    for run in sorted(p for p in folder.glob("*") if p.is_dir()):
        path = run / "record.json"
        if not path.exists():
            problems += [f"{run}: has no record.json"] if (run / "config.toml").exists() else []
            continue
        try:
            record = read(path)
            leaderboard([record])  # a malformed result must fail here, not in the table of all
            if _is_scored_on_training_split(record):
                raise RecordError(f"{path}: trained on {record.result['split']} and is scored on it: no score")
            records.append(record)
        except RecordError as error:
            problems.append(str(error))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            problems.append(f"{path}: the result is not of the shape of a run's: {error}")
    return records, problems


def leaderboard(records: Iterable[Record]) -> list[Table]:
    """Return the tables, ordered by their key; runs without a score come last in theirs."""
    ordered = sorted((r for r in records if not _is_scored_on_training_split(r)), key=lambda r: (_key(r), *_place(r)))
    return [_table(key, list(runs)) for key, runs in groupby(ordered, _key)]


def write(folder: Path, tables: Sequence[Table], problems: Sequence[str] = ()) -> tuple[Path, Path]:
    """Write ``leaderboard.md`` and ``leaderboard.csv`` into the folder; return their paths.

    The caller must hold the lock of the folder, because parts left by a killed writer are removed.
    """
    markdown, flat = folder / "leaderboard.md", folder / "leaderboard.csv"
    for left in folder.glob(".leaderboard.*.part"):
        left.unlink(missing_ok=True)
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
    """Return True if the run is ranked: a run that is not done may hold the scores of an unfinished training."""
    return record.status == "done" and _block(record, "raw").get("main") is not None


def _is_scored_on_training_split(record: Record) -> bool:
    """Return True if the scores are of a split that the run was trained on (``--fit`` itself writes none)."""
    return bool(_block(record, "raw")) and record.result.get("split") in (record.result.get("fit") or ())


def _place(record: Record) -> tuple[bool, float, str]:
    """Return a key that sorts scored runs first, the best of them first, runs with equal scores by name."""
    scored = _scored(record)
    return not scored, -float(_block(record, "raw")["main"]) if scored else 0.0, record.name


def _block(record: Record, kind: str) -> ScoreBlock:
    return (record.result.get("scores") or {}).get(kind) or ScoreBlock()


def _row(record: Record) -> Row:
    r, raw, post = record.result, _block(record, "raw"), _block(record, "post")
    combination, parameters = r.get("combination") or Combination(), r.get("parameters") or {}
    passports = r.get("passports") or []
    parts, fine = _parts(str(r.get("metric") or ""), raw.get("parts") or {})
    return Row(
        run=record.name,
        status=record.status,
        reason=record.reason or "",
        encoders=record.encoders,
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
        seeds=_seeds(r.get("seeds") or ()),
        spread=_number(raw.get("spread")),
        trained_parameters=_count(parameters.get("trained")),
        selection_split=str(r.get("selection_split") or ""),
        selections=_count(r.get("n_selections")),
        search=_search(r.get("search") or {}),
        seen=" ".join(str(name) for name in r.get("seen") or ()),
        weights=", ".join(dict.fromkeys(str(p["name"]) for p in passports)) or ("none" if "passports" in r else ""),
        aff_wild2=", ".join(dict.fromkeys(str(p["name"]) for p in passports if p.get("seen_affwild2"))),
        flattered=bool(r.get("selected_on_reported", (r.get("selection_split") or "-") == r.get("split"))),
        zero_shot="zero_shot" in r,
        tta=_averaged(r.get("tta") or {}),
        parts=parts,
        fine=fine,
    )


def _parts(metric: str, figures: Mapping[str, float]) -> tuple[tuple[tuple[str, float], ...], ...]:
    """Return the parts of the score under the names of their columns, and the others except counts of frames."""
    names = PARTS.get(metric, {})
    known = {k: float(v) for k, v in figures.items() if v is not None and math.isfinite(float(v))}
    rest = {k: v for k, v in known.items() if k not in names and k != metric and not k.startswith("frames")}
    return tuple((names[k], known[k]) for k in names if k in known), tuple(rest.items())


def _search(facts: SearchBlock) -> str:
    return f"{facts.get('on')}, of {facts.get('trials')}" if facts.get("trials") else ""


def _averaged(facts: TtaBlock) -> str:
    return f"{facts.get('passes')} passes, cost {facts.get('cost'):g}" if facts else ""


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _count(value: Any) -> int | None:
    return None if value is None else int(value)


def _left_out(record: Record) -> dict[str, float]:
    """Return group -> the raw score without it; NaN if nothing would be left."""
    raw = _block(record, "raw")
    groups, without = raw.get("groups") or [], raw.get("leave_one_out") or []
    known: Sequence[float | None] = without if len(groups) != 1 else [None]
    return {str(g): float("nan") if v is None else float(v) for g, v in zip(groups, known, strict=True)}


# --- rows to tables ---------------------------------------------------------------------------------------------------


def _table(key: Key, records: list[Record]) -> Table:
    scored = [r for r in records if _scored(r)]
    rows = [_row(r) for r in records]
    # One row with few groups removes the places from all: with so few, no order of the runs means anything.
    fewest = min((row.groups or 0 for row in rows[: len(scored)]), default=0)
    ranks = places([(float(_block(r, "raw")["main"]), _left_out(r)) for r in scored]) if fewest >= FEWEST else []
    ranked = [replace(row, rank=rank) for row, rank in zip(rows, ranks, strict=False)]
    notes = tuple(_notes(key, rows, fewest, len(scored)))
    metric = next((str(r.result["metric"]) for r in records if r.result.get("metric")), "")
    data: DataBlock = next((r.result["data"] for r in records if r.result.get("data")), DataBlock())
    return Table(
        key,
        _title(key, data, metric),
        notes,
        (*ranked, *rows[len(ranked) :]),
        metric,
        synthetic=bool(data.get("synthetic")),
        videos=_count((data.get("videos") or {}).get(key.split)),
    )


def _title(key: Key, data: DataBlock, metric: str) -> str:
    if not any(key):
        return "Runs that ended before their data was known"
    synthetic = " (SYNTHETIC data, made up by a generator)" if data.get("synthetic") else ""
    name = f"{data.get('name') or 'unknown data'}{synthetic}, fingerprint {key.data[:8] or 'unknown'}"
    return f"{key.edition} {key.track} (version {key.version}){metric and f', {metric}'}: {key.split} of {name}"


def _notes(key: Key, rows: Sequence[Row], fewest: int, scored: int) -> Iterable[str]:
    if scored and fewest < FEWEST:
        yield (
            f"{fewest} groups of videos, fewer than {FEWEST}, are too few to order runs: rows are sorted by score, but "
            "a higher row is not necessarily the better system."
        )
    elif scored > 1:
        yield (
            f"Runs that share a place (=) cannot be distinguished from the first of them by a paired comparison over "
            f"groups of videos (p >= {LEVEL})."
        )
    if flattered := [row.run for row in rows[:scored] if row.flattered]:
        which = "these scores are" if len(flattered) == scored else f"the scores of {', '.join(flattered)} are"
        yield f"Epochs or settings were also chosen on {key.split}, the split that is scored: {which} optimistic."
    if any(row.seen for row in rows):
        yield "† The weights were trained on videos that are scored here; seen: " + "; ".join(
            f"{row.run}: {row.seen}" for row in rows if row.seen
        )
    if any(row.aff_wild2 for row in rows):
        yield (
            "‡ These weights were trained on Aff-Wild2 itself, with labels that the rules forbid (uni-task "
            "tracks of editions 6, 8 and 10, MTL of 7 and 11): "
            + "; ".join(f"{row.run}: {row.aff_wild2}" for row in rows if row.aff_wild2)
        )
    if any(row.zero_shot for row in rows):
        yield "¶ Zero-shot: an encoder's own predictions; nothing was trained on these data."
    if any(row.tta for row in rows):
        yield "◊ Test-time augmentation, the mean of several passes; forward passes of a plain evaluation = 1: " + (
            "; ".join(f"{row.run}: {row.tta}" for row in rows if row.tta)
        )
    if scored:
        yield "In brackets: 95 % interval, jackknife over groups of videos."


def _seeds(seeds: Sequence[int]) -> str:
    """Return the seeds, not their number: one seed is shown with the word, so that it is not read as a count."""
    return f"seed {seeds[0]}" if len(seeds) == 1 else " ".join(map(str, seeds))
