"""Painters of the figures for a paper: each draws the rows of one kind of table with Matplotlib."""

from __future__ import annotations

from typing import Any

from harness.reports.figure_tables import FEW, FigureTable


def plain(text: str) -> str:
    """Return a text with dollar signs escaped, so that Matplotlib reads no formula."""
    return text.replace("$", r"\$")


def _lines(axes: Any, table: FigureTable) -> None:
    """Draw lines from rows of series, x, y; ``table.ideal`` is the line of perfect predictions."""
    for name in dict.fromkeys(str(row[0]) for row in table.rows):
        points = [(row[1], row[2]) for row in table.rows if str(row[0]) == name]
        axes.plot(*zip(*points, strict=True), label=plain(name), marker="." if len(points) < 40 else None, markersize=3)
    if table.ideal:
        axes.plot(*table.ideal, color="0.6", linestyle=":", linewidth=0.8)
    if table.x == "epoch":
        axes.locator_params(axis="x", integer=True, nbins="auto")
    series = len({row[0] for row in table.rows})
    if series > FEW:  # a legend below the axes hides nothing
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.45, -0.3), ncols=3, fontsize="xx-small")
    elif series > 1:
        axes.legend(frameon=False)


def _matrix(axes: Any, table: FigureTable) -> None:
    """Draw a confusion matrix from rows of label, prediction, frames, share of the label's frames."""
    names = list(dict.fromkeys(str(row[0]) for row in table.rows))
    n = len(names)
    shares = [[table.rows[i * n + j][3] for j in range(n)] for i in range(n)]
    axes.imshow(shares, cmap="Oranges", vmin=0, vmax=1)
    for i, row in enumerate(shares):
        for j, share in enumerate(row):
            axes.text(j, i, f"{share:.2f}"[1 if share < 1 else 0 :], ha="center", va="center", fontsize="xx-small")
    axes.set_xticks(range(n), [plain(name) for name in names], rotation=60, ha="right")
    axes.set_yticks(range(n), [plain(name) for name in names])


def _density(axes: Any, table: FigureTable) -> None:
    """Draw a density from rows of x, y (centres of cells), frames."""
    xs, ys = (sorted({float(row[i]) for row in table.rows}) for i in (0, 1))
    place = {(float(row[0]), float(row[1])): row[2] for row in table.rows}
    counts = [[place.get((x, y), 0) for x in xs] for y in ys]
    image = axes.pcolormesh(xs, ys, counts, cmap="Oranges", shading="nearest", rasterized=True)
    axes.figure.colorbar(image, ax=axes, label="frames", shrink=0.85)
    axes.set_aspect("equal")
    if table.ideal:
        axes.plot(*table.ideal, color="0.4", linestyle=":", linewidth=0.8)


def _bars(axes: Any, table: FigureTable) -> None:
    """Draw bars from rows of name, score, frames; the first row is at the top."""
    names, scores = [plain(str(row[0])) for row in table.rows], [float(row[1]) for row in table.rows]
    axes.barh(range(len(names)), scores, color="C1", height=0.7)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names, fontsize="xx-small")


def _intervals(axes: Any, table: FigureTable) -> None:
    """Draw points with intervals from rows of name, score, low, high; an unknown interval is left out."""
    for i, (name, main, low, high) in enumerate(table.rows):
        known = low is not None and high is not None
        axes.errorbar(
            main,
            i,
            xerr=[[main - low], [high - main]] if known else None,
            fmt="o",
            color="C1",
            markersize=3,
            label=name,
        )
    axes.set_yticks(range(len(table.rows)), [plain(str(row[0])) for row in table.rows])
    axes.set_ylim(len(table.rows) - 0.5, -0.5)


def _timeline(axes: Any, table: FigureTable) -> None:
    """Draw a timeline from rows of series, seconds, a value or a class; the prediction is drawn over the label."""
    place = {name: k for k, name in enumerate(table.classes)}
    for name, colour, wide in (("label", "0.45", 1.6), ("prediction", "C1", 0.9)):
        points = [
            (row[1], place.get(row[2], float("nan")) if place else row[2]) for row in table.rows if row[0] == name
        ]
        xs, ys = zip(*((x, float("nan") if y is None else y) for x, y in points), strict=True)
        style = {"drawstyle": "steps-post"} if place else {}
        axes.plot(xs, ys, label=name, color=colour, linewidth=wide, **style)
    if place:
        axes.set_yticks(range(len(place)), [plain(one) for one in place])
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def _interval_bars(axes: Any, table: FigureTable) -> None:
    """Draw bars with intervals from rows of name, score, low, high, ...; the first row is the whole run."""
    for i, (_, main, low, high, *_) in enumerate(table.rows):
        known = low is not None and high is not None
        error = [[main - low], [high - main]] if known else None
        axes.barh(i, main, color="C0" if i == 0 else "C1", height=0.7, xerr=error, error_kw={"linewidth": 0.8})
    axes.set_yticks(range(len(table.rows)), [plain(str(row[0])) for row in table.rows])
    axes.set_ylim(len(table.rows) - 0.5, -0.5)
    axes.axvline(0, color="0.4", linewidth=0.6)


PAINTERS = {
    "lines": _lines,
    "matrix": _matrix,
    "density": _density,
    "bars": _bars,
    "intervals": _intervals,
    "timeline": _timeline,
    "steps": _timeline,
    "interval_bars": _interval_bars,
}
