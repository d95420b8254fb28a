"""Figures of a run as tables, which are drawn for a paper and written as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from harness.reports import facts
from harness.reports.bars import bars
from harness.reports.curves import curves
from harness.reports.run_page import Unit, drop_rows, figures, is_labelled
from harness.reports.sources import RunSources
from harness.reports.thinning import edges, thin, thin_times
from harness.reports.values import CELLS, Density
from zoo.api import Answer, VideoAnswers

MOST = 40
"""Most bars of a figure; the lowest ones are kept."""
POINTS = 1500
"""Points of a timeline; more cannot be distinguished at the width of a column."""
FEW = 6
"""Most lines whose legend is inside the axes."""


@dataclass(frozen=True)
class FigureTable:
    """One figure.

    Attributes:
        name: Name of its files.
        kind: Painter of its rows (harness.reports.painters).
        columns: Names of the columns.
        rows: The data, drawn and written as CSV.
        x, y: Labels of the axes.
        ideal: Ends of the line of perfect predictions: two x, two y.
        height: Height as a share of the width.
        classes: Names of the classes of ``steps``, from the bottom.
    """

    name: str
    kind: Literal["lines", "matrix", "density", "bars", "intervals", "timeline", "steps", "interval_bars"]
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    x: str = ""
    y: str = ""
    ideal: tuple[tuple[float, float], tuple[float, float]] | None = None
    height: float = 0.7
    classes: tuple[str, ...] = ()


def figure_tables(sources: RunSources) -> list[FigureTable]:
    """Return all figures of a run; empty if it has no scores, curves or predictions."""
    return [*_scores(sources), *_curves(sources), *_predictions(sources), *_timelines(sources), *_drop_one(sources)]


def _scores(sources: RunSources) -> Iterator[FigureTable]:
    rows = [(r["label"], r["main"], r["low"], r["high"]) for r in facts.score_rows(sources.record.result)]
    if rows:
        metric = str(sources.record.result.get("metric"))
        columns = ("score", metric, "low", "high")
        yield FigureTable("scores", "intervals", columns, rows, metric, height=0.15 + 0.1 * len(rows))


def _curves(sources: RunSources) -> Iterator[FigureTable]:
    for chart in curves(sources.histories):
        rows = [
            (line["name"], epoch, value)
            for line in chart["series"]
            for epoch, value in zip(chart["x"], line["values"], strict=True)
            if value is not None
        ]
        name = f"training-{chart['title'].lower().replace(' ', '-')}"
        height = 0.7 + (0.02 * len(chart["series"]) if len(chart["series"]) > FEW else 0)
        label = chart["title"][0].lower() + chart["title"][1:]
        yield FigureTable(name, "lines", ("series", "epoch", "value"), rows, "epoch", label, height=height)


def _predictions(sources: RunSources) -> Iterator[FigureTable]:
    drawn, rows = figures(sources), list[tuple[Any, ...]]()
    for f in drawn["confusions"]:
        rows = [
            (a, b, n, n / total if total else 0.0)
            for a, counts, total in zip(f["classes"], f["counts"], f["totals"], strict=True)
            for b, n in zip(f["classes"], counts, strict=True)
        ]
        columns = ("label", "prediction", "frames", "share of the label")
        yield FigureTable(f"confusion-{f['name']}", "matrix", columns, rows, "prediction", "label", height=1.0)
    yield from _units(drawn["units"])
    for d in drawn["densities"]:
        yield _density(d)
    for m in drawn["means"]:
        rows = list(zip(["mean label"] * len(m["bins"].label), *m["bins"], strict=True))
        ends = (m["low"], m["high"])
        columns = ("series", "prediction", "mean label", "frames")
        yield FigureTable(
            f"calibration-{m['name']}",
            "lines",
            columns,
            rows,
            f"predicted {m['name']}",
            "mean label",
            (ends, ends),
            0.9,
        )
    for r in drawn["reliabilities"]:
        rows = list(zip([r["name"]] * len(r["bins"].frames), *r["bins"][:3], strict=True))
        columns = ("series", "confidence", "share right", "frames")
        yield FigureTable(
            f"calibration-{r['name']}", "lines", columns, rows, "confidence", "share right", ((0, 1), (0, 1)), 0.9
        )
    for what in ("videos", "groups"):
        if scored := [(bar.name, bar.score, bar.frames) for bar in drawn[what]]:
            height = 0.3 + 0.035 * min(MOST, len(scored))
            metric = str(sources.record.result.get("metric"))
            yield FigureTable(
                f"scores-of-{what}", "bars", (what[:-1], metric, "frames"), scored[:MOST], metric, "", None, height
            )


def _timelines(sources: RunSources) -> Iterator[FigureTable]:
    """Yield prediction and label over time for the videos with the lowest, the middle and the highest score."""
    if sources.track is None or not is_labelled(sources):
        return
    scored, _ = bars(sources.track, sources.raw)
    places = dict.fromkeys((0, len(scored) // 2, len(scored) - 1)) if scored else {}
    by_name, names = {video.video: video for video in sources.raw}, [scored[at].name for at in places]
    for which, name in zip(("lowest", "middle", "highest"), names, strict=False):
        for answer in sources.track.answers:
            if answer.kind != "binary":
                yield from _timeline(answer, by_name[name], which if len(scored) > 1 else "only")


def _timeline(answer: Answer, video: VideoAnswers, which: str) -> Iterator[FigureTable]:
    values, true = (np.asarray(x[answer.name], np.float64) for x in (video.values, video.targets))
    if not np.isfinite(true).any():
        return
    said = values.argmax(1).astype(np.float64) if answer.kind == "class" else values
    bounds = edges(len(said), POINTS)
    times = thin_times(np.asarray(video.times, np.float64), bounds)
    rows: list[tuple[Any, ...]] = []
    for series, line in (("label", true), ("prediction", said)):
        for time, value in zip(times.tolist(), thin(line, bounds).tolist(), strict=True):
            known = np.isfinite(value)
            shown = answer.classes[int(value)] if known and answer.kind == "class" else value if known else None
            rows.append((series, time, shown, video.video))
    yield FigureTable(
        f"timeline-{answer.name}-{which}",
        "steps" if answer.kind == "class" else "timeline",
        ("series", "seconds", answer.name, "video"),
        rows,
        "seconds",
        "" if answer.kind == "class" else answer.name,
        None,
        0.5,
        answer.classes,
    )


def _drop_one(sources: RunSources) -> Iterator[FigureTable]:
    """Yield the scores without each input branch, if `harness evaluate --drop each` was run."""
    rows = [
        (r["name"], r["main"], r["low"], r["high"], r["difference"], r["from"], r["to"]) for r in drop_rows(sources)
    ]
    if len(rows) > 1:
        metric = str(sources.record.result.get("metric"))
        columns = ("condition", metric, "low", "high", "difference", "difference from", "difference to")
        yield FigureTable("drop-one", "interval_bars", columns, rows, metric, height=0.3 + 0.08 * len(rows))


def _units(units: Sequence[Unit]) -> Iterator[FigureTable]:
    for unit in units:
        if curve := unit["curve"]:
            rows = list(zip([unit["name"]] * len(curve.recall), curve.recall, curve.precision, strict=True))
            columns = ("unit", "recall", "precision")
            name = f"precision-recall-{unit['name']}"
            yield FigureTable(name, "lines", columns, rows, "recall", "precision", ((0, 1), (curve.share,) * 2), 0.9)
    if units:
        rows = sorted(((u["name"], u["each"].f1, u["each"].labels) for u in units), key=lambda row: row[1])
        yield FigureTable("f1-of-units", "bars", ("unit", "F1", "active labels"), rows, "F1", "", None, 0.8)


def _density(d: Density) -> FigureTable:
    width = [(high - low) / CELLS for low, high in zip(d.low, d.high, strict=True)]
    rows = [
        (d.low[0] + width[0] * (j + 0.5), d.low[1] + width[1] * (i + 0.5), n)
        for i, row in enumerate(d.counts)
        for j, n in enumerate(row)
    ]
    against_label = ":" not in d.x
    ideal = ((d.low[0], d.high[0]), (d.low[1], d.high[1])) if against_label else None
    name = "density-" + d.x.split(",")[0].replace(": ", "-") + ("" if against_label else f"-{d.y}")
    x = d.x if against_label else d.x.partition(": ")[2]
    return FigureTable(name, "density", (d.x, d.y, "frames"), rows, x, d.y, ideal, 0.85)
