"""Averaged weights beside those of the last step: each form that programs write, asked for and not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tests.support.refusals import Part, refused
from zoo.api import ModelCard
from zoo.weights import loading as weights
from zoo.weights import reading

LAST = {"fc.weight": torch.zeros(2, 3), "fc.bias": torch.zeros(2)}
MEAN = {"fc.weight": torch.ones(2, 3), "fc.bias": torch.ones(2)}


def under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def averaged_model() -> dict[str, Tensor]:
    """What PyTorch's own class saves."""
    net = nn.Sequential()
    net.add_module("fc", nn.Linear(3, 2))
    model = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    net.load_state_dict(MEAN)
    model.update_parameters(net)
    return model.state_dict()


class Whole(nn.Module):
    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.load_state_dict(state)


FORMS: dict[str, tuple[Any, str]] = {
    "timm": ({"arch": "x", "state_dict": LAST, "state_dict_ema": MEAN}, "state_dict_ema"),
    "model_ema": ({"model": LAST, "model_ema": MEAN}, "model_ema"),
    "ema": ({"model": LAST, "ema": MEAN, "updates": 7}, "ema"),
    "ema_state_dict": ({"model_state_dict": LAST, "ema_state_dict": under("module.", MEAN)}, "ema_state_dict"),
    "averaged_model": ({"model": LAST, "averaged_model": averaged_model()}, "averaged_model"),
    "an object's state": ({"net": LAST, "ema": {"decay": 0.9, "shadow": MEAN}}, "ema/shadow"),
    "a callback": (
        {"state_dict": LAST, "callbacks": {"EMA{'decay': 0.9}": {"ema_state_dict": MEAN}}},
        "callbacks/EMA{'decay': 0.9}/ema_state_dict",
    ),
    "Lightning's SWA": (
        {
            "state_dict": LAST,
            "callbacks": {"StochasticWeightAveraging": {"n_averaged": 1, "average_model_state": averaged_model()}},
        },
        "callbacks/StochasticWeightAveraging/average_model_state",
    ),
    "one table": ({**under("model.", LAST), **under("ema.module.", MEAN)}, "ema."),
    "one table of ema_pytorch": (
        {**under("online_model.", LAST), **under("ema_model.", MEAN), "initted": torch.ones(1), "step": torch.ones(1)},
        "ema_model.",
    ),
    "a module inside a nest": ({"state_dict": {**under("net.", LAST), **under("model_ema.", MEAN)}}, "model_ema."),
}


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], t) for name, t in expected.items())


@pytest.mark.parametrize("form", FORMS)
def test_each_kind_is_taken_where_it_is_asked_for_and_the_other_is_told(tmp_path: Path, form: str) -> None:
    content, place = FORMS[form]
    torch.save(content, tmp_path / "net.pt")
    last, notes = reading._read(tmp_path / "net.pt", ema=False)
    mean, others = reading._read(tmp_path / "net.pt", ema=True)
    assert same(last, LAST)
    assert any(place in note and "ema=true takes them" in note for note in notes), notes
    assert same(mean, MEAN)
    assert any("as ema=true asks" in note for note in others), others


def test_a_safetensors_file_may_hold_both(tmp_path: Path) -> None:
    safetensors.torch.save_file({**under("model.", LAST), **under("ema.", MEAN)}, tmp_path / "net.safetensors")
    assert same(weights.read(tmp_path / "net.safetensors"), LAST)
    assert same(weights.read(tmp_path / "net.safetensors", ema=True), MEAN)


@pytest.mark.parametrize("ema", [False, True])
@pytest.mark.parametrize("content", [averaged_model(), {"swa_model": averaged_model()}, {"model_ema": MEAN}])
def test_averaged_weights_alone_are_taken_in_either_case(tmp_path: Path, content: dict[str, Any], ema: bool) -> None:
    torch.save(content, tmp_path / "net.pt")
    assert same(weights.read(tmp_path / "net.pt", ema=ema), MEAN)


@pytest.mark.parametrize("ema", [False, True])
def test_lightnings_weight_averaging_is_read_as_lightning_reads_it(tmp_path: Path, ema: bool) -> None:
    """Its state_dict is the average, and the last step's weights lie beside it."""
    content = {"state_dict": MEAN, "current_model_state": LAST, "averaging_state": {"n_averaged": torch.tensor(1)}}
    torch.save(content, tmp_path / "net.ckpt")
    found, notes = reading._read(tmp_path / "net.ckpt", ema=ema)
    assert same(found, MEAN)
    assert any("'current_model_state', were not taken" in note for note in notes)


@pytest.mark.parametrize("content", [{"state_dict": LAST, "epoch": 3}, {"state_dict": LAST, "ema": None}, LAST])
def test_what_is_not_there_is_told_with_what_is(tmp_path: Path, content: dict[str, Any]) -> None:
    torch.save(content, tmp_path / "net.pt")
    with refused("weights-no-averages", file=tmp_path / "net.pt", names=", ".join(content)):
        weights.read(tmp_path / "net.pt", ema=True)


def test_a_part_that_is_called_ema_is_no_average(tmp_path: Path) -> None:
    state = {**LAST, "ema.codes": torch.ones(3)}
    torch.save(state, tmp_path / "net.pt")
    assert same(weights.read(tmp_path / "net.pt"), state)
    with refused("weights-no-averages", names=Part("ema.codes")):
        weights.read(tmp_path / "net.pt", ema=True)


def test_a_whole_averaged_network_is_kept_apart_from_the_other(tmp_path: Path) -> None:
    nets = {"model": timm.create_model("test_efficientnet"), "ema": timm.create_model("test_efficientnet")}
    torch.save(nets, tmp_path / "net.pt")
    for _ in range(2):  # the second time out of the cache
        for key, ema in (("model", False), ("ema", True)):
            state, _notes = reading.read_kept(tmp_path / "net.pt", tmp_path / "cache", ema)
            assert same(state, nets[key].state_dict())


@pytest.mark.parametrize(("ema", "expected"), [(False, LAST), (True, MEAN)])
def test_a_card_and_a_conversion_ask_for_them(tmp_path: Path, ema: bool, expected: dict[str, Tensor]) -> None:
    torch.save(FORMS["timm"][0], tmp_path / "net.pt")
    net = Whole(LAST)
    card = ModelCard("mine", None, "MIT", "here", path=str(tmp_path / "net.pt"), ema=ema)
    loaded = weights.load_pretrained(net, card, cache=tmp_path / "cache")
    assert same(net.state_dict(), expected)
    assert any("ema=true" in note for note in loaded.notes)
    weights.convert(tmp_path / "net.pt", tmp_path / "net.safetensors", ema=ema)
    assert same(weights.read(tmp_path / "net.safetensors"), expected)
