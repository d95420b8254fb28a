"""`harness sweep --search`: seeded, continued as if it had not been stopped, and blind to what is reported."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from harness.config.schema import load_config
from harness.runtime.launchers import Failure, attempt
from harness.sweeps.search_space import USUAL, Choice, Range, current, parse_space, space_of
from tests.support.refusals import Refusal, refused

needs_optuna = pytest.mark.skipif(find_spec("optuna") is None, reason="Optuna is not installed (extra search)")


# --- the space --------------------------------------------------------------------------------------------------------


def test_the_grammar_of_a_space() -> None:
    assert parse_space(
        ["train.lr=1e-4:1e-2:log", "head.hidden=32, 64,128", "train.mixup = 0:1", "head.causal=true,false"]
    ) == {
        "train.lr": Range(1e-4, 1e-2, log=True),
        "head.hidden": Choice((32, 64, 128)),
        "train.mixup": Range(0, 1),
        "head.causal": Choice((True, False)),
    }


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("train.lr", "space-invalid"),
        ("train.lr=", "space-invalid"),
        ("=1:2", "space-invalid"),
        ("train.lr=1:x", "space-invalid"),
        ("train.lr=2:1", "space-order"),
        ("train.lr=0:1:log", "space-order"),
        ("train.lr=1:2:lin", "space-invalid"),
        ("train.lr=1", "space-one-value"),
        ("train.lr=1,1", "space-one-value"),
        ("train.lr=1:2:log:3", "space-invalid"),
        ("train.lr=0:inf", "space-invalid"),
    ],
)
def test_a_space_that_is_none(text: str, code: str) -> None:
    with refused(code, got=text):
        parse_space([text])


@pytest.fixture(scope="module")
def ground(program) -> Any:
    from harness.runs.job import prepare_shared

    return prepare_shared(load_config("demo", {"data_dir": str(program.demo)}, []), progress=False)


def entry_of(program, ground: Any, out: Path, sets: Sequence[str] = (), **flags: Any) -> Any:
    from harness.sweeps.entries import plan_entries

    flags = {"data_dir": str(program.demo), "encoders": "face", "fusion": "concat", **flags}
    few = ["train.epochs=2", "train.batch=2", "project.components=8"]
    return plan_entries([load_config("demo", flags, [*few, *sets])], 1, ground, out)[0]


def test_the_space_of_a_combination(program, ground: Any, tmp_path: Path) -> None:
    entry = entry_of(program, ground, tmp_path)
    usual = space_of(entry.config, entry.job.plan, {}, [])
    assert set(usual) == set(USUAL) - {"train.encoder_lr"}, "no encoder is trained"
    assert usual["train.clip"] == Choice((32, 40, 64, 128, 256)), "with the recipe's own"
    assert usual["train.batch"] == Choice((2, 8, 16, 32))
    assert max(usual["head.hidden"].ends) == 512
    assert current(entry.config, entry.job.plan, "train.lr") == 3e-3
    assert current(entry.config, entry.job.plan, "head.hidden") == 64
    given = parse_space(["train.lr=1e-3:1e-2", "head.layers=1:3", "head.kernel=3,5", "fusion.per_slot=0:1"])
    mine = space_of(entry.config, entry.job.plan, given, ["project.width", "train.epochs"])
    assert set(mine) == {*usual, "fusion.per_slot"} - {"project.width"}, "a GRU has no kernel"
    assert mine["train.lr"] == Range(1e-3, 1e-2)
    assert mine["head.layers"] == Range(1, 3, whole=True)
    trained = entry_of(program, ground, tmp_path, encoders="audio")
    assert not any(key.startswith("project.") for key in space_of(trained.config, trained.job.plan, {}, []))
    tuned = entry_of(program, ground, tmp_path, finetune=["face"])
    assert "train.encoder_lr" in space_of(tuned.config, tuned.job.plan, {}, [])
    assert current(tuned.config, tuned.job.plan, "train.encoder_lr") == 3e-3, "that of the rest, as without the setting"
    by_rate = entry_of(program, ground, tmp_path, ["train.fps=10"])
    assert "train.stride" not in space_of(by_rate.config, by_rate.job.plan, {}, []), "the two exclude each other"


def test_a_range_reaches_to_the_combinations_own_value(program, ground: Any, tmp_path: Path) -> None:
    own = ["train.lr=0.05", "train.weight_decay=0", "train.output_dropout=0.7"]
    entry = entry_of(program, ground, tmp_path, own, finetune=["face"], encoders="face,context")
    space = space_of(entry.config, entry.job.plan, {}, [])
    assert space["train.lr"] == Range(1e-4, 0.05, log=True)
    assert space["train.encoder_lr"] == Range(1e-6, 0.05, log=True)
    assert space["train.weight_decay"] == Range(0, 0.1), "a logarithm has no 0"
    assert space["train.output_dropout"] == Range(0, 0.7)
    assert space["project.dropout"] == USUAL["project.dropout"]
    given = parse_space(["train.lr=1e-4:1e-3:log"])
    assert space_of(entry.config, entry.job.plan, given, [])["train.lr"] == Range(1e-4, 1e-3, log=True)


@pytest.mark.parametrize(
    ("sets", "given", "fixed", "clips", "strides"),
    [
        (["train.clip=1"], [], [], (1, 32, 64, 128, 256), None),
        (["train.clip=3"], [], ["train.clip"], None, (1, 2)),
        (["train.clip=128", "train.stride=64"], [], [], (64, 128, 256), (1, 2, 4, 64)),
        (["train.clip=128", 'tta.strides="100"'], [], [], (128, 256), (1, 2, 4)),
        ([], ["train.stride=1,40"], [], (40, 64, 128, 256), (1, 40)),
        ([], ["train.clip=2:8"], [], (2, 8), (1, 2)),
    ],
)
def test_clips_are_as_long_as_strides(
    program, ground: Any, tmp_path: Path, sets: list[str], given: list[str], fixed: list[str], clips: Any, strides: Any
) -> None:
    entry = entry_of(program, ground, tmp_path, sets)
    space = space_of(entry.config, entry.job.plan, parse_space(given), fixed)
    found = [space[key].ends if key in space else None for key in ("train.clip", "train.stride")]
    assert found == [clips, strides]


def test_options_of_augmentations_are_searched(program, ground: Any, tmp_path: Path) -> None:
    entry = entry_of(program, ground, tmp_path, finetune=["face"], augment=("face=affine",))
    given = parse_space(["augment.face.affine.degrees=5,20", "augment.face.affine.p=0.1:0.9"])
    space = space_of(entry.config, entry.job.plan, given, [])
    assert set(given) <= set(space)
    assert current(entry.config, entry.job.plan, "augment.face.affine.degrees") == 10
    assert current(entry.config, entry.job.plan, "augment.face.affine.p") == 0.5


@pytest.mark.parametrize(
    "key", ["head.layrs", "head.kernel", "augment.face.nose.degrees", "augment.face.affine.degrees"]
)
def test_a_space_that_no_combination_has(program, ground: Any, tmp_path: Path, key: str) -> None:
    from harness.sweeps.search import Search, check_spaces

    entry = entry_of(program, ground, tmp_path, ["head.layers=1"])
    with refused("space-unused", key=key):
        check_spaces([entry], Search(2, 3, parse_space([f"{key}=1,2"])))
    check_spaces([entry], Search(2, 3, parse_space(["head.layers=1,2"])))


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("train.rate=1:2", refused("space-unknown-setting")),
        ("features.views=0,2", refused("space-not-searched", key="features.views")),
        ("tta.views=0,2", refused("space-not-searched")),
        ("distill.weight=0.1:0.9", refused("space-not-searched")),
        ("post.smooth.width=3,5", refused("space-not-searched")),
        ("head=gru,tcn", refused("space-not-searched")),
        ("train.stride=1,64", refused("stride-over-clip")),
        ("train.lr=-1:1", refused("setting-invalid", dotted="train.lr")),
        ("train.batch=1:2.5", refused("space-whole-number")),
        ("train.optimizer=adam,adamm", refused("setting-invalid", dotted="train.optimizer")),
    ],
)
def test_a_space_that_does_not_fit(program, ground: Any, tmp_path: Path, text: str, refusal: Refusal) -> None:
    entry = entry_of(program, ground, tmp_path)
    with refusal:
        space_of(entry.config, entry.job.plan, parse_space([text]), [])


# --- the search -------------------------------------------------------------------------------------------------------


class Stop(Exception):
    pass


class Launch:
    """Workers that are none: a function of the settings instead of a training, ended after so many folds."""

    workers, remote = 1, False

    def __init__(self, score: Any, most: int = 10_000) -> None:
        self.score, self.most = score, most

    def __call__(self, task: Any, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for place, item in reversed(list(enumerate(items))):
            self.most -= 1
            if self.most < 0:
                raise Stop
            yield place, self.score(item)


def quality(fold: Any) -> float:
    return -abs(fold.config.train.lr - 2e-3) - fold.config.project.dropout + 0.01 * fold.fold


def searched(program, ground: Any, out: Path, launch: Launch, trials: int = 14, **flags: Any) -> Any:
    from harness.sweeps.search import Search, run_search

    entry = entry_of(program, ground, out, **flags)
    found = run_search([entry], Search(trials, 3, {}), ground, launch, out)
    return entry, found[0]


@needs_optuna
def test_a_search_is_seeded_and_goes_on(program, ground: Any, tmp_path: Path) -> None:
    _, first = searched(program, ground, tmp_path / "a", Launch(quality))
    with pytest.raises(Stop):
        searched(program, ground, tmp_path / "b", Launch(quality, most=3 * 11 + 2))
    _, second = searched(program, ground, tmp_path / "b", Launch(quality))
    assert first == second
    _, other = searched(program, ground, tmp_path / "c", Launch(quality), seed=1)
    assert other.train.lr != first.train.lr
    assert first.chosen.model_dump() == {
        "trials": 14,
        "on": "3 folds of train",
        "reported": False,
        "keys": tuple(sorted(set(USUAL) - {"train.encoder_lr"})),
    }
    assert first.project.dropout < 0.5, "better than the recipe's own, by which it begins"
    none = Launch(quality, most=0)
    assert searched(program, ground, tmp_path / "a", none)[1] == first, "all trials are there: none is made again"
    with pytest.raises(Stop):
        searched(program, ground, tmp_path / "a", none, trials=15)


@needs_optuna
def test_the_first_trial_is_what_is_set_anyway(program, ground: Any, tmp_path: Path) -> None:
    entry, found = searched(program, ground, tmp_path, Launch(quality), trials=1)
    assert found.model_copy(update={"chosen": entry.config.chosen}) == entry.config.model_copy(
        update={"options": {**entry.config.options, "head.hidden": 64, "head.layers": 1}}
    )


@needs_optuna
def test_the_first_trial_has_values_outside_the_usual_ranges(program, ground: Any, tmp_path: Path) -> None:
    from harness.sweeps.search import Search, Study

    own = {"train.lr": 0.05, "train.weight_decay": 0.0, "train.output_dropout": 0.7, "project.dropout": 0.8}
    entry = entry_of(program, ground, tmp_path, [f"{key}={value}" for key, value in own.items()])
    first = Study(entry, Search(1, 3, {}), ground, tmp_path).ask()
    assert {key: first[key] for key in own} == own


@needs_optuna
def test_trials_that_fail(program, ground: Any, tmp_path: Path) -> None:
    def score(fold: Any) -> Any:
        return Failure("no") if fold.config.project.dropout > 0.2 and fold.fold == 1 else quality(fold)

    _, found = searched(program, ground, tmp_path / "some", Launch(score), trials=8)
    assert found.project.dropout <= 0.2
    entry, found = searched(program, ground, tmp_path / "all", Launch(lambda fold: Failure("never")), trials=2)
    assert found.chosen.trials == 0
    assert entry.job is None
    assert entry.reason == "--search: all 2 trials failed, the last with: never"


class Here:
    """One worker, in this process."""

    workers, remote = 1, False

    def __call__(self, task: Any, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for place, item in enumerate(items):
            yield place, attempt(task, item)


@needs_optuna
@pytest.mark.slow
def test_the_choice_is_blind_to_what_is_reported(program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other validation labels, the same choice; other training labels, other scores."""
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    best = {}
    for name, changed in (("as it is", None), ("validation", "Validation_Set"), ("training", "Train_Set")):
        data = tmp_path / name
        shutil.copytree(program.demo, data)
        files = [path for path in data.rglob("*.txt") if changed and path.parent.name == changed]
        assert bool(files) == bool(changed)
        for path in files:
            head, *lines = path.read_text().splitlines()
            path.write_text("\n".join([head, *lines[::-1]]) + "\n")
        best[name] = choice(program, data, tmp_path / f"runs {name}")
    assert best["validation"] == best["as it is"]
    assert best["training"] != best["as it is"]


