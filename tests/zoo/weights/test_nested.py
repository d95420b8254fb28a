"""Checkpoints as programs of the field write them: what lies next to the weights, and where the weights lie."""

from __future__ import annotations

import argparse
import collections
import datetime
import decimal
import fractions
import functools
import pathlib
import types
import uuid

import numpy as np
import pytest
import torch

from tests.support.refusals import refused
from zoo.weights.reading import convert, read

WEIGHTS = {"conv.weight": torch.arange(8.0).reshape(2, 4), "conv.bias": torch.ones(2)}
OTHER = {"conv.weight": torch.zeros(2, 4), "conv.bias": torch.zeros(2)}
STATE = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}


def same(state: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor] = WEIGHTS) -> bool:
    return state.keys() == wanted.keys() and all(torch.equal(state[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(
    "other",
    [
        collections.defaultdict(list, a=[1]),
        collections.defaultdict(dict),
        collections.Counter("aab"),
        collections.deque([1]),
        types.SimpleNamespace(lr=0.1),
        argparse.Namespace(lr=0.1, out=pathlib.Path("x")),
        datetime.date(2026, 1, 1),
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        decimal.Decimal("0.1"),
        fractions.Fraction(1, 3),
        uuid.UUID(int=5),
        complex(1, 2),
        range(3),
        slice(1, 2),
        bytearray(b"ab"),
        pathlib.PureWindowsPath("c:/a"),
        functools.partial(dict, a=1),
        np.random.default_rng(0),
        np.random.get_state(),
        np.float64(0.5),
        torch.get_rng_state(),
        torch.int16,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_lies_next_to_the_weights_does_no_harm(tmp_path, other):
    torch.save({"state_dict": WEIGHTS, "epoch": 3, "extra": other}, tmp_path / "a.pt")
    assert same(read(tmp_path / "a.pt"))


@pytest.mark.parametrize(
    "nest",
    [
        {"weights": WEIGHTS},
        {"backbone": WEIGHTS, "optimizer": STATE},
        {"encoder": WEIGHTS, "epoch": 1},
        {"G": WEIGHTS, "optim_G": STATE, "lr_scheduler": {"base": torch.ones(1)}},
        {"checkpoint": {"model": {"state_dict": WEIGHTS}}},
        {"model": {"module": WEIGHTS, "step": 4}},
        (WEIGHTS, 3),
        [WEIGHTS, 1],
        {"sd": {f"_orig_mod.{name}": tensor for name, tensor in WEIGHTS.items()}},
        {"net": {f"module._orig_mod.{name}": tensor for name, tensor in WEIGHTS.items()}},
        {**WEIGHTS, "epoch": 3},
        {**WEIGHTS, "norm": {"mean": torch.ones(2)}},
        {"ema": WEIGHTS, "stats": {"mean": torch.ones(2), "std": torch.ones(2)}},
        {"state_dict": WEIGHTS, "stats": {"mean": torch.ones(2)}},
        collections.OrderedDict(
            **{"conv.weight": WEIGHTS["conv.weight"], "conv.bias": WEIGHTS["conv.bias"], "meta": {}}
        ),
    ],
    ids=lambda nest: "-".join(map(str, nest)) if isinstance(nest, dict) else type(nest).__name__,
)
def test_the_weights_are_found_where_their_program_put_them(tmp_path, nest):
    torch.save(nest, tmp_path / "a.pt")
    assert same(read(tmp_path / "a.pt"))


def test_what_was_left_out_is_said(tmp_path):
    torch.save({**WEIGHTS, "epoch": 3}, tmp_path / "a.pt")
    notes = convert(tmp_path / "a.pt", tmp_path / "a.safetensors")
    assert "left out, no tensors: epoch" in notes


def test_of_several_networks_the_user_chooses(tmp_path):
    path = tmp_path / "dino.pth"
    torch.save({"teacher": WEIGHTS, "student": OTHER, "optimizer": STATE, "epoch": 1}, path)
    with refused("weights-several-tables", file=path, places="teacher, student", first="teacher"):
        read(path)
    for place, wanted in (("teacher", WEIGHTS), ("student", OTHER)):
        convert(path, tmp_path / f"{place}.safetensors", key=place)
        assert same(read(tmp_path / f"{place}.safetensors"), wanted)
    with refused("weights-no-such-table", file=path, place="optimizer"):
        convert(path, tmp_path / "x.safetensors", key="optimizer")
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize("content", [{"epoch": 3}, {"optimizer": STATE}, [1, 2], {"a": torch.ones(1), "b": 1, "c": 2}])
def test_a_file_without_weights_is_named(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    with refused("weights-no-table", file=tmp_path / "a.pt"):
        read(tmp_path / "a.pt")
