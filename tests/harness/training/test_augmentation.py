"""Augmentation in training: when it is on, what records say, and what a resumed training draws."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.config.recipe import about, recipe_names
from harness.config.schema import Train, load_config
from harness.runs.job import plan_of, with_names
from harness.runtime.distributed import single_process
from harness.training.loop import train
from tests.harness.batching.test_clips import data
from tests.harness.training.test_loop import TRACK, model
from tests.support.recipes import stand_in_hub
from tests.support.refusals import refused
from zoo.errors import Stopped
from zoo.model.model import Batch
from zoo.registry.registry import load
from zoo.registry.tracks import find_track

TRAINED = ("--encoders", "face=timm:test_resnet", "--set", "encoder.face.pretrained=false")
QUICK = ("--epochs", "2", "--set", "train.clip=8", "--set", "train.batch=4", "--post", "clip")


class Recorder:
    """Notes what the loop asks to be augmented, and asks to stop at a step."""

    def __init__(self, stop: int = -1) -> None:
        self.calls: list[tuple[int, tuple[Any, ...]]] = []
        self.stop = stop

    def __call__(self, batch: Batch, epoch: int, rows: slice) -> Batch:
        assert rows == slice(None)
        if len(self.calls) == self.stop:
            raise Stopped
        self.calls.append((epoch, (*batch.where, *batch.valid.sum(1).tolist())))
        return batch


def recorded(folder: Path, stop: int = -1) -> Recorder:
    noted = Recorder(stop)
    settings = Train(epochs=3, clip=5, batch=3, min_steps=0, lr=0.01, schedule="constant")
    world = single_process(torch.device("cpu"))
    folder.mkdir(exist_ok=True)
    with suppress(Stopped):
        train(model(), data(), None, TRACK, settings, seed=0, world=world, folder=folder, progress=False, augment=noted)
    return noted


def test_a_resumed_training_asks_for_the_same_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws follow from seed, epoch, video, first frame and length: these are what must be equal."""
    monkeypatch.setattr("harness.training.loop.SAVE_EVERY", 0.0)
    whole = recorded(tmp_path / "whole").calls
    stop = len(whole) // 2
    first, rest = recorded(tmp_path / "cut", stop).calls, recorded(tmp_path / "cut").calls
    assert len(first) == stop
    assert first + rest == whole
    assert {epoch for epoch, _ in whole} == {0, 1, 2}


def test_the_model_learns_from_what_the_augmentation_returns(tmp_path: Path) -> None:
    def zero(batch: Batch, epoch: int, rows: slice) -> Batch:
        return replace(batch, features={slot: torch.zeros_like(x) for slot, x in batch.features.items()})

    states = []
    for name, augment in (("plain", lambda batch, epoch, rows: batch), ("zero", zero)):
        net, folder = model(), tmp_path / name
        folder.mkdir()
        settings = Train(epochs=1, clip=5, batch=3, min_steps=0)
        world = single_process(torch.device("cpu"))
        train(net, data(), None, TRACK, settings, seed=0, world=world, folder=folder, progress=False, augment=augment)
        states.append(net.state_dict())
    assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_new_runs_have_the_default_set_and_files_of_older_runs_none(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert with_names(load_config("default", {}, [])).augment == ("default",)
    assert with_names(load_config("default", {"augment": ["flip"]}, [])).augment == ("flip",)
    path.write_text(load_config("default", {"edition": "abaw10"}, []).toml())
    assert "augment" not in tomllib.loads(path.read_text())
    assert with_names(load_config(str(path), {}, [])).augment == ("none",)
    assert with_names(load_config(str(path), {"augment": ["default"]}, [])).augment == ("default",)
    path.write_text(load_config("default", {"edition": "abaw10", "augment": ["face=flip"]}, []).toml())
    assert load_config(str(path), {}, []).augment == ("face=flip",)
    path.write_text('encoders = "face"\nseed = 3\n')  # a recipe written by hand, not the settings of an older run
    assert with_names(load_config(str(path), {}, [])).augment == ("default",)


def test_recipes_of_published_systems_that_train_encoders_of_pictures_are_not_augmented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, found = load([]), {}
    for name in (name for name in recipe_names() if about(name).paper):
        stand_in_hub(name, tmp_path / name, monkeypatch)
        config = with_names(load_config(name, {}, []), registry)
        track = find_track(registry, config.track, config.edition)[1]
        found[name] = bool(plan_of(config, registry, track).augment)
    assert len(found) >= 8
    assert not any(found.values()), found


def test_settings_of_augmentations() -> None:
    sets = ["augment=face=flip,crop", "augment.face.crop.low=0.5"]
    config = load_config("default", {}, sets)
    assert (config.augment, config.options) == (("face=flip,crop",), {"augment.face.crop.low": 0.5})


def test_a_flag_drops_the_options_of_the_augmentations_of_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('augment = ["face=crop"]\n[options]\n"augment.face.crop.low" = 0.5\n')
    assert load_config(str(path), {}, []).options == {"augment.face.crop.low": 0.5}
    assert load_config(str(path), {"augment": ["none"]}, []).options == {}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--augment", "audio=gain"), refused("augment-unknown-slot", slot="audio")),
        (("--augment", "face=gain"), refused("augment-kind", name="gain", slot="face")),
        (
            ("--augment", "face=crop", "--set", "augment.face.crop.low=2"),
            refused("option-out-of-range", who="augmentation crop", name="low", value=2.0),
        ),
    ],
)
def test_a_bad_augmentation_ends_before_anything_is_written(program, tmp_path: Path, more, expected) -> None:
    answer = program("run", "--data", program.demo, "--out", tmp_path / "runs", *TRAINED, *more)
    assert answer.code == 2
    expected.check(answer.error)
    assert not (tmp_path / "runs").exists()


