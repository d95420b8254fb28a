"""Every recipe trains two steps on a crumb of the demo set, on its track; test_matrix.py has blocks on every track."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.config.recipe import recipe_names
from harness.config.schema import load_config
from harness.runs.job import plan_of
from zoo.model.model import build_encoder
from zoo.model.shape_check import meta_or_real
from zoo.registry.tracks import find_track, load_plugins

HEAVY = 20_000_000  # numbers: what is larger gives way to a small encoder of its stream, here only
STAND_IN = {"frames": "lite0", "sound": "melcnn"}
SMALLER = {"mel_timm": "mel_timm:test_resnet"}  # the same encoder on a small network
CASES = [
    pytest.param(name, load_config(name, {}, []).track, marks=[] if name == "demo" else pytest.mark.slow)
    for name in recipe_names()
]
Read = Callable[[Path], dict[str, Any]]


def crumb_slots(name: str, track: str) -> tuple[str, list[str]]:
    """The recipe's slots, random where their weights lie behind an address, and lighter where they are too heavy."""
    registry = load_plugins([])
    config = load_config(name, {"track": track, "edition": "abaw10"}, [])
    plan = plan_of(config, registry, find_track(registry, track, "abaw10")[1])
    slots, sets = [], []
    for slot, text in zip(plan.slots, config.encoders.split(","), strict=True):
        encoder = meta_or_real(lambda slot=slot: build_encoder(slot))
        heavy = sum(p.numel() for p in encoder.parameters()) > HEAVY
        if heavy:
            text = f"{slot.name}={SMALLER.get(slot.encoder.name, STAND_IN[slot.stream.kind])}"
        far = slot.passport is not None and slot.passport.url
        if far and (not heavy or slot.encoder.name in SMALLER):
            sets += ["--set", f"encoder.{slot.name}.pretrained=false"]
        slots.append(text)
    return ",".join(slots), sets


@pytest.mark.parametrize(("name", "track"), CASES)
def test_every_recipe_trains_two_steps(program, tmp_path: Path, record: Read, name: str, track: str) -> None:
    slots, sets = crumb_slots(name, track)
    small = ("--set", "train.batch=3", "--set", "train.clip=24", "--epochs", 1)
    where = ("--track", track, "--edition", "abaw10")  # the crumb has the annotations of that edition
    folder = program.run(tmp_path, "run", "--recipe", name, "--encoders", slots, *where, *sets, *small)
    result = record(folder)["result"]
    assert result["steps"] >= 2
    assert math.isfinite(result["scores"]["raw"]["main"])
    assert result["config"]["recipe"] == name
    assert result["submission"]["rows"] > 0
