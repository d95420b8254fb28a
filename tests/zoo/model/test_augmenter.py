"""A batch is augmented clip by clip: its order, its size and the number of processes decide nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from zoo.api import Answer, AudioInput, FrameInput
from zoo.model.augmenter import Augmenter, build_chains
from zoo.model.model import Batch
from zoo.parallel import split
from zoo.registry.plan import make_plan
from zoo.registry.registry import load

VA = (Answer("valence", "value", -5), Answer("arousal", "value", -5))
TRAINED = {"encoder.face.pretrained": False, "encoder.context.pretrained": False}
CLIPS, FRAMES, SIZE, CONTEXT = 5, 6, 16, 2


def plan(*augment: str, **options):
    given = {**TRAINED, **{name.replace("__", "."): value for name, value in options.items()}}
    encoders = "face=timm:test_resnet,context=timm:test_resnet,audio"
    return make_plan(load([]), encoders=encoders, fusion="late", head="gru", answers=VA, augment=augment, options=given)


def augmenter(*augment: str, context: int = 0, seed: int = 0, **options) -> Augmenter:
    pictures = FrameInput(SIZE, (0.5,) * 3, (0.5,) * 3, context)
    inputs = {"face": pictures, "context": pictures, "audio": AudioInput(rate=8000)}
    return Augmenter(build_chains(plan(*augment, **options)), inputs, seed)


def batch(context: int = 0) -> Batch:
    g = torch.Generator().manual_seed(0)
    lengths = torch.tensor([6, 6, 3, 5, 1])
    valid = torch.arange(FRAMES) < lengths.unsqueeze(1)
    frames = torch.randint(0, 256, (CLIPS, FRAMES + 2 * context, SIZE, SIZE, 3), generator=g, dtype=torch.uint8)
    present = torch.rand(CLIPS, FRAMES + 2 * context, generator=g) < 0.7
    frames[~present] = 0
    counts = torch.tensor([800, 700, 300, 500, 0])
    heard = torch.arange(800) < counts.unsqueeze(1)
    samples = 0.1 * torch.randn(CLIPS, 800, generator=g) * heard
    inputs = {
        "face": {"frames": frames, "present": present},
        "context": {"frames": frames.clone(), "present": present},
        "audio": {"samples": samples, "samples_valid": heard, "times": torch.zeros(CLIPS, FRAMES)},
    }
    where = [("a", 0, 0), ("a", 6, 0), ("b", 0, 0), ("c", 7, 0), ("c", 12, 0)]
    none = torch.zeros(CLIPS, FRAMES, 2)
    return Batch({}, inputs, {}, valid, none, none.bool(), where)


def rows(given: Batch, order: list[int]) -> Batch:
    """Return some clips of a batch as a batch of their own."""
    inputs = {slot: {name: x[order] for name, x in each.items()} for slot, each in given.inputs.items()}
    return replace(given, inputs=inputs, valid=given.valid[order], where=[given.where[i] for i in order])


ALL = ("face=default,crop,grey,blur,jpeg,noise,randaugment", "audio=gain,sound_noise,specaugment")


@pytest.mark.parametrize("context", [0, CONTEXT])
def test_order_and_size_of_the_batch_do_not_matter(context: int) -> None:
    change, given = augmenter(*ALL, context=context), batch(context)
    whole = change(given, 3)
    for order in ([4, 2, 0, 1, 3], [1], [3, 1]):
        part = change(rows(given, order), 3)
        for slot, name in (("face", "frames"), ("audio", "samples")):
            assert torch.equal(part.inputs[slot][name], whole.inputs[slot][name][order])


@pytest.mark.parametrize("size", [2, 3])
def test_every_number_of_processes_draws_the_same(size: int) -> None:
    change, given = augmenter(*ALL), batch()
    whole = change(given, 0).inputs["face"]["frames"]
    parts = []
    for rank in range(size):
        share = split(CLIPS, rank, size)
        own = {slot: {n: x[share.rows] for n, x in each.items()} for slot, each in given.inputs.items()}
        parts.append(change(replace(given, inputs=own), 0, share.rows).inputs["face"]["frames"])
    assert torch.equal(torch.cat(parts), whole)


def test_epoch_and_seed_draw_anew() -> None:
    given = batch()
    seen = [
        augmenter("face=crop", seed=seed)(given, epoch).inputs["face"]["frames"] for seed in (0, 1) for epoch in (0, 1)
    ]
    assert not any(torch.equal(a, b) for i, a in enumerate(seen) for b in seen[:i])


def test_copies_of_a_clip_in_an_epoch_draw_anew() -> None:
    given = rows(batch(), [0] * 4)
    given = replace(given, where=[(video, start, copy) for copy, (video, start, _) in enumerate(given.where)])
    change = augmenter("face=crop", augment__face__crop__p=1.0)
    frames = change(given, 0).inputs["face"]["frames"]
    assert torch.equal(frames[0], change(batch(), 0).inputs["face"]["frames"][0])
    assert not any(torch.equal(a, b) for i, a in enumerate(frames) for b in frames[:i])


def test_branches_of_one_clip_move_together() -> None:
    got = augmenter("flip,affine")(batch(), 0)
    assert torch.equal(got.inputs["face"]["frames"], got.inputs["context"]["frames"])


def test_what_is_absent_stays_black_and_padding_stays_silent() -> None:
    given = batch()
    got = augmenter(*ALL, augment__face__noise__p=1.0, augment__audio__sound_noise__p=1.0)(given, 0).inputs
    assert not got["face"]["frames"][~given.inputs["face"]["present"]].any()
    assert not got["audio"]["samples"][~given.inputs["audio"]["samples_valid"]].any()
    assert torch.equal(got["audio"]["times"], given.inputs["audio"]["times"])
    assert torch.equal(got["face"]["present"], given.inputs["face"]["present"])


def test_the_given_batch_is_not_changed() -> None:
    given = batch()
    before = given.inputs["face"]["frames"].clone(), given.inputs["audio"]["samples"].clone()
    got = augmenter(*ALL)(given, 0)
    assert torch.equal(given.inputs["face"]["frames"], before[0])
    assert torch.equal(given.inputs["audio"]["samples"], before[1])
    assert not torch.equal(got.inputs["face"]["frames"], before[0])


def test_frames_of_a_clip_get_one_draw_also_across_absent_frames() -> None:
    given = batch()
    given.inputs["face"]["frames"][:] = given.inputs["face"]["frames"][0, 0]
    got = augmenter("face=crop,affine,colour,erase,flip")(given, 0).inputs["face"]
    for clip, seen in zip(got["frames"].numpy(), got["present"].numpy(), strict=True):
        assert not np.ptp(clip[seen].astype(int), axis=0).any()


def test_nothing_to_do_returns_the_batch_itself() -> None:
    given = batch()
    assert augmenter()(given, 0) is given
