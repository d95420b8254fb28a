"""The plot above a table: published scores as rings, one lane per degree of confidence, and runs with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from leaderboards.rows import Row, Table
from leaderboards.text import markup

__all__ = ["plot"]

WIDTH, LEFT, RIGHT = 1180, 230, 24
RADIUS, STEP, LANE, TOP, AXIS = 4.5, 9.0, 26.0, 26.0, 30.0
MOST = 20  # runs with a lane of their own
_CONFIDENCE = ("official", "paper", "team", "secondary")


class _Scale(NamedTuple):
    low: float
    high: float

    def x(self, score: float) -> float:
        """Return the position of a score, in units of the drawing."""
        return LEFT + (score - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)


def plot(table: Table, marks: Sequence[str]) -> str:
    """Return an SVG element, or "" if fewer than two rows have a score; ``marks`` name the table's rows in the page."""
    rows = [(row, mark) for row, mark in zip(table.rows, marks, strict=True) if row.stands]
    if len(rows) < 2:
        return ""
    scale = _scale([row for row, _ in rows])
    parts, y = [], TOP
    for confidence in _CONFIDENCE:
        lane = [(row, mark) for row, mark in rows if row.kind == "published" and row.confidence == confidence]
        if lane:
            text, height = _swarm(lane, scale, y)
            parts.append(_lane(f"published: {confidence}", y + height / 2) + text)
            y += height
    runs = [(row, mark) for row, mark in rows if row.kind == "run"]
    for row, mark in runs[:MOST]:
        parts.append(_lane(row.run, y + LANE / 2) + _run(row, mark, scale, y + LANE / 2))
        y += LANE
    if len(runs) > MOST:
        parts.append(_lane(f"and {len(runs) - MOST} runs more in the table", y + LANE / 2))
        y += LANE
    grid = _grid(scale, y) + _lines([row for row, _ in rows], scale, y)
    title = f"Scores of {table.title}" if not table.metric else f"{table.metric} of {len(rows)} rows"
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {y + AXIS:.0f}" role="img" aria-label="{markup(title)}">'
        f"{grid}{''.join(parts)}</svg>"
    )


def _scale(rows: Sequence[Row]) -> _Scale:
    ends = [x for row in rows for x in (row.score, row.low, row.high) if x is not None]
    low, high = min(ends), max(ends)
    room = (high - low) * 0.04 or 0.05
    return _Scale(low - room, high + room)


def _swarm(lane: Sequence[tuple[Row, str]], scale: _Scale, top: float) -> tuple[str, float]:
    """Return rings that do not cover each other: each on the free level nearest to the middle."""
    ends: dict[int, float] = {}  # level -> x of its last ring
    levels = []
    for row, mark in sorted(lane, key=lambda pair: pair[0].score or 0.0):
        x = scale.x(row.score or 0.0)
        level = next(n for k in range(len(lane) + 1) for n in {k, -k} if x - ends.get(n, -math.inf) >= STEP)
        ends[level] = x
        levels.append((row, mark, x, level))
    low, high = min(n for *_, n in levels), max(n for *_, n in levels)
    height = max(LANE, (high - low + 1) * STEP + 10)
    middle = top + height / 2 - (low + high) / 2 * STEP
    rings = (
        f'<circle class="published" data-row="{mark}" cx="{x:.1f}" cy="{middle + level * STEP:.1f}" r="{RADIUS}">'
        f"<title>{_told(row)}</title></circle>"
        for row, mark, x, level in levels
    )
    return "".join(rings), height


def _run(row: Row, mark: str, scale: _Scale, y: float) -> str:
    score, interval = scale.x(row.score or 0.0), ""
    if row.low is not None and row.high is not None:
        low, high = scale.x(row.low), scale.x(row.high)
        interval = f'<path d="M{low:.1f} {y:.1f}H{high:.1f}M{low:.1f} {y - 5:.1f}v10M{high:.1f} {y - 5:.1f}v10"/>'
    return (
        f'<g class="run" data-row="{mark}"><title>{_told(row)}</title>{interval}'
        f'<circle cx="{score:.1f}" cy="{y:.1f}" r="{RADIUS}"/></g>'
    )


def _told(row: Row) -> str:
    interval = f" [{row.low:.3f}, {row.high:.3f}]" if row.low is not None and row.high is not None else ""
    return markup(f"{row.run}: {row.score:.4g}{interval}" + (f" ({row.detail})" if row.detail else ""))


def _lane(name: str, y: float) -> str:
    shown = name if len(name) <= 30 else name[:29] + "…"
    return f'<text class="lane" x="{LEFT - 14}" y="{y + 4:.1f}">{markup(shown)}</text>'


def _grid(scale: _Scale, bottom: float) -> str:
    ticks = _ticks(scale.low, scale.high)
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9)) if len(ticks) > 1 else 2
    return "".join(
        f'<path class="grid" d="M{scale.x(t):.1f} {TOP - 6}V{bottom:.1f}"/>'
        f'<text class="tick" x="{scale.x(t):.1f}" y="{bottom + 18:.1f}">{t + 0.0:.{digits}f}</text>'
        for t in ticks
    )


def _ticks(low: float, high: float) -> list[float]:
    """Return about eight round numbers between the bounds."""
    raw = (high - low) / 8
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _lines(rows: Sequence[Row], scale: _Scale, bottom: float) -> str:
    """Return lines at the highest published score and at the baseline."""
    published = [row for row in rows if row.kind == "published"]
    baselines = [row for row in published if row.run.lower() == "baseline"]
    found = {}
    if published:
        found["highest published"] = max(row.score or 0.0 for row in published)
    if baselines:
        found["baseline"] = max(row.score or 0.0 for row in baselines)
    parts = []
    for name, score in found.items():
        x = scale.x(score)
        side = "end" if x > (LEFT + WIDTH) / 2 else "start"
        parts.append(
            f'<path class="mark" d="M{x:.1f} {TOP - 8}V{bottom:.1f}"/>'
            f'<text class="mark {side}" x="{x:.1f}" y="{TOP - 13}">{name} {score:g}</text>'
        )
    return "".join(parts)
