"""Real faces, real speech: raw videos -> data folder -> run -> submission, and answers to odd videos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.data.decoding.video import probe

pytestmark = pytest.mark.slow
Read = Callable[[Path], dict[str, Any]]
UNLABELLED = "talking_face_unlabelled"


@pytest.fixture(scope="module")
def data(program, real: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The program on what ``data crop`` makes of the real videos."""
    made = tmp_path_factory.mktemp("real") / "data"
    answer = program("data", "crop", real, "--out", made)
    assert answer.code == 0, answer.err
    return replace(program, demo=made)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    slots = ("--encoders", "face,context,audio", "--fusion", "late", "--head", "gru")
    folder: Path = data.run(tmp_path_factory.mktemp("runs"), "real", "--track", "expr", *slots, "--epochs", 2)
    return folder


def test_a_run_on_real_videos(data, real: Path, trained: Path, record: Read) -> None:
    content = record(trained)
    assert content["status"] == "done"
    result = content["result"]
    assert not result["data"]["synthetic"]
    assert result["data"]["videos"]["train"] + result["data"]["videos"]["val"] == 8
    videos = {path.stem: path for path in real.rglob("*.mp4") if not path.stem.startswith("01-")}
    assert UNLABELLED in videos  # and those in odd/: `data crop` takes every video below the folder
    assert result["data"]["videos"]["test"] == len(videos)
    lines = (trained / "submission" / "predictions.txt").read_text().splitlines()[1:]
    rows = [f"{name}/{i:05d}.jpg" for name in sorted(videos) for i in range(1, len(probe(videos[name]).times) + 1)]
    assert [line.split(",")[0] for line in lines] == rows
    assert {line.split(",")[1] for line in lines} <= set("01234567")
    assert result["submission"]["rows"] == len(rows)
    assert not result["submission"]["official"]
    table = pd.read_parquet(trained / "predictions" / "val.parquet")
    for slot in ("face", "context", "audio"):
        assert table[f"present_{slot}"].mean() > 0.5


def test_predict_answers_odd_videos(data, real: Path, trained: Path, tmp_path: Path) -> None:
    videos = sorted((real / "odd").iterdir())
    answer = data("predict", trained, *videos, "--out", tmp_path)
    assert answer.code == 0, answer.err + answer.out
    written = ["about.json", *sorted(f"{video.stem}.csv" for video in videos)]
    assert sorted(path.name for path in tmp_path.iterdir()) == written
    tables = {video.stem: pd.read_csv(tmp_path / f"{video.stem}.csv") for video in videos}
    for video in videos:
        table = tables[video.stem]
        assert len(table) == len(probe(video).times)
        assert (table["frame"] == np.arange(1, len(table) + 1)).all()
        shares = table[[c for c in table if c.startswith("p_")]].sum(axis=1)
        np.testing.assert_allclose(shares, 1, atol=1e-4)
    assert not tables["no_audio"]["present_audio"].any()
    assert not tables["no_face"]["present_face"].any()
    assert tables["many_streams"]["present_audio"].all()
    assert not tables["many_streams"]["present_face"].any()
