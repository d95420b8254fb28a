"""`harness report` and `harness data report` as commands: what is written where, and one line where nothing can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.refusals import refused
from tests.support.report_runs import make_run, track_of, videos_of


def test_one_run_several_runs_and_a_data_folder(harness: Any, tmp_path: Path) -> None:
    va = track_of("va")
    runs = [make_run(tmp_path / "runs" / name, va, videos_of(va, ["a", "b"])) for name in ("one", "two")]
    assert harness("report", runs[0]).code == 0
    assert (runs[0] / "report.html").is_file()
    assert harness("report", *runs).code == 0
    assert 'href="one/report.html"' in (tmp_path / "runs" / "comparison.html").read_text(encoding="utf-8")
    assert harness("report", *runs, "--out", tmp_path / "side.html").code == 0
    assert 'href="runs/one/report.html"' in (tmp_path / "side.html").read_text(encoding="utf-8")
    assert harness("leaderboard", tmp_path / "runs", "--out", tmp_path / "board.html").code == 0
    assert 'href="runs/one/report.html"' in (tmp_path / "board.html").read_text(encoding="utf-8")
    (tmp_path / "data").mkdir()
    assert harness("data", "report", tmp_path / "data").code == 0
    assert (tmp_path / "data" / "report.html").is_file()


def test_options_that_do_not_go_together(harness: Any, tmp_path: Path) -> None:
    refused("report-figures-options").check(harness("report", "a", "b", "--figures", tmp_path).error)
    refused("report-no-record").check(harness("report", tmp_path).error)
