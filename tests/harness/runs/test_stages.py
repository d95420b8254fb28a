"""Runs that read the predictions of other runs: which predictions a video has, what is refused, what is recorded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.config.schema import RunConfig
from harness.runs.exposure import TrainingExposure, read_exposure
from harness.runs.splits import assign_splits, check_kind, split_name
from harness.runs.stages import Stage, check_reported, check_unseen
from leaderboards.record import Record
from plugins.encoders.ready_features import FeatureReader
from tests.harness.runs.test_splits import index_of
from tests.support.refusals import Part, refused
from zoo.readers import Source

Read = Callable[[Path], dict[str, Any]]
FIRST = ("--encoders", "frame", "--epochs", 1, "--folds", 3)
TRAIN = (*FIRST, "--folds-of", "train")


def second(program, out: Path, first: Path, *more: object, name: str = "second") -> Any:
    given = ("--data", program.demo, "--out", out, "--name", name, "--encoders", f"face=features:{first}")
    return program("run", *given, "--epochs", 1, *more)


def copied(run: Path, to: Path) -> Path:
    return Path(shutil.copytree(run, to))


# --- folds of the training videos ---------------------------------------------------------------------------------------


def test_folds_of_train_leave_val_to_be_predicted_alone() -> None:
    index = index_of({"train": ["a", "b", "c", "d"], "val": ["e", "f"], "test": ["g"]})
    config = RunConfig(folds=3, fold=1, folds_of=("train",))
    parts = {
        split: {v.group for v in assign_splits(index, config).split(split)} for split in ("train", "select", "val")
    }
    assert parts == {"train": {"a", "d"}, "select": {"c"}, "val": {"b"}}
    assert {v.group for v in assign_splits(index, config).split("rest")} == {"e", "f"}
    assert [v.split for v in assign_splits(index, config).videos][-1] == "test"
    assert (split_name(config), split_name(RunConfig(folds=3, folds_of=("train",)))) == ("cv3train-1", "cv3train")
    assert split_name(RunConfig(folds=3)) == "cv3"


def test_wrong_settings_of_folds_are_refused() -> None:
    with refused("folds-of-without-folds"):
        check_kind(RunConfig(folds_of=("train",)))
    with refused("folds-of-invalid", names="val"):
        check_kind(RunConfig(folds=3, folds_of=("val",)))


# --- which predictions a video has --------------------------------------------------------------------------------------


def test_a_training_video_has_that_of_its_fold_and_others_the_mean_of_all(program) -> None:
    """The reader against the folds' own tables."""
    run = program.kept(*TRAIN)
    folds = [run / f"fold-{f}" / "predictions" for f in range(3)]
    own = pd.concat([pd.read_parquet(path / f"cv3train-{f}.parquet") for f, path in enumerate(folds)])
    train = {str(name): rows for name, rows in own.groupby("video")}
    for name, expected in train.items():
        reader = FeatureReader(Source(name, Path(), len(expected), lambda: np.zeros(0)), str(run))
        seen = expected["present_frame"].to_numpy()
        np.testing.assert_array_equal(reader.present(), seen)
        np.testing.assert_allclose(reader.vectors()[seen], expected[["valence", "arousal"]].to_numpy()[seen], atol=1e-6)
    for table in ("rest", "test"):
        each = [pd.read_parquet(path / f"{table}.parquet") for path in folds]
        for name in each[0]["video"].unique():
            assert name not in train
            rows = [one[one["video"] == name][["valence", "arousal"]].to_numpy() for one in each]
            reader = FeatureReader(Source(name, Path(), len(rows[0]), lambda: np.zeros(0)), str(run))
            seen = reader.present()
            np.testing.assert_allclose(reader.vectors()[seen], np.mean(rows, axis=0)[seen], atol=1e-6)


def test_no_fold_of_train_has_seen_a_validation_video(program) -> None:
    run = program.kept(*TRAIN)
    val = set(pd.read_parquet(run / "predictions" / "rest.parquet")["group"])
    own = {
        name: set(rows["group"])
        for name, rows in pd.read_parquet(run / "predictions/cv3train.parquet").groupby("video")
    }
    groups = set().union(*own.values())
    for f in range(3):
        (saw,) = read_exposure(run / f"fold-{f}" / "weights.safetensors")
        scored = set(pd.read_parquet(run / f"fold-{f}" / "predictions" / f"cv3train-{f}.parquet")["group"])
        assert not {*saw.train, *saw.select} & (val | scored)
        assert saw.train
        assert {*saw.train, *saw.select} <= groups


