"""Figures for papers: their data in CSV, fonts that are embedded, one line where something is missing."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from harness.reports.figure_tables import figure_tables
from harness.reports.paper_figures import FORMATS, write_figures
from harness.reports.sources import read_sources
from tests.support.made_up import HOSTILE
from tests.support.refusals import refused
from tests.support.report_runs import make_run, track_of, videos_of
from zoo.api import Answer, TrackSpec
from zoo.metrics.scores import confusion

NAMES = ("a_left", "a_right", "b")


def test_the_tables_hold_the_numbers_of_the_predictions(tmp_path: Path) -> None:
    expr = track_of("expr")
    videos = videos_of(expr, NAMES)
    tables = {t.name: t for t in figure_tables(read_sources(make_run(tmp_path / "run", expr, videos)))}
    assert {"scores", "training-loss", "confusion-expression", "calibration-expression", "scores-of-videos"} <= set(
        tables
    )
    answer = expr.answers[0]
    counts = sum(
        confusion(v.values[answer.name].argmax(1), v.targets[answer.name], len(answer.classes)) for v in videos
    )
    assert [row[2] for row in tables["confusion-expression"].rows] == counts.reshape(-1).tolist()
    assert tables["training-loss"].rows == [("training", 1.0, 1.5), ("training", 2.0, 1.0)]


@pytest.mark.slow
def test_each_figure_is_written_in_every_format_with_its_data(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    expr = track_of("expr")
    run = make_run(tmp_path / "run", expr, videos_of(expr, NAMES))
    written = write_figures(run, tmp_path / "out", "acm")
    stems = {path.stem for path in written}
    assert {path.name for path in written} == {f"{stem}.{end}" for stem in stems for end in ("csv", *FORMATS)}
    for path in written:
        assert path.stat().st_size > 0
        if path.suffix == ".pdf":
            content = path.read_bytes()
            assert b"/FontFile2" in content, f"{path.name}: no TrueType font is embedded"
            assert b"/Type3" not in content
    with (tmp_path / "out" / "scores-of-videos.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["video", "macro_f1", "frames"]
    assert len(rows) == 1 + len(NAMES)
    again = {path: path.read_bytes() for path in written if path.suffix != ".csv"}
    write_figures(run, tmp_path / "out", "acm")
    assert {path: path.read_bytes() for path in again} == again


@pytest.mark.slow
def test_names_of_strangers_are_no_formulas(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    odd = TrackSpec(
        "odd", (Answer("mood", "class", -1, (HOSTILE, r"$\frac{1}$", "=1+1")),), "macro_f1", (0, 1), (), (), "", ""
    )
    run = make_run(tmp_path / "run", odd, videos_of(odd, ("$x^", "=cmd", HOSTILE)), edition="strangers")
    for path in write_figures(run, tmp_path / "out", "ieee"):
        if path.suffix == ".csv":
            with path.open(newline="") as file:
                assert not [cell for row in csv.reader(file) for cell in row if cell.startswith(("=", "+", "@"))]


def test_what_is_missing_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    va = track_of("va")
    run = make_run(tmp_path / "run", va, videos_of(va, NAMES))
    with refused("report-style-unknown", style="nature"):
        write_figures(run, tmp_path, "nature")
    empty = make_run(tmp_path / "empty", va, videos_of(va, ["t"], labelled=False), history=None)
    assert figure_tables(read_sources(empty)) == []
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with refused("report-no-matplotlib"):
        write_figures(run, tmp_path, "ieee")
