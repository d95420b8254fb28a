"""A run on boxes by pose says so in its record, and predicts in the same way."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.data.decoding.probe_cache import video_reading
from harness.data.tracking.person_boxes import read_boxes, write_boxes
from harness.data.tracking.pose_boxes import Posed
from harness.predicting.models import RunModel, finder_of
from tests.support.program import Program, read_record

MADE = "centerface 1 threshold=0.5 size=320 person=blazepose-1"


@pytest.mark.slow
def test_the_record_names_boxes_by_pose(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    shutil.copytree(program.demo, data)
    for path in (data / "boxes").glob("*.parquet"):
        video = next(iter(data.glob(f"videos/**/{path.stem.removesuffix('_left').removesuffix('_right')}.*")))
        write_boxes(path, replace(read_boxes(path), detector=MADE, reading=video_reading(video), posed=Posed(3, 4)))
    answer = program(
        "run", "--data", data, "--out", tmp_path, "--name", "r", "--encoders", "body", "--epochs", 1, "--head", "gru"
    )
    assert answer.code == 0, answer.err
    assert read_record(tmp_path / "r")["result"]["data"]["boxes"] == [MADE]
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    model = RunModel(tmp_path / "r")
    assert model.person == "blazepose"
    assert finder_of(model, None).label.endswith("person=blazepose-1")
    assert "person" not in finder_of(model, {"person": "face"}).label


@pytest.mark.slow
def test_the_record_is_as_before_without_them(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    run = program.kept("--encoders", "body", "--epochs", 1, "--head", "gru")
    assert "boxes" not in read_record(run)["result"]["data"]
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    assert RunModel(run).person == "face"