def test_a_frame_without_data_of_the_first_run_is_absent(tmp_path: Path) -> None:
    """Rows in another order, probabilities and values, labels and extra columns beside them."""
    (tmp_path / "predictions").mkdir()
    (tmp_path / "record.json").write_text("{}")
    table = {
        "video": ["a", "b", "a", "a"],
        "frame": np.array([2, 1, 1, 3], np.int32),
        "time": [0.1, 0.0, 0.0, 0.2],
        "expression": np.zeros(4, np.int8),
        "p_Sad": [0.2, 0.9, 0.1, 0.3],
        "valence": [-0.2, 0.9, -0.1, -0.3],
        "valence_true": np.ones(4),
        "present_x": [False, True, True, False],
        "present_y": [True, True, False, False],
        "extra_crop": np.ones(4),
    }
    pd.DataFrame(table).to_parquet(tmp_path / "predictions" / "cv3.parquet")
    reader = FeatureReader(Source("a", Path(), 3, lambda: np.zeros(3)), str(tmp_path))
    assert reader.present().tolist() == [True, True, False]
    np.testing.assert_allclose(reader.vectors(), [[0.1, -0.1], [0.2, -0.2], [0, 0]], atol=1e-7)
    with refused("plugin-error", match="no predictions for the video c"):
        FeatureReader(Source("c", Path(), 3, lambda: np.zeros(3)), str(tmp_path)).present()
    with refused("plugin-error", match="3 rows of the video a, which has 4 frames"):
        FeatureReader(Source("a", Path(), 4, lambda: np.zeros(4)), str(tmp_path)).present()
    before = reader.fingerprint()
    pd.DataFrame({**table, "valence": [-0.2, 0.9, -0.1, 0.3]}).to_parquet(tmp_path / "predictions" / "cv3.parquet")
    assert FeatureReader(Source("a", Path(), 3, lambda: np.zeros(3)), str(tmp_path)).fingerprint() != before


# --- what has seen what -------------------------------------------------------------------------------------------------

DATA = {"train": ["a", "b", "c"], "val": ["d"], "test": ["e"]}


def stage_of(*folds: str, through: str = "", of: tuple[Any, ...] = ("train",)) -> Stage:
    """A stage of as many folds, each trained on these groups; ``through``: groups that its own stage has seen."""

    def saw(groups: str) -> TrainingExposure:
        return TrainingExposure("abaw10", "va", "Aff-Wild2", False, tuple(groups), ())

    own = tuple((saw(groups),) for groups in folds)
    every = (*(one for those in own for one in those), *([saw(through)] if through else []))
    record = Record("first", "done", result={"data": {"synthetic": False}})
    return Stage("face", Path("first"), record, RunConfig(folds=3, folds_of=of), own, every)


def test_a_fold_that_has_seen_what_it_predicts_is_refused() -> None:
    """Also if it is its starting weights that have: they are among the trainings of its own weights."""
    index = index_of(DATA)
    check_unseen(stage_of("bc", "ac", "ab"), index)
    with refused("stage-memorised", count=1, names="train1"):
        check_unseen(stage_of("bc", "abc", "ab"), index)
    with refused("stage-memorised", count=1, names="val0"):  # every fold predicts it, so one is enough
        check_unseen(stage_of("bc", "ac", "abd"), index)


def test_a_chain_that_has_seen_reported_videos_is_refused() -> None:
    index = index_of(DATA)
    check_reported(stage_of("bc", "ac", "ab"), index, RunConfig())
    with refused("stage-saw-reported", count=1, names="val0"):
        check_reported(stage_of("bc", "ac", "ab", through="d"), index, RunConfig())
    both = stage_of("bcd", "acd", "ab", of=("train", "val"))
    check_reported(both, index, RunConfig(folds=3))  # marked instead
    check_reported(both, index, RunConfig(fit=("train", "val"), epochs_from="x"))  # no label is reported


# --- a second run -------------------------------------------------------------------------------------------------------


def test_the_record_names_the_chain_and_the_weights_what_it_saw(program, tmp_path: Path, record: Read) -> None:
    first = program.kept(*TRAIN)
    done = second(program, tmp_path, first)
    assert done.code == 0, done.err
    assert f"branch face reads the predictions of {first.name}" in done.out
    result = record(tmp_path / "second")["result"]
    digest = record(first)["result_sha256"]
    assert result["stages"] == [
        {"branch": "face", "run": first.name, "sha256": digest, "split": "cv3train", "stages": []}
    ]
    assert (result["split"], result["seen"]) == ("val", [])
    weights = tmp_path / "second" / "weights.safetensors"
    (own,) = read_exposure(weights, stages=False)
    through = read_exposure(weights)[1:]
    assert through == [saw for f in range(3) for saw in read_exposure(first / f"fold-{f}" / "weights.safetensors")]
    assert set(own.select).isdisjoint(group for saw in through for group in (*saw.train, *saw.select))
    again = program("reproduce", tmp_path / "second", "--out", tmp_path / "again")
    assert again.code == 0, again.err
    assert "weights of" not in again.out


