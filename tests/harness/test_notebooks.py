"""The notebooks of docs/notebooks are valid, hold no outputs, and run from their first cell to their last."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.program import Program

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "notebooks"
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
FRAMES = 93  # of the real video
CELL = {"cell_type", "id", "metadata", "source"}


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())
    return content


def test_both_are_there() -> None:
    assert NAMES == ["data_to_submission", "own_videos"]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_valid_and_without_outputs(name: str) -> None:
    book = read(name)
    assert book["nbformat"] == 4
    assert book["nbformat_minor"] >= 5, "cells have ids from there on"
    ids = [cell["id"] for cell in book["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in book["cells"]:
        code = cell["cell_type"] == "code"
        assert set(cell) == CELL | ({"execution_count", "outputs"} if code else set())
        assert cell["cell_type"] in ("code", "markdown")
        assert all(isinstance(line, str) for line in cell["source"])
        assert not code or (cell["outputs"] == [] and cell["execution_count"] is None)
    for text in ("".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "markdown"):
        for link in [part.partition(")")[0] for part in text.split("](")[1:]]:
            assert (NOTEBOOKS / link).is_file(), link


@pytest.fixture
def place(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parents[1]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def execute(name: str) -> dict[str, Any]:
    """Run its cells one after the other; what they leave."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in read(name)["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{name} {cell['id']}", "exec"), names)
    return names


@pytest.mark.slow
def test_own_videos(place: Path, real: Path) -> None:
    shutil.copy(real / "videos" / "01-01-01-01-02-01-05.mp4", place / "my_video.mp4")
    left = execute("own_videos")
    table, course = left["table"], left["course"]
    assert len(table) == FRAMES
    assert set(left["everybody"]["person"]) == {1}
    assert np.allclose(course.sum(axis=1), 1, atol=0.05)
    assert (place / "drawn.mp4").stat().st_size > 0
    assert len(pd.read_csv(place / "tables" / "my_video.csv")) == FRAMES


@pytest.mark.slow
def test_data_to_submission(place: Path) -> None:
    left = execute("data_to_submission")
    assert left["submission"].is_file()
    verified = left["command"](
        "verify", left["submission"], "--edition", "abaw10", "--track", "va", "--list", left["listed"]
    )
    assert verified == 0
    assert left["run"].settings["encoders"] == "face=lite0,audio=melcnn"
    assert (place / "runs" / "leaderboard.md").is_file()
