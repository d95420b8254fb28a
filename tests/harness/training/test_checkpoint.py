"""A training state that somebody else wrote is read as data, within the memory that its own size allows."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from harness.training.checkpoint import SavedState, load_state, save_state
from tests.support.refusals import refused


def state(weight: torch.Tensor) -> SavedState:
    return {
        "loop": {"epoch": 1},
        "model": {"weight": weight},
        "best": {},
        "optimizer": {},
        "average": {},
        "schedule": {},
    }


def test_a_state_comes_back_as_it_was_written(tmp_path: Path) -> None:
    weight = torch.arange(12.0).reshape(3, 4)
    save_state(tmp_path / "state.ckpt", state(weight))
    found = load_state(tmp_path / "state.ckpt")
    assert torch.equal(found["model"].pop("weight"), weight)
    assert found == state(weight) | {"model": {}}


@pytest.mark.filterwarnings("ignore:.*unverified")
def test_a_compressed_state_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """Torch would make room for 64 MB where the file has 100 kB."""
    plain, small = tmp_path / "plain.ckpt", tmp_path / "small.ckpt"
    torch.save(state(torch.zeros(16_000_000)), plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    assert small.stat().st_size < 200_000
    with refused("checkpoint-unreadable", file=small, name="ValueError"):
        load_state(small)
    assert load_state(plain)["model"]["weight"].numel() == 16_000_000
