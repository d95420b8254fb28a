"""Mistakes that many make: the message says what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.config.schema import load_config
from harness.data.affwild2.annotation_sets import choose_annotations
from harness.data.affwild2.folder_layout import survey
from harness.data.preprocessing.crop import crop_folder
from harness.runs.folder import check_name
from plugins.detectors import detectors
from plugins.editions import abaw10
from tests.support.indexes import track
from tests.support.refusals import Part, refused
from zoo.errors import UserError
from zoo.registry.plan import make_plan
from zoo.registry.registry import load
from zoo.registry.suggestions import did_you_mean
from zoo.registry.tracks import find_track


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["run", "--lr", "0.1"], "it is a setting: --set train.lr=VALUE"),
        (["run", "--weight-decay", "0"], "it is a setting: --set train.weight_decay=VALUE"),
        (["run", "--encoders", "face", "context", "--head", "gru"], "one word: --encoders face,context"),
        (["run", "--batch-size", "8"], "it is a setting: --set train.batch=VALUE"),
        (["run", "--learning-rate", "0.1"], "it is a setting: --set train.lr=VALUE"),
        (["run", "--nonsense", "1"], "No such option: --nonsense"),
    ],
)
def test_options(arguments: list[str], advice: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert advice in " ".join(result.output.split())


@pytest.mark.parametrize("command", [["data", "crop", "x", "--out", "y"], ["weights", "verify"], ["predict", "x"]])
def test_a_setting_that_the_command_does_not_take_is_not_proposed(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--batch-size", "8"])
    assert result.exit_code == 2
    assert "No such option" in result.output
    assert "--set train" not in result.output


@pytest.mark.parametrize("command", [["run"], ["sweep"]])
def test_an_option_is_not_given_twice(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--encoders", "face", "--encoders=audio"])
    assert isinstance(result.exception, UserError)
    refused("option-repeated", option="--encoders").check(result.exception)
    with refused("track-unknown", track="x"):  # those that take several values still do
        app([*command, "--set", "train.lr=1", "--set", "train.batch=2", "--track", "x"], standalone_mode=False)


@pytest.mark.parametrize("key", ["lr", "optim.lr"])
def test_settings(key: str) -> None:
    with refused("setting-unknown", dotted=key, hint=Part("'train.lr'")):
        load_config(None, {}, [f"{key}=0.1"])


def test_case_is_no_difference() -> None:
    assert did_you_mean("GRU", ["gru", "tcn"]) == "did you mean 'gru'? "
    registry = load([])
    with refused("track-unknown", track="EXPR", near=Part("'expr'")):
        find_track(registry, "EXPR", None)
    with refused("block-unknown", name="GRU", near=Part("'gru'")):
        registry.get("heads", "GRU")


@pytest.mark.parametrize(
    ("encoder", "owner"), [("resnet18d", "timm"), ("resnet50", "timm"), ("enet_b0_8_best_vgaf", "hsemotion")]
)
def test_a_network_of_an_encoder(encoder: str, owner: str) -> None:
    registry = load([])
    answers = find_track(registry, "va", None)[1].answers
    with refused("encoder-is-argument", ways=Part(f"face={owner}:{encoder}")):
        make_plan(registry, encoders=f"face={encoder}", fusion="late", head="gru", answers=answers)


def test_a_file_to_crop(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    file.touch()
    with refused("crop-not-a-folder", raw=file):
        crop_folder(file, tmp_path / "out", detector=detectors()[0])


def test_raw_videos_to_train_on(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(UserError) as error:
        choose_annotations(survey(tmp_path), abaw10.EDITION, track(abaw10, "va"))
    assert "Train_Set/VIDEO.txt: the line 'valence,arousal', then one line per frame" in str(error.value)
    assert f"harness data crop {tmp_path} --out {tmp_path.name}-data" in str(error.value)


def test_a_taken_name_is_told_first(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with refused("run-name-taken", name="mine", out=tmp_path):
        check_name(tmp_path, "mine")
    check_name(tmp_path, "other")
    check_name(tmp_path, None)
