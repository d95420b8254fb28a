"""Every recipe trains two steps on a crumb of the demo set, on each of its tracks; test_matrix.py has all blocks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
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
        if slot.encoder.reader is not None:  # files that the user has: `segments` makes them
            slots.append(text)
            continue
        encoder = meta_or_real(lambda slot=slot: build_encoder(slot))
        heavy = sum(p.numel() for p in encoder.parameters()) > HEAVY
        far = slot.passport is not None and slot.passport.url
        stand_in = "fer" if slot.scores else STAND_IN[slot.stream.kind]  # scores: it predicts classes by itself
        slots.append(f"{slot.name}={stand_in}" if heavy or far else text)
    return ",".join(slots)


def segments(data: Path, folder: Path) -> None:
    """Embeddings of segments for every video of the crumb, where the recipe that needs them looks."""
    folder.mkdir()
    (folder / "features.toml").write_text('name = "noise"\nrate = "segment"\nwidth = 6\nkey = "features"\n')
    random = np.random.default_rng(0)
    for video in (data / "cropped_aligned").iterdir():
        start = np.array([0.0, 0.2])
        np.savez(folder / video.name, features=random.normal(size=(2, 6)), start=start, end=start + 0.4)


@pytest.mark.parametrize(("name", "track"), CASES)
def test_every_recipe_trains_two_steps(
    program, tmp_path: Path, record: Read, name: str, track: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    segments(program.demo, tmp_path / "vlm_segments")
    stand_in_hub(name, tmp_path / "hub", monkeypatch)
    slots = crumb_slots(name, track)
    # With a rate few frames are left of the crumb's short videos, and a clip must hold one of them.
    epochs, clip = (3, 60) if load_config(name, {}, []).train.fps else (1, 24)
    small = ("--set", "train.batch=3", "--set", f"train.clip={clip}", "--epochs", epochs)
    if "face=fer" in slots:  # named encoders come without the options of the recipe's
        small += ("--set", "encoder.face.scores=true")
    where = ("--track", track, "--edition", edition_of(track))
    folder = program.run(tmp_path, "run", "--recipe", name, "--encoders", slots, *where, *small)
    result = record(folder)["result"]
    assert result["steps"] >= 2
    assert math.isfinite(result["scores"]["raw"]["main"])
    assert result["config"]["recipe"] == name
    assert result["submission"]["rows"] > 0
