"""`--distill`: who may teach, what the record says of it, and that a taught run learns from its teacher."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.config.recorded import recorded, with_left_out
from harness.config.schema import RunConfig
from harness.data.index.index import Video
from harness.evaluation.prediction_tables import write_predictions
from harness.runs.teacher import Teacher, soft_targets
from tests.harness.batching.test_clips import video
from tests.support.refusals import refused
from zoo.api import VideoAnswers
from zoo.registry.tracks import find_track, load_plugins

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


def made_teacher(tmp_path: Path) -> Teacher:
    _, track = find_track(load_plugins([]), "va", None)
    config = RunConfig.model_validate({"folds": 3, "epochs_from": None, "train": {"clip": 32}, "device": "cpu"})
    return Teacher(tmp_path, "t", "0" * 64, config, track, (), None, ())


def predicted(n: int, absent: int) -> VideoAnswers:
    values = {"valence": np.arange(n) / n, "arousal": -np.arange(n) / n}
    none = {name: np.full(n, np.nan) for name in values}
    present = {"face": np.arange(n) != absent, "audio": np.zeros(n, bool)}
    return VideoAnswers("v", "v", values, none, present, np.arange(n) / 30)


def test_frames_of_which_a_teacher_has_no_input_are_not_taught(tmp_path: Path) -> None:
    teacher, asked = made_teacher(tmp_path), []

    def predict(config: RunConfig, folder: Path, videos: Sequence[Video]) -> list[VideoAnswers]:
        asked.append((config, folder, [video.name for video in videos]))
        return [predicted(6, 2)]

    student = RunConfig.model_validate({"data_dir": "here", "seed": 4, "train": {"clip": 16}})
    (rows,) = soft_targets(teacher, student, [video("v", np.zeros((6, 2)))], predict).values()
    wanted = np.stack([np.arange(6) / 6, -np.arange(6) / 6], 1).astype(np.float32)
    wanted[2] = np.nan
    np.testing.assert_array_equal(rows, wanted)
    ((config, folder, names),) = asked
    assert (config.data_dir, config.folds, config.train.clip, folder, names) == ("here", 0, 32, tmp_path, ["v"])
    for n, name in ((5, "v"), (6, "w")):
        with refused("teacher-video", name=name, n_frames=n):
            soft_targets(teacher, student, [video(name, np.zeros((n, 2)))], predict)


def test_folds_teach_with_predictions_of_models_that_were_not_trained_on_the_video(tmp_path: Path) -> None:
    teacher = made_teacher(tmp_path)
    file = tmp_path / "predictions" / "cv3.parquet"
    write_predictions(file, teacher.track, [predicted(6, 1)])
    teacher = replace(teacher, out_of_fold=file)
    found = soft_targets(teacher, RunConfig(), [video("v", np.zeros((6, 2)))], lambda *_: [])
    np.testing.assert_allclose(found["v"][0], [0, 0])
    assert np.isnan(found["v"][1]).all()