def choice(program, data: Path, out: Path) -> tuple[dict[str, Any], list[float]]:
    from harness.runs.job import prepare_shared
    from harness.sweeps.search import Search, Study, run_search

    program = replace(program, demo=data)
    ground = prepare_shared(load_config("demo", {"data_dir": str(data)}, []), progress=False)
    entry = entry_of(program, ground, out, ["train.select=best"])
    search = Search(3, 3, {})
    run_search([entry], search, ground, Here(), out)
    study = Study(entry, search, ground, out)
    scores = [trial.value for trial in study.trials.trials]
    assert len(set(scores)) == 3
    return study.best()[0], scores


def test_a_trial_trains_with_the_augmentation_of_the_run(
    program, ground: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.sweeps import search
    from zoo.model.augmenter import Augmenter

    def note(*given: Any, augment: Augmenter, **how: Any) -> None:
        assert [block.spec.name for block in augment.chains["face"]] == ["flip", "noise"]
        assert augment.seed == 4
        raise Stop

    monkeypatch.setattr(search, "train", note)
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    entry = entry_of(program, ground, tmp_path, finetune=["face"], augment=("face=flip,noise",), seed=4)
    with pytest.raises(Stop):
        search.score_fold(search.Fold(entry.config, 0, 3, whole=False))


@needs_optuna
def test_no_reported_video_is_in_a_fold(program, ground: Any, tmp_path: Path) -> None:
    from harness.sweeps.search import Fold, fold_job

    entry = entry_of(program, ground, tmp_path)
    train = {video.name for video in ground.index.split("train")}
    scored: list[str] = []
    for fold in range(3):
        index = fold_job(entry.job, Fold(entry.config, fold, 3, whole=False)).index
        assert {video.name for video in index.videos} == train
        assert all(index.split(split) for split in ("train", "select", "val"))
        groups = [{video.group for video in index.split(split)} for split in ("train", "select", "val")]
        assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
        scored += [video.name for video in index.split("val")]
    assert sorted(scored) == sorted(train)
    with refused("search-folds-too-many"):
        fold_job(entry.job, Fold(entry.config, 0, 9, whole=False))


@needs_optuna
def test_a_search_has_no_teacher(program, tmp_path: Path) -> None:
    taught = ("--encoders", "face", "--set", f"distill.run={tmp_path / 'teacher'}")
    answer = program("sweep", "--data", program.demo, *taught, "--search", 2, "--out", tmp_path)
    answer.refused("search-with-teacher")


def test_without_optuna(program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    answer = program("sweep", "--data", program.demo, "--encoders", "face", "--search", 2, "--out", tmp_path)
    answer.refused("optuna-missing")
    answer = program(
        "sweep", "--data", program.demo, "--encoders", "face", "--space", "train.lr=1:2", "--out", tmp_path
    )
    answer.refused("space-without-search")


@needs_optuna
@pytest.mark.slow
def test_the_record_says_what_was_chosen_and_on_what(program, tmp_path: Path, record: Any) -> None:
    common = (
        "sweep",
        "--data",
        program.demo,
        "--encoders",
        "face",
        "--fusion",
        "concat",
        "--head",
        "gru",
        "--epochs",
        2,
        "--out",
        tmp_path,
        "--search",
        2,
        "--set",
        "project.width=16",
    )
    answer = program(*common)
    assert answer.code == 0, answer.err
    result = record(tmp_path / "va-face+lite0-concat-gru-s0-best2")["result"]
    assert (result["selection_split"], result["n_selections"]) == ("3 folds of train", 2)
    assert not result["selected_on_reported"]
    assert result["config"]["project"]["width"] == 16
    assert "3 folds of train, of 2" in answer.out
    config = tmp_path / "va-face+lite0-concat-gru-s0-best2" / "config.toml"
    again = program("run", "--recipe", config, "--out", tmp_path, "--name", "again")
    assert "chosen among 2 trials on 3 folds of train, which are not scored here" in again.out
    assert record(tmp_path / "again")["result"]["scores"] == result["scores"]
    answer = program(*common, "--folds", 4)
    assert answer.code == 0, answer.err
    result = record(tmp_path / "va-face+lite0-concat-gru-s0-cv4-best2")["result"]
    assert result["search"]["on"] == "cv4"
    assert result["selected_on_reported"], "the folds that chose are those that are scored"
    assert "optimistic" in answer.out
