"""Training curves: loss, score, its parts, learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from harness.reports.sources import History
from harness.training.score_parts import is_part, is_shown

CHARTS = (("Loss", ("loss", "val_loss")), ("Score on validation", ("val",)), ("Learning rate", ("lr",)))
_NAMES = {"loss": "training", "val_loss": "validation", "val": "score", "lr": "learning rate"}
MEMBERS = 10
"""Most members whose curves are drawn; more could not be distinguished."""


class Series(TypedDict):
    """A line of a chart: its value at each epoch, None where it has none."""

    name: str
    values: list[float | None]


class Chart(TypedDict):
    """A chart as the page's script reads it; ``x``: the epochs."""

    title: str
    x: list[float]
    series: list[Series]


def curves(histories: Mapping[str, History]) -> list[Chart]:
    """Return the charts of a run, or of several runs or members by name; charts without a number are left out."""
    shown = dict(list(histories.items())[:MEMBERS])
    charts = [_chart(title, shown, columns) for title, columns in CHARTS]
    if len(shown) == 1:
        history = next(iter(shown.values()))
        parts = dict.fromkeys(name for row in history for name in row if _is_part(name))
        names = [name for name in parts if not _is_score(name, history)]
        single = [name for name in names if not is_shown(name.removeprefix("val_"))]
        charts.insert(2, _chart("Parts of the score", shown, [name for name in names if name not in single]))
        charts.insert(3, _chart("F1 of each class and unit", shown, single))
    return [chart for chart in charts if chart["series"]]


def _chart(title: str, histories: Mapping[str, History], columns: Sequence[str]) -> Chart:
    epochs = sorted({row["epoch"] for rows in histories.values() for row in rows if "epoch" in row})
    series: list[Series] = []
    for member, rows in histories.items():
        by_epoch = {row["epoch"]: row for row in rows if "epoch" in row}
        for column in columns:
            values = [by_epoch.get(epoch, {}).get(column) for epoch in epochs]
            if any(value is not None for value in values):
                name = _NAMES.get(column, column.removeprefix("val_"))
                series.append({"name": f"{member} {name}".strip(), "values": values})
    return {"title": title, "x": epochs, "series": series}


def _is_score(column: str, history: History) -> bool:
    """Return whether a column repeats the score under the name of its metric."""
    return all(row[column] == row.get("val") for row in history if column in row)


def _is_part(column: str) -> bool:
    """Return whether a column is a part of the score."""
    name = column.removeprefix("val_")
    return column.startswith("val_") and name != "loss" and is_part(name)
