"""The last mile: training on train and val together, for as many epochs as another run chose."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from harness.runs.folder import saved_config
from harness.runs.passes import ORIGIN_POST
from harness.runs.provenance import read_exposure
from harness.runs.splits import fitted_on
from leaderboards.record import read
from leaderboards.tables import leaderboard, load_runs
from tests.support.refusals import Part, Refusal, refused

Read = Callable[[Path], dict[str, Any]]
CHOOSING = ("--set", "train.select=best", "--set", "train.validate_every=1")


@pytest.fixture(scope="module")
def runs(program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that chooses among four epochs, copies of it that say they chose the first and the third, and fits."""
    out = tmp_path_factory.mktemp("fit")
    program.run(out, "base", "--epochs", 4, "--encoders", "face", *CHOOSING)
    for epoch in (1, 3):
        copy = shutil.copytree(out / "base", out / f"chose-{epoch}")
        known = read(copy / "record.json")
        known.name, known.result["epoch"] = copy.name, epoch
        known.write(copy / "record.json")
        fit(program, out, f"fit-{epoch}", f"chose-{epoch}")
    return out


@pytest.fixture(scope="module")
def others(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of the run whose records have one setting that the run left at its default."""
    out = tmp_path_factory.mktemp("others")
    for name, section, changes in (
        ("strided", "train", {"stride": 4}),
        ("viewed", "features", {"views": 2}),
        ("augmented", "", {"augment": ["face=flip"]}),
    ):
        known = read(shutil.copytree(runs / "base", out / name) / "record.json")
        settings = known.result["config"]
        (settings[section] if section else settings).update(changes)
        known.name = name
        known.write(out / name / "record.json")
    return out


def fit(program, out: Path, name: str, origin: str, *args: object) -> Path:
    """A run with no settings of its own."""
    options = ("--fit", "train,val", "--epochs-from", out / origin, "--out", out, "--name", name)
    answer = program("run", *options, *args)
    assert answer.code == 0, answer.err + answer.out
    return out / name


def test_it_trains_the_chosen_epochs_on_all_and_is_not_scored(runs: Path, record: Read) -> None:
    for epoch in (1, 3):
        result = record(runs / f"fit-{epoch}")["result"]
        origin = record(runs / f"chose-{epoch}")
        assert len(pd.read_csv(runs / f"fit-{epoch}" / "history.csv")) == result["epochs"] == result["epoch"] == epoch
        assert result["fit"] == ["train", "val"]
        assert result["epochs_from"] == {"run": origin["name"], "sha256": origin["result_sha256"], "epochs": epoch}
        assert (result["scores"], result["split"], result["selection_split"], result["n_selections"]) == (
            {},
            "test",
            None,
            0,
        )
        assert result["data"] == origin["result"]["data"]
        assert result["submission"]["rows"] == origin["result"]["submission"]["rows"]
        predictions = {path.name for path in (runs / f"fit-{epoch}" / "predictions").iterdir()}
        assert predictions == {"test.parquet", "test.post.parquet"}
        (own,) = read_exposure(runs / f"fit-{epoch}" / "weights.safetensors")
        assert len(own.train) == sum(result["data"]["groups"][split] for split in ("train", "val"))
        assert own.select == ()


def test_the_learning_rates_are_those_of_the_run_that_chose(runs: Path) -> None:
    """One epoch is the beginning of three, at rates of the same schedule, not a schedule of its own."""
    one, three = (pd.read_csv(runs / f"fit-{epoch}" / "history.csv") for epoch in (1, 3))
    pd.testing.assert_frame_equal(one, three[:1])
    base = pd.read_csv(runs / "base" / "history.csv")
    steps = [int(table["step"].iloc[0]) for table in (base, three)]
    if steps[0] == steps[1]:
        np.testing.assert_allclose(three["lr"], base["lr"][:3])
    assert three["lr"].iloc[2] > base["lr"].iloc[3]


def test_post_processing_is_fitted_on_answers_to_videos_not_trained_on(runs: Path, record: Read) -> None:
    post = record(runs / "fit-1")["result"]["post"]
    assert post["fitted_on"] == "chose-1"
    assert post["all"] == record(runs / "chose-1")["result"]["post"]["all"]


def test_labels_of_val_are_trained_on(program, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.runs import job as job_module

    build = job_module.build_index

    def turned(*args: Any, **options: Any) -> Any:
        index = build(*args, **options)
        videos = [replace(v, labels=-v.labels) if v.split == "val" else v for v in index.videos]
        return replace(index, videos=tuple(videos))

    monkeypatch.setattr(job_module, "build_index", turned)
    shutil.copytree(runs / "chose-1", tmp_path / "chose-1")
    other = load_file(fit(program, tmp_path, "fit", "chose-1") / "weights.safetensors")
    usual = load_file(runs / "fit-1" / "weights.safetensors")
    assert any(not torch.equal(tensor, usual[name]) for name, tensor in other.items())


def test_it_never_stands_among_scores_of_val(runs: Path) -> None:
    records, problems = load_runs(runs)
    assert problems == []
    tables = {table.key.split: [row.run for row in table.rows] for table in leaderboard(records)}
    assert tables == {"test": ["fit-1", "fit-3"], "val": ["base", "chose-1", "chose-3"]}
    rows = [row for table in leaderboard(records) if table.key.split == "test" for row in table.rows]
    assert all(row.score is None and row.rank == "" for row in rows)


def test_test_time_augmentation_afterwards_is_no_other_training(
    program, runs: Path, record: Read, tmp_path: Path
) -> None:
    for name in ("chose-1", "fit-1"):
        shutil.copytree(runs / name, tmp_path / name)
    answer = program("evaluate", tmp_path / "fit-1", "--tta", "views=1", "--name", "averaged")
    assert answer.code == 0, answer.err
    assert f"warning: {ORIGIN_POST}" in answer.out
    before, after = (record(tmp_path / name)["result"] for name in ("fit-1", "averaged"))
    assert after["post"] == before["post"]
    assert after["tta"]["run"] == "fit-1"
    assert after["config"]["augment"]
    options = ("--fit", "train,val", "--epochs-from", tmp_path / "chose-1", "--out", tmp_path, "--tta", "flip")
    program("run", *options).refused(
        "origin-other-training", other=Part("tta.flip")
    )  # a training is compared as before
    again = program("reproduce", tmp_path / "averaged", "--epochs-from", tmp_path / "chose-1", "--out", tmp_path)
    assert "reproduced: the result is the same to the last digit" in again.out, again.out + again.err
    assert again.code == 0


@pytest.mark.slow
def test_several_seeds_hand_in_one_merged_submission(program, runs: Path, record: Read) -> None:
    folder = fit(program, runs, "seeds", "chose-1", "--seeds", 2)
    own = [pd.read_parquet(folder / f"seed-{s}" / "predictions" / "test.post.parquet") for s in (0, 1)]
    merged = pd.read_parquet(folder / "predictions" / "test.post.parquet")
    assert (own[0]["valence"] != own[1]["valence"]).any()
    for name in ("valence", "arousal"):
        np.testing.assert_allclose(merged[name], (own[0][name] + own[1][name]) / 2, atol=1e-12)
    result = record(folder)["result"]
    assert (result["scores"], result["seeds"], result["best_epochs"]) == ({}, [0, 1], [1, 1])
    assert result["submission"]["rows"] == len(merged)
    answer = program("submit", folder, "--out", folder / "again")  # the merged answers, not one seed's
    assert answer.code == 0, answer.err
    assert f"sha256 {result['submission']['sha256']}\n" in answer.out
    shutil.rmtree(folder)


@pytest.mark.slow
def test_folds_give_the_mean_of_their_epochs(program, runs: Path, tmp_path: Path, record: Read) -> None:
    settings = ("--epochs", 2, "--encoders", "face", "--folds", 3, "--post", "clip", *CHOOSING)
    program.run(tmp_path, "cv", *settings)
    result = record(fit(program, tmp_path, "fit", "cv"))["result"]
    best = [record(tmp_path / "cv" / f"fold-{f}")["result"]["epoch"] for f in range(3)]
    assert result["epoch"] == int(sum(best) / 3 + 0.5)
    assert result["post"]["fitted_on"] == "cv"
    assert (result["config"]["folds"], result["config"]["fold"]) == (0, -1)


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        (("--fit", "train,val"), refused("fit-without-epochs")),
        (("--epochs-from", "base"), refused("epochs-without-fit")),
        (("--fit", "val", "--epochs-from", "base"), refused("fit-invalid", names="val")),
        (("--fit", "train,val", "--epochs-from", "none"), refused("origin-not-finished")),
        (("--fit", "train,val", "--epochs-from", "fit-1"), refused("origin-of-origin", first="chose-1")),
        (
            ("--fit", "train,val", "--epochs-from", "base", "--track", "expr"),
            refused("origin-other-training", other="track is va there and expr here"),
        ),
        (
            ("--fit", "train,val", "--epochs-from", "base", "--edition", "abaw6"),
            refused("origin-other-training", other=Part("edition is abaw10 there")),
        ),
        (
            ("--fit", "train,val", "--epochs-from", "base", "--encoders", "context"),
            refused("origin-other-training", other=Part("encoders is face=lite0 there and context=lite0")),
        ),
        (
            ("--fit", "train,val", "--epochs-from", "base", "--epochs", 9),
            refused("origin-other-training", other="train.epochs is 4 there and 9 here"),
        ),
        (
            ("--fit", "train,val", "--epochs-from", "base", "--set", "head.hidden=8"),
            refused("origin-other-training", other=Part("head.hidden is unset there and 8")),
        ),
        (
            ("--fit", "train,val", "--epochs-from", "base", "--set", "train.stride=4"),
            refused("origin-other-training", other="train.stride is 1 there and 4 here"),
        ),
        (
            ("--fit", "train,val", "--epochs-from", "base", "--set", "features.views=2", "--augment", "flip"),
            refused(
                "origin-other-training",
                other="augment is None there and ['face=flip'] here; features.views is 0 there and 2 here",
            ),
        ),
        (
            ("--fit", "train,val", "--epochs-from", "strided"),
            refused("origin-other-training", other="train.stride is 4 there and 1 here"),
        ),
        (
            ("--fit", "train,val", "--epochs-from", "viewed"),
            refused("origin-other-training", other="features.views is 2 there and 0 here"),
        ),
        (
            ("--fit", "train,val", "--epochs-from", "augmented"),
            refused("origin-other-training", other="augment is ['face=flip'] there and None here"),
        ),
        (("--fit", "train,val", "--epochs-from", "base", "--folds", 3), refused("folds-with-fit")),
        (
            ("--fit", "train,val", "--epochs-from", "base", "--set", "train.schedule=plateau"),
            refused("fit-with-plateau"),
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    program, runs: Path, others: Path, tmp_path: Path, options: tuple[object, ...], refusal: Refusal
) -> None:
    at = options.index("--epochs-from") + 1 if "--epochs-from" in options else None
    given = list(options)
    if at is not None:
        place = others if (others / str(options[at])).exists() else runs
        given[at] = place / str(options[at])
    answer = program("run", "--data", program.demo, "--out", tmp_path, *given)
    assert answer.code == 2
    refusal.check(answer.error)
    assert len(answer.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_further_videos_are_processed_as_the_test_videos_were(runs: Path, tmp_path: Path) -> None:
    fitted = runs / "chose-1" / "predictions" / "val.parquet"
    assert fitted_on(saved_config(runs / "fit-1"), runs / "fit-1") == fitted
    assert fitted_on(saved_config(runs / "chose-1"), runs / "chose-1") == fitted
    gone = saved_config(runs / "fit-1").model_copy(update={"epochs_from": str(tmp_path / "gone")})
    with refused("origin-predictions"):
        fitted_on(gone, runs / "fit-1")