def test_folds_of_a_second_run_are_marked(program, tmp_path: Path, record: Read) -> None:
    """Every reported video was seen by the folds that predicted the others' training input: it cannot be avoided."""
    done = second(program, tmp_path, program.kept(*FIRST), "--folds", 3)
    assert done.code == 0, done.err
    result = record(tmp_path / "second")["result"]
    reported = pd.read_parquet(tmp_path / "second" / "predictions" / "cv3.parquet")["video"].unique()
    assert result["seen"] == sorted(reported)
    third = second(program, tmp_path, tmp_path / "second", "--folds", 3, name="third")
    assert third.code == 0, third.err
    chain = record(tmp_path / "third")["result"]["stages"]
    assert [stage["run"] for stage in chain + chain[0]["stages"]] == ["second", "r"]
    both = program("ensemble", tmp_path / "second", tmp_path / "third", "--name", "both", "--out", tmp_path)
    assert both.code == 0, both.err  # what the members may read was checked before they were trained
    assert record(tmp_path / "both")["result"]["seen"] == result["seen"]


# --- what is refused, before training -----------------------------------------------------------------------------------


def test_a_run_that_cannot_be_a_stage_is_refused_before_training(program, tmp_path: Path) -> None:
    plain = program.kept("--encoders", "frame", "--epochs", 1)
    second(program, tmp_path, plain).refused("stage-without-folds", split="val")
    both = program.kept(*FIRST)
    second(program, tmp_path, both / "fold-0").refused("stage-without-folds", split="cv3-0")
    second(program, tmp_path, both).refused("stage-saw-reported", count=3)
    other = second(program, tmp_path, program.kept(*TRAIN), "--track", "expr")
    other.refused("stage-other-track", track="va", here="expr")
    assert not list(tmp_path.iterdir())


def test_a_run_of_other_data_is_refused(program, tmp_path: Path) -> None:
    data = copied(program.demo, tmp_path / "data")
    file = next(path for path in sorted(data.rglob("*.txt")) if "VA" in str(path) and "Train" in str(path))
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], "0.125,0.125", *lines[2:]]) + "\n")
    given = ("--data", data, "--out", tmp_path, "--encoders", f"face=features:{program.kept(*TRAIN)}", "--epochs", 1)
    program("run", *given).refused("run-other-data", said=Part("names or labels are not"))


def test_damaged_files_of_a_stage_are_refused(program, tmp_path: Path) -> None:
    run = copied(program.kept(*TRAIN), tmp_path / "first")
    table = run / "predictions" / "rest.parquet"
    content = table.read_bytes()
    table.write_bytes(content[:-1] + b"0")
    second(program, tmp_path, run).refused("file-changed", file=table)
    table.write_bytes(content)
    weights = run / "fold-1" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"0")
    second(program, tmp_path, run).refused("file-changed", file=weights)
    weights.unlink()
    second(program, tmp_path, run).refused("stage-fold-other", folder=run / "fold-1")
    shutil.rmtree(run / "fold-1")
    shutil.copytree(run / "fold-0", run / "fold-1")
    second(program, tmp_path, run).refused("stage-fold-other", folder=run / "fold-1")


def test_a_folder_that_cannot_be_read_leaves_the_name_free(program, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "features.toml").write_text("width = 0\n")
    for folder, said in (("nowhere", "finished run with folds"), ("bad", "must be given")):
        second(program, tmp_path, tmp_path / folder).refused("plugin-error", match=said)
    assert not (tmp_path / "second").exists()


def test_an_unfinished_run_is_refused(program, tmp_path: Path) -> None:
    run = copied(program.kept(*TRAIN), tmp_path / "first")
    content = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps({**content, "status": "stopped"}))
    answer = second(program, tmp_path, run)
    assert answer.code == 2
    assert not (tmp_path / "second").exists()


def test_predictions_of_new_videos_run_the_first_stage_first(program, tmp_path: Path) -> None:
    """All folds of the first run predict a file, then the second run reads their mean."""
    first = copied(program.kept(*TRAIN), tmp_path / "first")
    assert second(program, tmp_path, first).code == 0
    run = tmp_path / "second"
    video = next(
        path
        for path in program.demo.rglob("*.mp4")
        if path.stem in set(pd.read_parquet(run / "predictions/test.parquet")["video"])
    )
    done = program("predict", video, "--model", run, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    found = pd.read_csv(tmp_path / "out" / f"{video.stem}.csv")
    stored = pd.read_parquet(run / "predictions/test.post.parquet")
    stored = stored[stored["video"] == video.stem].sort_values("frame")
    for name in ("valence", "arousal"):  # the table has six decimal places
        np.testing.assert_allclose(found[name], stored[name], atol=1e-6)
    program("predict", video, "--model", run, "--people", "all", "--out", tmp_path / "o").refused("stage-people")
    content = json.loads((first / "record.json").read_text())
    assert content["result"]["split"] == "cv3train"
    moved = first.rename(tmp_path / "elsewhere")
    program("predict", video, "--model", run, "--out", tmp_path / "o").refused("stage-missing", branch="face")
    copied(program.kept(*FIRST), first)
    program("predict", video, "--model", run, "--out", tmp_path / "o").refused("stage-changed", branch="face")
    assert moved.is_dir()
