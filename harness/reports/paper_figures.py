"""`harness report RUN --figures DIR`: a run's figures for a paper, as PDF, SVG and PNG, with the data of each as CSV.

The numbers are those on the run's page; Matplotlib draws them at the width of a column, with embedded fonts.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from harness.io.atomic import atomic
from harness.reports.figure_tables import FigureTable, figure_tables
from harness.reports.painters import PAINTERS, plain
from harness.reports.sources import read_sources
from zoo.errors import UserError, first_line
from zoo.text import inert, visible

FORMATS = ("pdf", "svg", "png")


class Style(NamedTuple):
    """A paper's format: width of a column in inches, font size in points, font family."""

    width: float
    size: float
    family: str


STYLES = {"ieee": Style(3.5, 8.0, "serif"), "acm": Style(3.35, 9.0, "sans-serif")}
"""IEEE: columns of 88.9 mm, Times; ACM: acmart's two columns of 3.33 inches, here in a sans-serif font."""


def write_figures(run: Path, place: Path, style: str) -> list[Path]:
    """Draw all figures of a run into a folder and return the files.

    Args:
        run: The run's folder.
        place: The folder of the figures; created if missing.
        style: A name of ``STYLES``.

    Raises:
        UserError: The style is unknown, Matplotlib is missing, or the run has no record or nothing to draw.
    """
    if style not in STYLES:
        raise UserError("report-style-unknown", style=style, names=", ".join(STYLES))
    pyplot = _matplotlib()
    tables = figure_tables(read_sources(run))
    if not tables:
        raise UserError("report-no-figures", folder=run)
    written: list[Path] = []
    with pyplot.rc_context(settings(STYLES[style])):
        for table in tables:
            stem = place / _stem(table)
            atomic(stem.with_name(f"{stem.name}.csv"), partial(_write_csv, table=table))
            written += [stem.with_name(f"{stem.name}.csv"), *_draw(pyplot, table, stem, STYLES[style])]
    return written


def draw_pictures(run: Path, place: Path) -> list[Path]:
    """Draw all figures of a run as PNG files into a folder and return the files.

    Return no files without Matplotlib or if a figure cannot be drawn, because a run must not fail for its figures.
    """
    try:
        pyplot = _matplotlib()
        tables = figure_tables(read_sources(run))
        with pyplot.rc_context(settings(STYLES["ieee"]) | {"savefig.dpi": 150}):
            return [
                path
                for table in tables
                for path in _draw(pyplot, table, place / _stem(table), STYLES["ieee"], ("png",))
            ]
    except Exception as error:
        if not isinstance(error, UserError) or error.code != "report-no-matplotlib":
            print(visible(f"warning: no pictures for the loggers ({first_line(error)})"), file=sys.stderr, flush=True)
        return []


def _stem(table: FigureTable) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", table.name)


def settings(style: Style) -> dict[str, Any]:
    """Return Matplotlib's settings for a paper's format: TrueType fonts in a PDF, text as text in an SVG."""
    return {
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
        "svg.fonttype": "none",
        "svg.hashsalt": "abaw-zoo",
        "font.family": style.family,
        "font.size": style.size,
        "axes.titlesize": style.size,
        "axes.labelsize": style.size,
        "xtick.labelsize": style.size - 1,
        "ytick.labelsize": style.size - 1,
        "legend.fontsize": style.size - 1,
        "axes.linewidth": 0.6,
        "lines.linewidth": 1.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.constrained_layout.use": True,
        "savefig.dpi": 300,
    }


def _matplotlib() -> Any:
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        raise UserError("report-no-matplotlib") from None
    return pyplot


def _draw(pyplot: Any, table: FigureTable, stem: Path, style: Style, forms: Sequence[str] = FORMATS) -> Iterator[Path]:
    figure, axes = pyplot.subplots(figsize=(style.width, style.width * table.height))
    try:
        PAINTERS[table.kind](axes, table)
        axes.set_xlabel(plain(table.x))
        axes.set_ylabel(plain(table.y))
        for form in forms:
            path = stem.with_name(f"{stem.name}.{form}")
            metadata = {"Date": None} if form == "svg" else {"CreationDate": None} if form == "pdf" else {}
            atomic(path, partial(figure.savefig, format=form, metadata=metadata))
            yield path
    finally:
        pyplot.close(figure)


def _write_csv(part: Path, table: FigureTable) -> None:
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(map(inert, table.columns))
        writer.writerows([inert(v) if isinstance(v, str) else v for v in row] for row in table.rows)
