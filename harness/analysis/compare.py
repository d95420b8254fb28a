"""`harness compare`: differences of finished runs on the same videos with their uncertainty, as text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from harness.analysis.differences import KINDS, Compared, ComparedRun, all_compared, comparable
from harness.runtime.terminal import tabulate
from leaderboards.intervals import SAME, Difference
from leaderboards.ranks import FEWEST, LEVEL
from zoo.text import visible

SHOWN = 3  # groups named in each direction


def compare(paths: Sequence[Path], plugins: Sequence[Path] = ()) -> str:
    """Compare all runs with the first, as text; raise UserError if they cannot be compared."""
    first, *others = sides = comparable(paths, plugins)
    blocks, figures = [_title(first)], 0
    for other in others:
        compared = all_compared(first, other, plugins)
        blocks.append(_text(first, other, compared))
        figures += len(compared)
    return "\n\n".join([*blocks, "\n".join(map(visible, _remarks(sides, figures)))])


def _title(first: ComparedRun) -> str:
    r = first.result
    data = r.get("data") or {}
    synthetic = " (SYNTHETIC data, made up by a generator)" if data.get("synthetic") else ""
    what = f"{r.get('edition')} {r.get('track')}: {r.get('metric')} on {r.get('split')}"
    title = f"{what} of {data.get('name')}{synthetic}"
    less = f"Differences: the run's score minus that of {first.name}; above 0 the run scores more."
    return f"{visible(title)}\n{visible(less)}"


def _text(first: ComparedRun, other: ComparedRun, compared: Sequence[Compared]) -> str:
    rows = [
        [c.what, f"{c.first:.4f}", f"{c.other:.4f}", f"{c.difference.value:+.4f}", *_ends(c.difference)]
        for c in compared
    ]
    headers = ["", first.name, other.name, "difference", "95 % interval", "p"]
    table = tabulate(rows, headers, disable_numparse=True, preserve_whitespace=True)
    mains = [c for c in compared if c.what in KINDS.values()]
    said = [line for c in mains for line in (_verdict(first, other, c), *_drivers(c))]
    return "\n".join([table, *map(visible, said)])


def _ends(d: Difference) -> list[str]:
    if math.isinf(d.low):
        return ["not known", "-"]
    return [f"[{d.low:+.4f}, {d.high:+.4f}]", f"{d.p:.3f}" if d.p >= 0.001 else "< 0.001"]


def _verdict(first: ComparedRun, other: ComparedRun, c: Compared) -> str:
    """Return a one-sentence verdict; it does not rank the runs if there are few groups."""
    d, names = c.difference, f"{other.name} and {first.name}"
    if abs(d.value) < SAME and d.low == d.high:
        return f"{c.what}: a tie: {names} score the same, whichever group of videos is left out"
    if d.groups < 2:
        return f"{c.what}: {d.value:+.4f}; one group of videos says nothing about others"
    if d.groups < FEWEST:
        return (
            f"{c.what}: {d.value:+.4f} over {d.groups} groups of videos; fewer than {FEWEST} are too few to say which "
            "run to prefer: the interval depends on a handful of videos, and others may reverse it"
        )
    if math.isinf(d.low):
        return (
            f"{c.what}: {d.value:+.4f}; the uncertainty is unknown: one group of videos holds all labels of an answer"
        )
    if d.p >= LEVEL:
        return f"{c.what}: {names} cannot be distinguished over {d.groups} groups of videos (p = {d.p:.3f})"
    high, low = (other, first) if d.value > 0 else (first, other)
    p = f"p = {d.p:.3f}" if d.p >= 0.001 else "p < 0.001"
    return f"{c.what}: {high.name} is better than {low.name} by {abs(d.value):.4f} over {d.groups} groups ({p})"


def _drivers(c: Compared) -> list[str]:
    """Return the groups whose removal would change the difference most, in each direction."""
    pulls = np.array([c.difference.value - rest for rest in c.without])
    if len(pulls) < 2 or np.isnan(pulls).any():
        return []
    order = sorted(range(len(pulls)), key=lambda g: (-pulls[g], c.groups[g]))
    ways = {"up": [g for g in order if pulls[g] > SAME], "down": [g for g in reversed(order) if pulls[g] < -SAME]}
    return [
        f"  pulled {way} most by "
        + ", ".join(f"{c.groups[g]} (without it {c.without[g]:+.4f})" for g in chosen[:SHOWN])
        for way, chosen in ways.items()
        if chosen
    ]


def _remarks(sides: Sequence[ComparedRun], figures: int) -> Iterator[str]:
    """Yield the remarks needed to read the numbers."""
    groups = len((sides[0].block("raw") or sides[0].block("post") or {}).get("groups") or ())
    yield f"Intervals: paired jackknife over {groups} groups of videos, t quantile."
    for side in sides:
        r = side.result
        if r.get("selected_on_reported", r.get("selection_split") == r.get("split")):
            n = f" by {r['n_selections']} scores" if r.get("n_selections") else ""
            what = " and ".join(r.get("selected") or ["epoch or weights"])
            yield (
                f"warning: {side.name} chose its {what}{n} on {r.get('split')}, which is compared here: its "
                "score is optimistic"
            )
        if seen := r.get("seen"):
            yield f"warning: the starting weights of {side.name} were trained on {len(seen)} of the scored videos"
    if single := [side.name for side in sides if len(side.result.get("seeds") or ()) < 2]:
        yield (
            f"One training each: {', '.join(single)}. The intervals do not include the variation over seeds "
            "(`harness run --seeds N`)."
        )
    if figures > len(KINDS) and groups >= FEWEST:
        yield (
            f"The {figures} p values are not corrected for multiple comparisons: of 20 comparisons of equal runs about "
            f"one falls below {LEVEL} by chance."
        )
