"""`--distill`: who may teach, what the record says of it, and that a taught run learns from its teacher."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from harness.analysis.reproduce import _differences
from harness.config.recorded import recorded, with_left_out
from harness.config.schema import RunConfig, load_config
from harness.data.index.index import Video
from harness.evaluation.prediction_tables import write_predictions
from harness.runs.finished import check_data
from harness.runs.folder import saved_config
from harness.runs.identity import identity
from harness.runs.job import Job, make_job, with_names
from harness.runs.multi_run import _settings_and_data
from harness.runs.teacher import Teacher, soft_targets
from leaderboards.record import Record, read
from tests.harness.batching.test_clips import video
from tests.support.refusals import Part, refused
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


def test_a_teacher_of_other_groups_is_refused(program, teacher: Path, tmp_path: Path) -> None:
    """What it has seen is kept by groups: under new ones every video that it was trained on would pass for unseen."""
    data = tmp_path / "data"
    shutil.copytree(program.demo, data)
    names = sorted(folder.name for folder in (data / "cropped_aligned").iterdir())
    (data / "groups.csv").write_text("".join(f"{name},person {k}\n" for k, name in enumerate(names)))
    given = ("run", "--data", data, "--out", tmp_path, *TRAINED, "--folds", 3, "--distill", teacher)
    program(*given).refused("run-groups-changed")
    (data / "groups.csv").unlink()
    program(*given).refused("teacher-saw-reported")


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
    for contrary in ("train.gaps=close", "train.balance=labels"):
        bad = asked("--distill", teacher, "--set", "distill.unlabelled=true", "--set", contrary)
        bad.refused("distill-not-with", setting=Part(contrary))
    for bad in ("distill.temperature=0", "distill.weight=0", "distill.weight=1.5"):
        asked("--distill", teacher, "--set", bad).refused("setting-invalid")
    assert not (tmp_path / "runs").exists()


def test_a_record_without_a_teacher_is_as_it_was_before() -> None:
    assert "distill" not in recorded(RunConfig())
    made = RunConfig.model_validate({"distill": {"run": "a", "weight": 0.3}})
    assert recorded(made)["distill"] == {"weight": 0.3, "temperature": 2.0, "unlabelled": False}
    assert with_left_out(recorded(RunConfig()))["distill"] == {"weight": 0.5, "temperature": 2.0, "unlabelled": False}


# --- who may teach, before any work -------------------------------------------------------------------------------------

FOLDS = ("--encoders", "frame", "--epochs", 1, "--folds", 3, "--folds-of", "train")


def student(program, teacher: Path, **more: object) -> Job:
    """The job of a run that is taught, on the crumb."""
    flags = {"data_dir": str(program.demo), "encoders": "frame", "device": "cpu"}
    config = with_names(load_config("demo", flags, ["train.epochs=1", f'distill.run="{teacher}"']))
    return make_job(config.model_copy(update=more), progress=False)


def changed(folder: Path, **facts: object) -> None:
    """Write the record of a run anew with other facts."""
    record = read(folder / "record.json")
    record.result |= facts  # type: ignore[typeddict-item]
    record.write(folder / "record.json")


def test_a_teacher_without_usable_weights_is_refused(program, teacher: Path, tmp_path: Path) -> None:
    trees, bare, bad = (Path(shutil.copytree(teacher, tmp_path / name)) for name in ("trees", "bare", "bad"))
    changed(trees, trees={})
    with refused("teacher-unfit", why=Part("--trees")):
        student(program, trees)
    (bare / "weights.safetensors").unlink()
    with refused("teacher-unfit", why=Part("weights.safetensors")):
        student(program, bare)
    content = bytearray((bad / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (bad / "weights.safetensors").write_bytes(content)
    with refused("file-changed"):
        student(program, bad)


def test_only_the_folds_of_the_run_count(program, tmp_path: Path) -> None:
    run = Path(shutil.copytree(program.kept(*FOLDS), tmp_path / "cv"))
    saw = student(program, run).teacher.exposures
    both = program.kept("--encoders", "frame", "--epochs", 1, "--folds", 3)
    shutil.copytree(both / "fold-0", run / "fold-9")  # it has seen validation videos
    assert student(program, run).teacher.exposures == saw
    (run / "fold-1" / "weights.safetensors").rename(run / "fold-9" / "other.safetensors")
    with refused("teacher-unfit", why=Part("fold-1/weights.safetensors")):
        student(program, run)


def test_folds_of_train_teach_a_run_that_is_scored_on_val(program, tmp_path: Path) -> None:
    run = program.kept(*FOLDS)
    taught = program.run(tmp_path, "taught", "--encoders", "frame", "--epochs", 1, "--distill", run)
    facts = result(taught)
    assert (facts["distillation"]["out_of_fold"], facts["distillation"]["in_sample"], facts["seen"]) == (True, 0, [])
    with refused("teacher-saw-reported", split="val"):
        student(program, program.kept("--encoders", "frame", "--epochs", 1, "--folds", 3))


def test_folds_of_train_teach_the_validation_videos_too(program) -> None:
    """A run on train and val: the mean of all folds, none of which has seen them."""
    run = program.kept(*FOLDS)
    job = student(program, run, fit=("train", "val"), epochs_from=str(run))
    found = soft_targets(job.teacher, job.index.split("train"), lambda *_: [])
    rest = pd.read_parquet(run / "predictions" / "rest.parquet")
    names = set(rest["video"])
    assert names == {video.name for video in job.whole.split("val")}
    for name in names:
        rows, wanted = found[name], rest.loc[rest["video"] == name, ["valence", "arousal"]].to_numpy()
        seen = ~np.isnan(rows).any(1)
        assert seen.any()
        np.testing.assert_allclose(rows[seen], wanted[seen], atol=1e-6)


def test_a_missing_prediction_is_found_before_any_work(program, tmp_path: Path) -> None:
    run = Path(shutil.copytree(program.kept(*FOLDS), tmp_path / "cv"))
    (run / "predictions" / "rest.parquet").unlink()
    student(program, run)  # the training videos have all of theirs
    with refused("teacher-video", frames="none"):
        student(program, run, fit=("train", "val"), epochs_from=str(run))


def test_one_fold_teaches_as_a_run_of_its_own(program) -> None:
    teacher = student(program, program.kept(*FOLDS) / "fold-0").teacher
    assert teacher.tables == ()
    assert (teacher.job.config.folds, teacher.job.config.folds_of) == (0, ("train", "val"))
    assert 0 < len(teacher.in_sample) < len(teacher.job.index.split("train"))


def test_a_teacher_whose_stage_has_changed_is_refused(program, tmp_path: Path) -> None:
    first = Path(shutil.copytree(program.kept(*FOLDS), tmp_path / "first"))
    second = program.run(tmp_path, "second", "--encoders", f"face=features:{first}", "--epochs", 1)
    job = student(program, second)
    assert [stage.folder for stage in job.teacher.job.stages] == [first]
    staged = make_job(saved_config(second), progress=False)
    assert not [line for line in _differences(staged, read(second / "record.json")) if "branch" in line]
    changed(first, late_fall=0.5)
    with refused("stage-changed", branch="face"):
        student(program, second)
    staged = make_job(saved_config(second), progress=False)
    assert [line for line in _differences(staged, read(second / "record.json")) if "branch face" in line]
    first.rename(tmp_path / "away")
    with refused("stage-missing"):
        student(program, second)


def test_a_run_is_not_continued_with_another_teacher(program, teacher: Path, tmp_path: Path) -> None:
    job = student(program, teacher)
    record = Record("r", "running", result=identity(job))
    check_data(job, record, tmp_path)
    record.result["distillation"]["sha256"] = "0" * 64
    with refused("teacher-changed", found=job.teacher.sha256[:12]):
        check_data(job, record, tmp_path)


def test_members_know_who_taught_them_and_what_they_read() -> None:
    member = {"distillation": {"sha256": "a" * 64}, "stages": [{"branch": "face", "sha256": "b" * 64}]}
    found = _settings_and_data(member).items() - _settings_and_data({}).items()
    assert dict(found) == {"the teacher": "a" * 64, "the run that face reads": "b" * 64}


# --- what is taught -----------------------------------------------------------------------------------------------------


def made_teacher(tmp_path: Path) -> Teacher:
    _, track = find_track(load_plugins([]), "va", None)
    config = RunConfig.model_validate({"folds": 3, "epochs_from": None, "train": {"clip": 32}, "device": "cpu"})
    return Teacher(tmp_path, "t", "0" * 64, config, track, (), (), None, ())


def predicted(n: int, absent: int) -> VideoAnswers:
    values = {"valence": np.arange(n) / n, "arousal": -np.arange(n) / n}
    none = {name: np.full(n, np.nan) for name in values}
    present = {"face": np.arange(n) != absent, "audio": np.zeros(n, bool)}
    return VideoAnswers("v", "v", values, none, present, np.arange(n) / 30)


def test_frames_of_which_a_teacher_has_no_input_are_not_taught(tmp_path: Path) -> None:
    teacher, asked = replace(made_teacher(tmp_path), job=SimpleNamespace()), []

    def predict(job: Job, folder: Path, videos: Sequence[Video]) -> list[VideoAnswers]:
        asked.append((job, folder, [video.name for video in videos]))
        return [predicted(6, 2)]

    (rows,) = soft_targets(teacher, [video("v", np.zeros((6, 2)))], predict).values()
    wanted = np.stack([np.arange(6) / 6, -np.arange(6) / 6], 1).astype(np.float32)
    wanted[2] = np.nan
    np.testing.assert_array_equal(rows, wanted)
    assert asked == [(teacher.job, tmp_path, ["v"])]
    for n, name in ((5, "v"), (6, "w")):
        with refused("teacher-video", name=name, n_frames=n):
            soft_targets(teacher, [video(name, np.zeros((n, 2)))], predict)


def test_folds_teach_with_predictions_of_models_that_were_not_trained_on_the_video(tmp_path: Path) -> None:
    teacher = made_teacher(tmp_path)
    file = tmp_path / "predictions" / "cv3.parquet"
    write_predictions(file, teacher.track, [predicted(6, 1)])
    teacher = replace(teacher, tables=(file,))
    found = soft_targets(teacher, [video("v", np.zeros((6, 2)))], lambda *_: [])
    np.testing.assert_allclose(found["v"][0], [0, 0])
    assert np.isnan(found["v"][1]).all()
