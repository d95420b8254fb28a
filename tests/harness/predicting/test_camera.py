"""Cameras, by a file behind the same opener: rows as they come, Ctrl-C, runs and ready models. No real camera."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from harness.predicting.command import load_model, one_file, predict_file
from plugins.encoders import fer
from tests.support.carried import want
from tests.support.media import write_click_video
from tests.support.program import Program

RUN = ("--track", "expr", "--encoders", "frame,audio", "--fusion", "late", "--epochs", 1, "--head", "gru")
FRAMES = 12


class FileCamera:
    """A camera that shows the first frames of a file, and may be stopped by Ctrl-C after one of them."""

    def __init__(self, file: Path, frames: int, ctrl_c_after: int | None = None) -> None:
        self.file, self.frames, self.ctrl_c_after, self.read_so_far = (
            cv2.VideoCapture(str(file)),
            frames,
            ctrl_c_after,
            0,
        )

    def isOpened(self) -> bool:
        return self.file.isOpened()

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self.read_so_far == self.ctrl_c_after:
            signal.raise_signal(signal.SIGINT)
        self.read_so_far += 1
        return self.file.read() if self.read_so_far <= self.frames else (False, None)

    def release(self) -> None:
        self.file.release()


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that plugs in a file as every camera."""
    capture = cv2.VideoCapture

    def plug(file: Path, frames: int = FRAMES, ctrl_c_after: int | None = None) -> None:
        def opened(source: int | str) -> object:
            return FileCamera(file, frames, ctrl_c_after) if isinstance(source, int) else capture(source)

        monkeypatch.setattr(cv2, "VideoCapture", opened)

    return plug


def test_a_run_and_a_camera(program: Program, plugged: Callable[..., None], tmp_path: Path) -> None:
    write_click_video(tmp_path / "v.mp4", n_frames=FRAMES, click_frame=None)
    plugged(tmp_path / "v.mp4")
    run, out = program.kept(*RUN), tmp_path / "out"
    answer = program("predict", "0", "--model", run, "--out", out, "--format", "parquet")
    assert answer.code == 0, answer.err
    table = pd.read_parquet(out / "camera-0.parquet")
    assert table["frame"].tolist() == list(range(1, FRAMES + 1))
    assert (np.diff(table["time"]) > 0).all()
    assert json.loads((out / "about.json").read_text())["inputs"] == [
        {"input": "camera 0", "frames": FRAMES, "table": "camera-0.parquet"}
    ]
    columns = predict_file(one_file(tmp_path / "v.mp4"), load_model(str(run))).columns
    assert table.columns.tolist() == columns.tolist()


@pytest.mark.parametrize("out", ["folder", "-"])
def test_ctrl_c_completes_the_rows(program: Program, plugged: Callable[..., None], tmp_path: Path, out: str) -> None:
    write_click_video(tmp_path / "v.mp4", n_frames=FRAMES, click_frame=None)
    plugged(tmp_path / "v.mp4", ctrl_c_after=5)
    where = "-" if out == "-" else tmp_path / out
    answer = program("predict", "0", "--model", program.kept(*RUN), "--out", where)
    assert answer.code == 0, answer.err
    text = answer.out if out == "-" else (tmp_path / out / "camera-0.csv").read_text()
    assert len(pd.read_csv(io.StringIO(text))) == 6


def test_what_is_refused(program: Program, plugged: Callable[..., None], tmp_path: Path) -> None:
    write_click_video(tmp_path / "v.mp4", n_frames=FRAMES, click_frame=None)
    how = ("predict", "0", "--model", program.kept(*RUN), "--out", tmp_path / "out")
    program(*how, "--overlay", tmp_path / "o.mp4").refused("predict-overlay-no-video", path=tmp_path / "o.mp4")
    plugged(tmp_path / "v.mp4", frames=0)
    program(*how).refused("predict-camera", number=0)
    plugged(tmp_path / "none.mp4")
    program(*how).refused("predict-camera", number=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_ready_model_and_a_camera(program: Program, plugged: Callable[..., None], real: Path, tmp_path: Path) -> None:
    want(fer.card("face", None))
    video = real / "videos" / "talking_face_unlabelled.mp4"
    plugged(video)
    answer = program("predict", "0", "--model", "fer", "--out", "-", "--format", "jsonl")
    assert answer.code == 0, answer.err
    live = pd.read_json(io.StringIO(answer.out), lines=True)
    whole = predict_file(one_file(video), load_model("fer")).head(FRAMES)
    assert live["present_face"].all()
    names = [name for name in live if name.startswith("p_")]
    # OpenCV decodes other pixels than FFmpeg, and one picture at once is rounded otherwise than a batch.
    np.testing.assert_allclose(live[names], whole[names], atol=0.03)
    np.testing.assert_allclose(live[["x0", "y0", "x1", "y1"]], whole[["x0", "y0", "x1", "y1"]], atol=2)
