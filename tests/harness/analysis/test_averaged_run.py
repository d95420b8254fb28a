"""`--tta` of run, evaluate and predict: one average, marked as such, in the record, the table and the submission."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

NAME = "r"  # of the kept run
PARTS = "flip,views=1,strides=1+2"
TRAINED = ("--epochs", 1, "--encoders", "frame", "--head", "mlp")


@pytest.fixture(scope="module")
def plain(program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "plain"
    shutil.copytree(program.kept(*TRAINED), folder)
    return folder


@pytest.fixture(scope="module")
def averaged(program, plain: Path) -> Path:
    answer = program("evaluate", plain, "--tta", PARTS, "--name", "averaged")
    assert answer.code == 0, answer.err + answer.out
    assert "6 times the forward passes" in answer.out
    return plain.parent / "averaged"


def values(folder: Path, split: str = "val") -> np.ndarray:
    table = pd.read_parquet(folder / "predictions" / f"{split}.parquet")
    return table[["valence", "arousal"]].to_numpy()


def result(folder: Path) -> dict:
    return json.loads((folder / "record.json").read_text())["result"]


@pytest.mark.slow
def test_the_evaluated_run_is_marked_and_has_its_own_predictions(program, plain: Path, averaged: Path) -> None:
    facts = result(averaged)["tta"]
    assert facts["passes"] == 9
    assert facts["cost"] == 6
    assert facts["flip"] == ["frame"]
    assert facts["views"] == {"frame": ["affine", "colour", "erase", "flip"]}
    assert facts["run"] == NAME
    assert result(averaged)["epoch"] == result(plain)["epoch"]
    assert "tta" not in result(plain)
    assert not np.allclose(values(averaged), values(plain), atol=1e-4)
    assert result(averaged)["submission"]["sha256"] != result(plain)["submission"]["sha256"]
    table = (plain.parent / "leaderboard.md").read_text(encoding="utf-8")
    assert "averaged ◊" in table
    assert "◊ Test-time augmentation" in table
    program("evaluate", averaged, "--tta", "flip").refused("tta-of-tta", run=NAME)
    again = program("evaluate", averaged)  # its settings hold the passes, so its predictions are the same again
    assert again.code == 0, again.err
    assert f"{result(averaged)['scores']['raw']['main']:.6f}" in again.out


@pytest.mark.slow
def test_a_run_trained_with_it_gives_the_same_predictions(program, averaged: Path, tmp_path: Path) -> None:
    trained = program.run(tmp_path, "trained", *TRAINED, "--tta", PARTS)
    for split in ("val", "test"):
        np.testing.assert_array_equal(values(trained, split), values(averaged, split))
    assert result(trained)["scores"] == result(averaged)["scores"]
    assert {k: v for k, v in result(averaged)["tta"].items() if k not in ("run", "sha256")} == result(trained)["tta"]


@pytest.mark.slow
def test_a_video_is_predicted_as_in_the_data_set(program, averaged: Path, plain: Path, tmp_path: Path) -> None:
    """A video that is read once gives the rows of the submission; --tta of the plain run differs in post-processing."""
    rows = pd.read_parquet(averaged / "predictions" / "test.post.parquet")
    name = rows["video"].iloc[0]
    (video,) = (program.demo / "videos").glob(f"{name}.*")
    tables = {}
    for key, run, more in (("a", averaged, ()), ("b", plain, ("--tta", PARTS)), ("c", plain, ())):
        answer = program("predict", video, "--model", run, "--out", tmp_path / key, *more)
        assert answer.code == 0, answer.err + answer.out
        table = pd.read_csv(next((tmp_path / key).glob("*.csv")))
        tables[key] = table[["valence", "arousal"]].to_numpy()
    wanted = rows.loc[rows["video"] == name, ["valence", "arousal"]].to_numpy()
    np.testing.assert_allclose(tables["a"], wanted, atol=2e-3)
    assert np.abs(tables["b"] - tables["c"]).max() > 1e-3


def test_what_does_not_go_together_is_refused(program, plain: Path) -> None:
    program("evaluate", plain, "--tta", "flip", "--drop", "frame").refused("tta-not-with", what="--drop")
    program("evaluate", plain, "--tta", "flap").refused("tta-invalid", got="flap")
    program("run", "--data", program.demo, "--encoders", "audio", "--tta", "flip").refused("tta-no-pictures")
    video = next((program.demo / "videos").glob("*.mp4"))
    program("predict", video, "--model", "face=fer", "--tta", "flip").refused("tta-untrained")
    assert not [path for path in plain.parent.iterdir() if "tta" in path.name]
