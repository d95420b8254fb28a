"""`--distill`: who may teach, what the record says of it, and that a taught run learns from its teacher."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.config.recorded import recorded, with_left_out
from harness.config.schema import RunConfig

TRAINED = ("--epochs", 1, "--encoders", "face", "--head", "mlp")


@pytest.fixture(scope="module")
def teacher(program) -> Path:
    return program.kept(*TRAINED)


def result(folder: Path) -> dict:
    return json.loads((folder / "record.json").read_text())["result"]


def values(folder: Path) -> np.ndarray:
    return pd.read_parquet(folder / "predictions" / "val.parquet")[["valence", "arousal"]].to_numpy()


@pytest.mark.slow
def test_a_taught_run_says_so_and_comes_nearer_to_its_teacher(program, teacher: Path, tmp_path: Path) -> None:
    more = ("--set", "train.min_steps=60", "--seed", 5)
    alone = program.run(tmp_path, "alone", *TRAINED, *more)
    how = ("--distill", teacher, "--set", "distill.weight=1")
    answer = program("run", "--data", program.demo, "--out", tmp_path, "--name", "taught", *TRAINED, *more, *how)
    assert answer.code == 0, answer.err + answer.out
    taught, facts = tmp_path / "taught", result(tmp_path / "taught")
    n = facts["data"]["videos"]["train"]
    digest = json.loads((teacher / "record.json").read_text())
    said = facts["distillation"]
    assert (said["run"], said["out_of_fold"], said["in_sample"], said["videos"]) == (digest["name"], False, n, n)
    assert facts["config"]["distill"] == {"weight": 1.0, "temperature": 2.0, "unlabelled": False}
    assert facts["seen"] == []
    assert f"taught by {digest['name']}" in answer.out
    near, far = (np.abs(values(run) - values(teacher)).mean() for run in (taught, alone))
    assert near < far
    program("run", "--data", program.demo, "--out", tmp_path, *TRAINED, "--folds", 3, "--distill", teacher).refused(
        "teacher-saw-reported"
    )
    moved = tmp_path / "moved"
    shutil.copytree(taught, moved)
    text = (moved / "config.toml").read_text().replace(str(teacher), str(tmp_path / "gone"))
    (moved / "config.toml").write_text(text)
    again = program("evaluate", moved)  # a run that is trained no longer needs its teacher
    assert again.code == 0, again.err


def test_who_cannot_teach_is_refused(program, teacher: Path, tmp_path: Path) -> None:
    def asked(*more: object):
        return program("run", "--data", program.demo, "--out", tmp_path / "runs", *TRAINED, *more)

    asked("--distill", tmp_path / "none").refused("teacher-not-finished")
    asked("--distill", teacher, "--track", "expr").refused("teacher-other-track", here="expr")
    asked("--set", "distill.weight=0.3").refused("distill-without-run")
    asked("--distill", teacher, "--set", "train.mixup=0.2").refused("distill-not-with", setting="train.mixup")
    for bad in ("distill.temperature=0", "distill.weight=0", "distill.weight=1.5"):
        asked("--distill", teacher, "--set", bad).refused("setting-invalid")
    assert not (tmp_path / "runs").exists()


def test_a_record_without_a_teacher_is_as_it_was_before() -> None:
    assert "distill" not in recorded(RunConfig())
    made = RunConfig.model_validate({"distill": {"run": "a", "weight": 0.3}})
    assert recorded(made)["distill"] == {"weight": 0.3, "temperature": 2.0, "unlabelled": False}
    assert with_left_out(recorded(RunConfig()))["distill"] == {"weight": 0.5, "temperature": 2.0, "unlabelled": False}
