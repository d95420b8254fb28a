"""Relative paths with a colon, which FFmpeg and Arrow take for addresses, are files like any other."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import harness
import leaderboards
import plugins
import zoo
from harness.data.decoding.video import open_media, probe, read_frames
from harness.data.synthetic.encoding import write_video
from harness.data.tracking.detection import FaceFinder
from harness.data.tracking.person_boxes import Boxes, are_made, read_boxes, write_boxes
from harness.evaluation.prediction_tables import read_predictions, write_predictions
from harness.submissions.writer.prediction_tables import read_columns
from plugins.editions import abaw10
from plugins.encoders._feature_files import read_array
from tests.support.indexes import track
from tests.support.media import write_click_video
from tests.support.squares import spec
from zoo.api import VideoAnswers

NAMES = ["rec-12:30/x", "pipe:0"]


@pytest.fixture(params=NAMES)
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A relative path without its suffix; its folder is there."""
    monkeypatch.chdir(tmp_path)
    relative = Path(request.param)
    relative.parent.mkdir(parents=True, exist_ok=True)
    return relative


def named(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def test_videos_are_read_and_written(path: Path, tmp_path: Path) -> None:
    video, made = named(path, ".mp4"), named(path, ".mkv")
    write_click_video(tmp_path / video, n_frames=4, click_frame=None)
    assert probe(video).n_frames == len(list(read_frames(video))) == 4
    pictures = [np.zeros((32, 32, 3), np.uint8)] * 3
    write_video(made, pictures, np.arange(3) / 25, rate=Fraction(25), size=(32, 32))
    with open_media(made) as container:
        assert container.streams.video
    assert (tmp_path / made).is_file()


def test_boxes_are_read_and_written(path: Path) -> None:
    file = named(path, ".parquet")
    finder = FaceFinder(spec())
    write_boxes(file, Boxes(np.zeros((3, 4)), np.zeros((3, 4)), np.zeros(3), finder.label))
    assert len(read_boxes(file).score) == 3
    assert are_made(file, finder, path)


def test_predictions_are_read_and_written(path: Path) -> None:
    file = named(path, ".parquet")
    va = track(abaw10, "va")
    zeros = {answer.name: np.zeros(3) for answer in va.answers}
    write_predictions(file, va, [VideoAnswers("v", "v", zeros, zeros, {}, np.arange(3.0))])
    assert [video.video for video in read_predictions(file, va)] == ["v"]
    assert len(read_columns(file, ["valence"])) == 3


def test_feature_files_are_read(path: Path) -> None:
    file = named(path, ".parquet")
    with file.open("wb") as opened:
        pq.write_table(pa.table({"a": [1.0, 2.0], "b": [3.0, 4.0]}), opened)
    np.testing.assert_array_equal(read_array(file, "", 2), [[1, 3], [2, 4]])


def test_no_file_is_opened_by_its_relative_name() -> None:
    """FFmpeg's own check of a name cannot be tried for every place: each must pass an absolute path."""
    packages = [Path(module.__path__[0]) for module in (zoo, plugins, harness, leaderboards)]
    calls = [
        (path.name, call)
        for package in packages
        for path in package.rglob("*.py")
        for call in re.findall(r"av\.open\(([^,)]*)", path.read_text())
    ]
    assert len(calls) >= 4
    assert [call for call in calls if not call[1].startswith("absolute(")] == []
