"""Faces at the largest errors: which frames, whose crops, what the file says, and that nothing links it."""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from harness.reports.faces_page import errors_of, largest_errors
from tests.support.made_up import HOSTILE
from tests.support.refusals import refused
from tests.support.report_runs import make_run, track_of, videos_of
from zoo.api import Answer, VideoAnswers


def video(answer: Answer, values: np.ndarray, true: list[float], name: str = "v") -> VideoAnswers:
    n = len(true)
    return VideoAnswers(name, name, {answer.name: values}, {answer.name: np.array(true)}, {}, np.arange(n) / 10)


def test_errors_of_each_kind() -> None:
    nan = float("nan")
    value = Answer("valence", "value", -5)
    np.testing.assert_allclose(errors_of(value, video(value, np.array([0.5, -1, 0]), [0.5, 1, nan])), [0, 2, 0])
    binary = Answer("AU1", "binary", -1)
    found = errors_of(binary, video(binary, np.array([0.9, 0.9, 0.2, 0.4]), [1, 0, 1, nan]))
    np.testing.assert_allclose(found, [0, 0.9, 0.8, 0])
    classes = Answer("expression", "class", -1, ("a", "b"))
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
    np.testing.assert_allclose(errors_of(classes, video(classes, p, [1, 0, nan])), [0.9, 0, 0])
    (one,) = largest_errors(classes, [video(classes, p, [1, 0, nan])])
    assert (one.video, one.frame, one.label, one.prediction) == ("v", 0, "b", "a 0.90")


def test_the_largest_error_of_all_videos_is_first() -> None:
    value = Answer("valence", "value", -5)
    videos = [video(value, np.zeros(3), [0.1, 0.9, 0]), video(value, np.zeros(2), [-1, 0.5], "w")]
    assert [(m.video, m.frame) for m in largest_errors(value, videos)] == [("w", 0), ("v", 1), ("w", 1), ("v", 0)]


@pytest.fixture(scope="module")
def run(program):  # type: ignore[no-untyped-def]
    return program.kept("--encoders", "face", "--epochs", 1, "--head", "gru", "--track", "expr")


def test_the_crops_are_those_of_the_data(program, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "f.html"
    answer = program("report", run, "--faces", "--out", out)
    assert answer.code == 0, answer.err
    assert "it holds faces" in answer.out
    page = out.read_text()
    assert "Synthetic demo set" in page
    assert "<script" not in page
    cards = re.findall(r'src="data:image/jpeg;base64,([^"]+)".*?<span>(\w+), frame (\d+),', page)
    assert cards
    for data, name, number in cards:
        shown = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        (file,) = program.demo.rglob(f"{name}/{int(number):05d}.jpg")
        there = cv2.resize(cv2.imread(str(file)), shown.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(shown.astype(int) - there).mean() < 8
    assert len(page) < 1_000_000


def test_no_page_links_the_file(program, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "runs" / "r"
    shutil.copytree(run, folder)
    assert program("report", folder, "--faces", "--data", program.demo).code == 0
    assert (folder / "faces.html").is_file()
    assert program("report", folder).code == 0
    board = tmp_path / "board.html"
    assert program("leaderboard", folder.parent, "--format", "html", "--out", board).code == 0
    pages = [path for path in tmp_path.rglob("*.html") if path.name != "faces.html"]
    assert len(pages) >= 2
    assert not [path for path in pages if "faces.html" in path.read_text()]


def test_people_are_named_as_such(program, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data = tmp_path / "real"
    shutil.copytree(program.demo, data)
    (data / "demo.json").unlink()
    assert program("report", run, "--faces", "--data", data, "--out", tmp_path / "f.html").code == 0
    page = (tmp_path / "f.html").read_text()
    assert "Aff-Wild2" in page
    assert "redistribute" in page
    assert "Synthetic" not in page


def test_what_is_refused(program, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    program("report", run, run, "--faces").refused("report-faces-options")
    program("report", run, "--data", program.demo).refused("report-data-options")
    program("report", run, "--faces", "--data", tmp_path / "none").refused("data-missing")
    gone = tmp_path / "gone"
    shutil.copytree(program.demo, tmp_path / "data")
    one_epoch = ("--epochs", 1, "--head", "mlp", "--track", "expr", "--encoders", "face")
    assert program("run", "--data", tmp_path / "data", "--out", tmp_path, "--name", "gone", *one_epoch).code == 0
    for folder in (tmp_path / "data").rglob("cropped_aligned*"):
        shutil.rmtree(folder)
    answer = program("report", gone, "--faces")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    shutil.rmtree(tmp_path / "data")
    answer = program("report", gone, "--faces")
    answer.refused("run-data-missing", folder=gone)
    assert answer.err.count("\n") == 1
    assert not (gone / "faces.html").exists()
    expr = track_of("expr")
    made = make_run(tmp_path / "made", expr, videos_of(expr, [HOSTILE], labelled=False))
    program("report", made, "--faces").refused("report-faces-no-predictions", folder=made)
    with refused("report-faces-ensemble"):
        from harness.reports.faces_page import report_faces

        report_faces(make_run(tmp_path / "e", expr, videos_of(expr, ["a"]), ensemble={"method": "mean"}))
