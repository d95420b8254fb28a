"""What frozen networks compute in: float32, with norms folded; bfloat16, with rounded weights, where it is near it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from harness.bench.pictures import BareNetwork, Chunk
from harness.config import Features
from harness.data.affwild2 import Index
from harness.extract import extract
from harness.features import FrozenSlot, features_of_noise, frozen_slots
from harness.traits import batch_of, pictures, settle
from tests.harness.frozen import CPU, features, odd, plans, slots
from tests.harness.indexes import index_va
from tests.zoo.test_folding import lived, norms
from zoo.errors import UserError
from zoo.folding import folded
from zoo.passports import cache_dir
from zoo.rounding import rounded


@pytest.fixture
def index(program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    return index_va(program.demo)


def test_bfloat16_is_compared_with_float32_on_real_frames(index: Index) -> None:
    """The stated tolerance is 10 % at the worst frame; the default encoder has about 5 %."""
    (slot,) = slots(precision="bf16")
    settle(index, [slot])
    assert 0.001 < slot.traits.error < Features().tolerance  # type: ignore[operator]
    (memo,) = cache_dir().glob("encoders/*.json")
    assert json.loads(memo.read_text())["error"] == slot.traits.error
    (again,) = slots(precision="bf16")
    settle(index, [again])
    assert again.traits == slot.traits
    assert again._encoder is None  # known from the first time


@pytest.mark.parametrize("rough", [0.2, float("nan")])
def test_bfloat16_too_far_from_float32_is_not_used(index: Index, monkeypatch: pytest.MonkeyPatch, rough: float) -> None:
    with pytest.raises(UserError, match=r"bfloat16 are .* from those in float32.*features\.precision=float32"):
        extract(index, [odd("bf16", rough=rough)], progress=False)
    slot, exact = odd("auto", rough=rough), odd("float32")
    monkeypatch.setattr(FrozenSlot, "wants_bf16", property(lambda self: self.settings.precision == "auto"))
    with pytest.warns(UserWarning, match="they are computed in float32"):
        store, failures = extract(index, [slot], progress=False)
    assert not failures
    assert slot.precision == "float32"
    wanted, _ = extract(index, [exact], progress=False)
    assert wanted.computed == 0  # it is the same entry
    assert features(store, index) == features(wanted, index)


def test_what_is_kept_of_a_measurement_is_read_or_made_again(index: Index) -> None:
    first = odd("bf16", rough=0.01)
    settle(index, [first])
    assert first.traits.mixes
    assert first.traits.error == pytest.approx(0.01, rel=0.01)
    (memo,) = cache_dir().glob("encoders/*.json")
    memo.write_text("{")
    again = odd("bf16", rough=0.01)
    settle(index, [again])
    assert again.traits == first.traits


@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor has no bfloat16")
@pytest.mark.parametrize("stream", ["face", "context"])
def test_rounded_weights_bring_the_default_encoder_nearer_to_float32(index: Index, stream: str) -> None:
    (slot,) = frozen_slots(plans(stream), Features(), CPU)
    images = list(pictures(index, slot))
    chunk = batch_of(images), np.ones(len(images), bool)

    def error(network: nn.Module) -> np.ndarray:
        exact = slot.compute(*chunk, bf16=False).numpy().astype(np.float64)
        slot._rounded = network
        rough = slot.compute(*chunk, bf16=True).numpy().astype(np.float64)
        return np.linalg.norm(rough - exact, axis=1) / np.linalg.norm(exact, axis=1)

    nearest, kept = error(slot.encoder), error(rounded(slot.encoder))
    assert np.median(kept) < 0.05 < 2 * np.median(nearest)
    assert np.median(kept) < np.median(nearest)


def test_bfloat16_is_computed_with_rounded_weights_and_float32_is_not():
    slot = FrozenSlot(plans("face=timm:resnet18", {"encoder.face.pretrained": False})[0], Features(), CPU, None)
    slot._encoder = slot.placed(slot.given())
    asked: list[str] = []
    slot.encoder.register_forward_pre_hook(lambda *_: asked.append("float32"))
    slot._rounded = rounded(slot.encoder)
    slot._rounded._forward_pre_hooks.clear()
    slot._rounded.register_forward_pre_hook(lambda *_: asked.append("bf16"))
    chunk = batch_of([np.zeros((112, 112, 3), np.uint8)] * 2), np.ones(2, bool)
    for bf16 in (False, True, False):
        slot.compute(*chunk, bf16=bf16)
    assert asked == ["float32", "bf16", "float32"]


def test_a_frozen_slot_computes_with_folded_norms_and_the_bare_network_has_them():
    slot = FrozenSlot(plans("face=timm:resnet18", {"encoder.face.pretrained": False})[0], Features(), CPU, None)
    given = lived(slot.given())
    assert norms(given) == 20
    slot._encoder = slot.placed(folded(given, features_of_noise))
    assert norms(slot.encoder) == 0
    assert not any(p.requires_grad for p in slot.encoder.parameters())
    frames = np.random.default_rng(0).integers(0, 256, (5, 112, 112, 3), np.uint8)
    chunk = Chunk({"frames": frames, "present": np.ones(5, bool)}, np.ones(5, bool))
    ours = slot.compute(chunk.inputs, chunk.mask, bf16=False)
    slot._encoder = slot.placed(given)
    torch.testing.assert_close(ours, slot.compute(chunk.inputs, chunk.mask, bf16=False), rtol=1e-4, atol=1e-5)
    assert norms(BareNetwork(slot, [chunk]).network) == 20


def test_noise_is_only_asked_of_encoders_of_pictures():
    sound = FrozenSlot(plans("audio=melcnn")[0], Features(), CPU, None).given()
    assert features_of_noise(sound).shape == (0, sound.dim)
