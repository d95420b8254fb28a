"""Features computed on a GPU are the processor's, as far as its arithmetic allows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from harness.config.schema import Features
from harness.data.affwild2.build import build_index
from harness.data.index.index import Index
from harness.features.extraction import extract
from harness.features.frozen_encoder import FrozenSlot, frozen_slots
from harness.features.store import FeatureStore
from harness.runtime import memory
from tests.support.frozen import CPU, Odd, plans
from zoo.registry.registry import load
from zoo.registry.tracks import find_track

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")]


@pytest.fixture
def index(program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    edition, track = find_track(load([]), "va", None)
    return build_index(program.demo, edition, track)


def slot(device: str, precision: str) -> FrozenSlot:
    settings = Features(precision=precision, store="float32", chunk=16, tolerance=0.1)  # type: ignore[arg-type]
    (made,) = frozen_slots(plans("face"), settings, torch.device(device))
    return made


def rows(index: Index, one: FrozenSlot) -> tuple[FeatureStore, np.ndarray]:
    """The features of all videos, one after the other; all must have been computed here."""
    store, failures = extract(index, [one], progress=False)
    assert failures == []
    assert store.computed == len(index.videos)  # the device is part of the cache key
    return store, np.concatenate([np.asarray(store.rows("face", v.name), np.float64) for v in index.videos])


# TF32 convolutions, which cuDNN takes for float32 by default, keep 10 bits of a factor: 5e-4 each, summed up over the
# layers. bfloat16 keeps 7: what a user is promised is the tolerance that the encoder must have proved to hold.
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 5e-3), ("bf16", 0.1)])
def test_features_are_those_of_the_processor(index: Index, precision: str, tolerance: float) -> None:
    """As a share of each frame's length, at the worst frame."""
    store, got = rows(index, slot("cuda", precision))
    theirs, wanted = rows(index, slot("cpu", "float32"))
    for video in index.videos:
        np.testing.assert_array_equal(store.present("face", video.name), theirs.present("face", video.name))
    assert got.shape == wanted.shape
    error = np.linalg.norm(got - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
    assert error.max() < tolerance
    if precision == "bf16":
        assert error.max() > 1e-5  # else nothing was computed in bfloat16


def test_features_are_computed_alike_twice(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit: fixed batches, fixed kernels."""
    first = rows(index, slot("cuda", "float32"))[1]
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "another"))
    again = rows(index, slot("cuda", "float32"))[1]
    np.testing.assert_array_equal(again, first)


def test_out_of_memory_in_extraction_halves_the_batch(index: Index) -> None:
    """The encoder asks the card for more than it has, whenever it is given more than four frames."""

    class Greedy(Odd):
        def forward(self, frames: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor:
            if frames.shape[0] * frames.shape[1] > 4:
                torch.empty(2 * torch.cuda.get_device_properties(0).total_memory, dtype=torch.uint8, device="cuda")
            return super().forward(frames, present)

    settings = Features(precision="float32", store="float32", chunk=16)
    usual = FrozenSlot(plans("face")[0], settings, CPU, None, _encoder=Odd())
    greedy = FrozenSlot(plans("face")[0], settings, torch.device("cuda"), None, _encoder=Greedy().to("cuda"))
    with memory.track_batch_reductions() as noted:
        got = rows(index, greedy)[1]
    assert noted == [{"where": "features of face=lite0", "batch": 4}]
    np.testing.assert_allclose(got, rows(index, usual)[1], rtol=1e-5, atol=1e-6)
