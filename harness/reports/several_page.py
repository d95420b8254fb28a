"""The page of several runs side by side: data for its template."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import quote

from harness.reports import facts
from harness.reports.curves import Chart, curves
from harness.reports.rendering import render, script_json
from harness.reports.sources import RunSources
from leaderboards.tables import leaderboard


class RunRow(TypedDict):
    """A run in the table of a page. ``main``, ``low``, ``high``: the raw score; ``post``: the post-processed one."""

    name: str
    link: str
    status: str
    reason: str
    encoders: str
    fusion: str
    head: str
    main: float | None
    low: float | None
    high: float | None
    post: float | None
    reference: float | None
    videos: int | None
    groups: int
    seconds: float | None


class Section(TypedDict):
    """The runs of one track, split and data. ``parts``: a row for each part of the score, a column for each run."""

    title: str
    synthetic: bool
    axis: Sequence[float]
    rows: list[RunRow]
    notes: list[str]
    parts: list[tuple[str, list[float | None]]]
    names: list[str]


def several_page(runs: Sequence[RunSources], place: Path, title: str) -> str:
    """Return the page of some runs as HTML; ``place``: the folder of the page, to which links are relative."""
    ordered = sorted(runs, key=_key)
    sections: list[Section] = []
    charts: list[Chart] = []
    for key, same in groupby(ordered, key=_key):
        members = sorted(same, key=_place)
        scored = [run for run in members if _main(run) is not None]
        histories = {run.record.name: next(iter(run.histories.values())) for run in members if run.histories}
        if len(histories) > 1:
            charts += [{**chart, "title": f"{key[0]} {key[1]}: {chart['title']}"} for chart in curves(histories)]
        sections.append(
            {
                "title": facts.heading(members[0].record) if key[0] else "Runs that ended before their data was known",
                "synthetic": bool((members[0].record.result.get("data") or {}).get("synthetic")),
                "axis": members[0].record.result.get("score_range") or [0.0, 1.0],
                "rows": [_row(run, place) for run in members],
                "notes": [note for table in leaderboard([run.record for run in members]) for note in table.notes],
                "parts": _parts(scored),
                "names": [run.record.name for run in scored],
            }
        )
    return render(
        "several.html",
        "report.js",
        title=title,
        sections=sections,
        notes=[note for run in runs for note in run.notes],
        has_curves=bool(charts),
        runs=len(runs),
        payload=script_json({"curves": charts, "timelines": {"answers": [], "videos": []}}),
    )


def _place(run: RunSources) -> tuple[bool, float]:
    """Return a sorting key: the highest score first, runs without a score last."""
    main = _main(run)
    return main is None, -(main or 0.0)


def _key(run: RunSources) -> tuple[str, ...]:
    result = run.record.result
    data = result.get("data") or {}
    names = (result.get("edition"), result.get("track"), result.get("track_version"), result.get("split"))
    return (*(str(name or "") for name in names), str(data.get("fingerprint") or ""))


def _main(run: RunSources) -> float | None:
    raw = run.record.scores.get("raw")
    return raw["main"] if raw else None


def _row(run: RunSources, place: Path) -> RunRow:
    record = run.record
    raw: Mapping[str, Any] = (record.result.get("scores") or {}).get("raw") or {}
    post: Mapping[str, Any] = (record.result.get("scores") or {}).get("post") or {}
    reference: Mapping[str, Any] = record.result.get("reference") or {}
    combination: Mapping[str, Any] = record.result.get("combination") or {}
    page = run.folder / "report.html"
    link = quote(Path(os.path.relpath(page, place)).as_posix()) if page.is_file() else ""
    return {
        "name": record.name,
        "link": link,
        "status": record.status,
        "reason": record.reason or "",
        "encoders": record.encoders,
        "fusion": str(combination.get("fusion") or ""),
        "head": str(combination.get("head") or ""),
        "main": raw.get("main"),
        "low": raw.get("low"),
        "high": raw.get("high"),
        "post": post.get("main"),
        "reference": reference.get("main"),
        "videos": raw.get("videos"),
        "groups": len(raw.get("groups") or ()),
        "seconds": record.circumstances.get("seconds"),
    }


def _parts(runs: Sequence[RunSources]) -> list[tuple[str, list[float | None]]]:
    """Return the parts of the raw scores, a row for each part and a column for each run."""
    each = [((run.record.result.get("scores") or {}).get("raw") or {}).get("parts") or {} for run in runs]
    names = dict.fromkeys(name for parts in each for name in parts if not name.startswith("frames"))
    return [(name, [parts.get(name) for parts in each]) for name in names]
