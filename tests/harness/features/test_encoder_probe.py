"""What frozen networks compute in: float32, with norms folded; bfloat16, with rounded weights, where it is near it."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from harness.benchmarks.decoding import BareNetwork, Chunk
from harness.config.schema import Features
from harness.data.index.index import Index
from harness.features.encoder_probe import batch_of, choose_precision, pictures
from harness.features.extraction import extract
from harness.features.frozen_encoder import FrozenSlot, features_of_noise, frozen_slots
from tests.support.frozen import CPU, WITH_BF16, Odd, features, odd, plans, slots
from tests.support.indexes import index_va
from tests.support.refusals import Part, refused
from tests.zoo.weights.test_batch_norm_folding import lived, norms
from zoo.weights.cards import cache_dir


@pytest.fixture
def index(program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    return index_va(program.demo)


def test_bfloat16_is_compared_with_float32_on_real_frames(index: Index) -> None:
    """The stated tolerance is 10 % at the worst frame; the default encoder has about 5 %."""
    (slot,) = slots(precision="bf16")
    choose_precision(index, [slot])
    assert 0.001 < slot.probe.error < Features().tolerance  # type: ignore[operator]
    (memo,) = cache_dir().glob("encoders/*.json")
    assert json.loads(memo.read_text())["error"] == slot.probe.error
    (again,) = slots(precision="bf16")
    choose_precision(index, [again])
    assert again.probe == slot.probe
    assert again._encoder is None  # known from the first time


@pytest.mark.parametrize("rough", [0.2, float("nan")])
def test_bfloat16_too_far_from_float32_is_not_used(index: Index, monkeypatch: pytest.MonkeyPatch, rough: float) -> None:
    with refused("bf16-too-far", said=Part("bfloat16", "float32", "features.tolerance")):
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
    choose_precision(index, [first])
    assert first.probe.batch_invariant
    assert first.probe.error == pytest.approx(0.01, rel=0.01)
    (memo,) = cache_dir().glob("encoders/*.json")
    memo.write_text("{")
    again = odd("bf16", rough=0.01)
    choose_precision(index, [again])
    assert again.probe == first.probe


@pytest.mark.parametrize("here", [True, False])
def test_bfloat16_where_the_processor_has_none_is_told(
    index: Index, monkeypatch: pytest.MonkeyPatch, here: bool
) -> None:
    for module in (
        "runtime.precision",
        "features.frozen_encoder",
    ):  # else a processor that has it computes auto in it, and bf16 is there already
        monkeypatch.setattr(f"harness.{module}.computes_bfloat16", lambda _: here)
    with warnings.catch_warnings(record=True) as said:
        for precision in ("float32", "auto", "bf16"):
            extract(index, [odd(precision)], progress=False)
    assert [str(one.message).partition(":")[0] for one in said] == ["features.precision=bf16"] * (not here)


@WITH_BF16
@pytest.mark.parametrize("stream", ["face", "context"])
def test_rounded_weights_bring_the_default_encoder_nearer_to_float32(index: Index, stream: str) -> None:
    (slot,) = frozen_slots(plans(stream), Features(), CPU)
    images = list(pictures(index, slot))
    chunk = batch_of(images), np.ones(len(images), bool)

    def error() -> np.ndarray:
        exact, rough = (slot.compute(*chunk, bf16=b).numpy().astype(np.float64) for b in (False, True))
        return np.linalg.norm(rough - exact, axis=1) / np.linalg.norm(exact, axis=1)

    kept = np.median(error())
    assert len(slot.rounded.weights) == 49
    slot.rounded.weights = []
    assert kept < 0.05
    assert kept < 0.9 * np.median(error())


def resnet(monkeypatch: pytest.MonkeyPatch) -> tuple[FrozenSlot, nn.Module]:
    """A slot whose network is a ResNet-18 with norms that have lived, and that network as it comes."""
    slot = FrozenSlot(plans("face=timm:resnet18", {"encoder.face.pretrained": False})[0], Features(), CPU, None)
    torch.manual_seed(0)
    given = lived(slot.build_pretrained())
    monkeypatch.setattr(slot, "build_pretrained", lambda: copy.deepcopy(given))
    return slot, given


def chunk_of(n: int) -> Chunk:
    frames = np.random.default_rng(0).integers(0, 256, (n, 112, 112, 3), np.uint8)
    return Chunk({"frames": frames, "present": np.ones(n, bool)}, np.ones(n, bool))


def test_a_frozen_slot_computes_with_folded_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    slot, given = resnet(monkeypatch)
    chunk = chunk_of(5)
    assert (norms(given), norms(slot.encoder)) == (20, 0)
    ours = slot.compute(chunk.inputs, chunk.mask, bf16=False)
    assert norms(BareNetwork(slot, [chunk]).network) == 20  # as it comes
    slot._encoder = slot.to_device(given)
    torch.testing.assert_close(ours, slot.compute(chunk.inputs, chunk.mask, bf16=False), rtol=1e-4, atol=1e-5)


def test_bfloat16_is_computed_with_rounded_weights_and_float32_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    slot, _ = resnet(monkeypatch)
    seen: list[torch.Tensor] = []
    first = slot.encoder.get_submodule("net.conv1")
    own = first.weight
    assert slot.rounded.weights  # made here, so that its own run on noise is not seen below
    first.register_forward_pre_hook(lambda part, _: seen.append(part.weight))
    chunk = chunk_of(2)
    for bf16 in (False, True, False):
        slot.compute(chunk.inputs, chunk.mask, bf16=bf16)
    assert seen[0] is own
    assert seen[2] is own
    assert not torch.equal(seen[1], own)
    assert torch.equal(seen[1].bfloat16().float(), seen[1])


@pytest.mark.parametrize("context", [0, 2])
def test_noise_is_other_pictures_for_another_count(context: int) -> None:
    encoder = Odd(context=context)
    two, three = features_of_noise(encoder, 2), features_of_noise(encoder, 3)
    assert two.shape == (2, 2)
    assert three.shape == (3, 2)
    assert not torch.equal(two[0], three[0])
    assert float(two[-1, 0]) == pytest.approx(np.linspace(0, 255, 8).astype(np.uint8).mean() / 255, rel=1e-6)


def test_noise_is_only_asked_of_encoders_of_pictures() -> None:
    sound = FrozenSlot(plans("audio=melcnn")[0], Features(), CPU, None).build_pretrained()
    assert features_of_noise(sound, 2).shape == (0, sound.dim)
