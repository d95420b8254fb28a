"""`harness bench --predict`: the figures fit together, and what does not go with it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli.commands.bench_predict import Figures, render
from harness.predicting.speed import one_pass, stages
from tests.support.media import write_click_video
from tests.support.program import Program

RUN = ("--track", "expr", "--encoders", "frame,audio", "--fusion", "late", "--epochs", 1, "--head", "gru")


def test_the_bound_is_of_all_cores() -> None:
    seconds = {"decode": 0.002, "detect": 0.006, "cut": 0.001, "encode": 0.001}
    figures = Figures(seconds, 2, 100, 150.0, 0.012, 1.0, 1.5, 3.0, 800.0, 1)
    assert figures.bound == pytest.approx(200)
    text = render(figures, Path("a\nb.mp4"), None)
    assert "= 200.0 frames/s" in text
    assert "one pass: 150.0 frames/s, 75% of the bound; 12.00 ms" in text
    assert text.splitlines()[0] == "a\\nb.mp4: 100 frames; model of the default recipe"
    assert "decoded" not in text


@pytest.mark.slow
def test_from_the_command_line(program: Program, tmp_path: Path) -> None:
    run, video, out = program.kept(*RUN), tmp_path / "v.mp4", tmp_path / "speed.json"
    write_click_video(video, n_frames=40, click_frame=None)
    how = ("--predict", video, "--model", run, "--rounds", 1, "--json", out)
    answer = program("bench", *how, "--set", "detector.mode=track")
    assert answer.code == 0, answer.err
    known = json.loads(out.read_text())
    assert known["frames"] == 40
    assert set(known["stages"]) == {"decode", "detect", "cut", "encode"}
    assert known["stages"]["detect"] > 0
    assert known["bound"] == pytest.approx(known["cores"] / sum(known["stages"].values()))
    assert 0 < known["load"] < known["first_frame"] < known["first_row"]
    assert known["rate"] > 0
    assert known["peak_mb"] > 100
    assert "of the bound" in answer.out


def test_in_this_process(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    monkeypatch.setattr("cv2.setNumThreads", lambda number: None)  # which would stay so for other tests
    monkeypatch.setattr("torch.set_num_threads", lambda number: None)
    run, video = str(program.kept(*RUN)), tmp_path / "v.mp4"
    write_click_video(video, n_frames=12, click_frame=None)
    assert all(seconds >= 0 for seconds in stages(str(video), run, [], [], 1).values())
    assert one_pass(str(video), run, [], [])["frames"] == 12


def test_what_is_refused(program: Program, tmp_path: Path) -> None:
    video = tmp_path / "v.mp4"
    write_click_video(video, n_frames=4, click_frame=None)
    program("bench", "--predict", video, "--encoders", "face").refused("bench-predict-options")
    program("bench", "--model", "fer").refused("bench-model-without-predict")
    program("bench", "--predict", tmp_path / "none.mp4").refused("predict-no-file")
    program("bench", "--predict", video, "--set", "train.lr=1").refused("detector-setting", got="train.lr=1")
