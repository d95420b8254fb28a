"""Figures for papers: their data in CSV, fonts that are embedded, one line where something is missing."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.reports.bars import bars
from harness.reports.figure_tables import POINTS, figure_tables
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


def drop_file(run: Path) -> None:
    """What `harness evaluate --drop each` leaves."""
    rows = [
        {"name": name, "raw": {"main": main, "low": main - 0.1, "high": main + 0.1, "difference": difference}}
        for name, main, difference in (
            ("all", 0.5, None),
            ("without face", 0.2, {"value": -0.3, "low": -0.4, "high": -0.2, "groups": 3, "p": 0.01}),
        )
    ]
    sha256 = read_sources(run).record.result_sha256
    (run / "robustness").mkdir()
    (run / "robustness" / "val.json").write_text(json.dumps({"result_sha256": sha256, "conditions": rows}))


def test_timelines_hold_predictions_and_labels_of_three_videos(tmp_path: Path) -> None:
    va = track_of("va")
    videos = videos_of(va, (*NAMES, HOSTILE, "e"), n=4000)
    videos[1].targets["valence"][:] = np.nan
    sources = read_sources(make_run(tmp_path / "run", va, videos))
    tables = {t.name: t for t in figure_tables(sources)}
    scored = [bar.name for bar in bars(va, sources.raw)[0]]
    for which, at in (("lowest", 0), ("middle", len(scored) // 2), ("highest", -1)):
        table = tables[f"timeline-arousal-{which}"]
        (name,) = {row[3] for row in table.rows}
        assert name == scored[at]
        video = next(v for v in videos if v.video == name)
        for series, values in (("label", video.targets), ("prediction", video.values)):
            shown = [row[2] for row in table.rows if row[0] == series]
            assert len(shown) <= POINTS
            assert (min(shown), max(shown)) == pytest.approx((values["arousal"].min(), values["arousal"].max()))


def test_a_timeline_of_classes_names_them(tmp_path: Path) -> None:
    expr = track_of("expr")
    (video,) = videos_of(expr, ["a"], n=50)
    tables = {t.name: t for t in figure_tables(read_sources(make_run(tmp_path / "run", expr, [video])))}
    table, classes = tables["timeline-expression-only"], expr.answers[0].classes
    shown = [row[2] for row in table.rows if row[0] == "prediction"]
    assert shown == [classes[k] for k in video.values["expression"].argmax(1)]
    assert [row[2] for row in table.rows if row[0] == "label"] == [classes[int(k)] for k in video.targets["expression"]]


def test_drop_one_bars_only_where_they_were_computed(tmp_path: Path) -> None:
    va = track_of("va")
    run = make_run(tmp_path / "run", va, videos_of(va, NAMES))
    assert "drop-one" not in {t.name for t in figure_tables(read_sources(run))}
    drop_file(run)
    (table,) = (t for t in figure_tables(read_sources(run)) if t.name == "drop-one")
    assert table.rows[0][:2] == ("all", 0.5)
    assert table.rows[1] == ("without face", 0.2, pytest.approx(0.1), pytest.approx(0.3), -0.3, -0.4, -0.2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["va", "expr", "mtl"])
def test_timelines_and_drop_one_are_drawn_with_their_data(tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    track = track_of(name)
    run = make_run(
        tmp_path / "run", track, videos_of(track, NAMES, n=300), edition="abaw11" if name == "mtl" else "abaw10"
    )
    drop_file(run)
    written = {path.name for path in write_figures(run, tmp_path / "figures", "ieee")}
    stems = {path.removesuffix(".csv") for path in written if path.startswith(("timeline-", "drop-one"))}
    stems = {stem for stem in stems if "." not in stem}
    assert len(stems) == {"va": 7, "expr": 4, "mtl": 10}[name]
    for stem in stems:
        assert {f"{stem}.{form}" for form in ("csv", *FORMATS)} <= written
    assert "drop-one.csv" in written