def test_frozen_encoders_have_nothing_to_augment(program, tmp_path: Path) -> None:
    run = ("run", "--data", program.demo, "--out", tmp_path / "runs", "--encoders", "face")
    program(*run, "--augment", "flip").refused("augment-nothing", name="flip")
    program(*run, "--augment", "face=flip").refused("augment-frozen", slot="face")
    program(*run, "--set", "features.views=2", "--augment", "none").refused("views-nothing", views=2)


def test_a_check_of_a_combination_names_its_augmentations(program) -> None:
    said = program("check", *TRAINED, "--augment", "face=grey,default").out
    assert "face=grey,affine,colour,erase,flip" in said
    program("check", *TRAINED, "--augment", "face=blur", "--set", "augment.face.blur.low=-1").refused(
        "option-out-of-range", who="augmentation blur"
    )


@pytest.mark.slow
def test_the_default_set_is_on_only_where_an_encoder_of_pictures_is_trained(program, tmp_path: Path, record) -> None:
    usual = program.run(tmp_path, "usual", *TRAINED, *QUICK)
    none = program.run(tmp_path, "none", *TRAINED, *QUICK, "--augment", "none")
    frozen = program.run(tmp_path, "frozen", "--encoders", "face", *QUICK)
    again = program.run(tmp_path, "again", "--recipe", usual / "config.toml")
    names = ["face=affine,colour,erase,flip"]
    assert record(usual)["result"]["config"]["augment"] == names
    assert tomllib.loads((usual / "config.toml").read_text())["augment"] == names
    assert record(usual)["result_sha256"] == record(again)["result_sha256"] != record(none)["result_sha256"]
    for run in (none, frozen):
        assert "augment" not in record(run)["result"]["config"]
        assert "augment" not in tomllib.loads((run / "config.toml").read_text())
    repeated = program.run(tmp_path, "repeated", "--recipe", none / "config.toml")
    assert record(none)["result_sha256"] == record(repeated)["result_sha256"]


@pytest.mark.slow
def test_every_augmentation_trains(program, tmp_path: Path, record) -> None:
    """All of them at once, always, with a trained encoder of each kind of input and a plugin file's own."""
    plugin = tmp_path / "dark.py"
    assert program("plugin", "new", "dark", "--kind", "augmentation", "--single-file", "--out", tmp_path).code == 0
    specs = [entry.spec for entry in load([]).entries("augmentations")]
    chains = {kind: ",".join(spec.name for spec in specs if spec.kind == kind) for kind in ("frames", "sound")}
    slots = {"face": "frames", "audio": "sound"}
    sets = [f"augment.{slot}.{spec.name}.p=1" for slot, kind in slots.items() for spec in specs if spec.kind == kind]
    texts = [f"face={chains['frames']},dark", f"audio={chains['sound']}"]
    more = [part for text in (*sets, "augment.face.flip.per_frame=true") for part in ("--set", text)]
    more += [part for text in texts for part in ("--augment", text)]
    encoders = ("--encoders", "face=timm:test_resnet,audio", "--set", "encoder.face.pretrained=false")
    run = program.run(tmp_path, "all", *encoders, *QUICK, *more, "--plugin", plugin)
    result = record(run)["result"]
    assert result["config"]["augment"] == texts
    assert [name.partition(" ")[0] for name in result["plugins"]] == ["dark.py"]
    assert result["scores"]["raw"]["main"] == result["scores"]["raw"]["main"]  # not NaN


def test_frozen_pictures_may_be_augmented_as_views(program, tmp_path: Path, record) -> None:
    quick = ("--encoders", "face", *QUICK)
    run = program.run(tmp_path, "views", *quick, "--set", "features.views=2", "--augment", "face=flip,crop")
    config = record(run)["result"]["config"]
    assert (config["augment"], config["features"]["views"]) == (["face=flip,crop"], 2)
    assert {"face", "face@1", "face@2"} <= {
        line.split(",")[0] for line in (run / "features.csv").read_text().splitlines()
    }
    none = program.run(tmp_path, "none", *quick)
    assert "views" not in record(none)["result"]["config"]["features"]
    again = program.run(tmp_path, "again", "--recipe", run / "config.toml")
    shas = [record(one)["result_sha256"] for one in (run, again, none)]
    assert shas[0] == shas[1] != shas[2]
    assert program("evaluate", run).code == 0
