"""Every recipe trains two steps on a crumb of the demo set, on each of its tracks; test_matrix.py has all blocks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.config.recipe import recipe_names
from harness.config.schema import load_config
from harness.runs.job import plan_of
from tests.support.recipes import recipe_tracks, stand_in_hub
from zoo.model.model import build_encoder
from zoo.model.shape_check import meta_or_real
from zoo.registry.tracks import find_track, load_plugins

HEAVY = 20_000_000  # numbers: what is larger gives way to a small encoder of its stream, here only
STAND_IN = {"frames": "lite0", "sound": "melcnn"}
CASES = [
    pytest.param(name, track, marks=[] if name == "demo" else pytest.mark.slow)
    for name in recipe_names()
    for track in recipe_tracks(name)
]
Read = Callable[[Path], dict[str, Any]]


def edition_of(track: str) -> str:
    """The crumb has the annotations of these editions."""
    return "abaw11" if track == "mtl" else "abaw10"


def crumb_slots(name: str, track: str) -> str:
    """The recipe's slots; an encoder that is large, or whose weights lie behind an address, is built and gives way to one
    whose weights are here. What trains the others from random weights: tests/harness/runs/test_matrix.py."""
    registry = load_plugins([])
    config = load_config(name, {"track": track, "edition": edition_of(track)}, [])
    plan = plan_of(config, registry, find_track(registry, track, edition_of(track))[1])
    slots = []
    for slot, text in zip(plan.slots, config.encoders.split(","), strict=True):
        encoder = meta_or_real(lambda slot=slot: build_encoder(slot))
        heavy = sum(p.numel() for p in encoder.parameters()) > HEAVY
        far = slot.passport is not None and slot.passport.url
        slots.append(f"{slot.name}={STAND_IN[slot.stream.kind]}" if heavy or far else text)
    return ",".join(slots)


@pytest.mark.parametrize(("name", "track"), CASES)
def test_every_recipe_trains_two_steps(
    program, tmp_path: Path, record: Read, monkeypatch: pytest.MonkeyPatch, name: str, track: str
) -> None:
    stand_in_hub(name, tmp_path / "hub", monkeypatch)
    slots = crumb_slots(name, track)
    small = ("--set", "train.batch=3", "--set", "train.clip=24", "--epochs", 1)
    where = ("--track", track, "--edition", edition_of(track))
    folder = program.run(tmp_path, "run", "--recipe", name, "--encoders", slots, *where, *small)
    result = record(folder)["result"]
    assert result["steps"] >= 2
    assert math.isfinite(result["scores"]["raw"]["main"])
    assert result["config"]["recipe"] == name
    assert result["submission"]["rows"] > 0
