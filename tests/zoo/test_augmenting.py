"""Draws follow from (seed, epoch, clip) and the augmentation's name, and from nothing else."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
import torch
from torch import Tensor

from tests.support.refusals import refused
from zoo.api import AugmentationSpec
from zoo.augmenting import Augmentation, ClipName, build_augmentation, drawing
from zoo.registry.augmentations import AugmentationPlan
from zoo.registry.registry import load

SPECS = [entry.spec for entry in load([]).entries("augmentations")]
PICTURES = [spec for spec in SPECS if spec.kind == "frames"]
CLIP = ClipName(seed=3, epoch=1, video="a", start=10, length=4)


def built(spec, p: float = 1.0, per_frame: bool = False) -> Augmentation:
    options = {name: option.default for name, option in spec.options.items()}
    return build_augmentation(AugmentationPlan(spec, options, p, per_frame))


def frames(seed: int = 0, count: int = 4) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 24, 20, 3), generator=g, dtype=torch.uint8).movedim(-1, -3)


def changed(block: Augmentation, clip: ClipName = CLIP, given: Tensor | None = None) -> Tensor:
    with drawing(torch.device("cpu")):
        if block.spec.kind == "sound":
            g = torch.Generator().manual_seed(0)
            return block.sound(torch.randn(4000, generator=g) * 0.1, 8000, clip)
        return block.pictures(frames() if given is None else given, range(clip.start, clip.start + 4), clip)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_same_names_draw_the_same_whatever_was_drawn_before(spec) -> None:
    block = built(spec, 0.5)
    before = [changed(block, replace(CLIP, start=start)) for start in range(8)]
    torch.manual_seed(99)
    torch.rand(7)
    after = [changed(built(spec, 0.5), replace(CLIP, start=start)) for start in reversed(range(8))]
    assert all(torch.equal(a, b) for a, b in zip(before, reversed(after), strict=True))


@pytest.mark.parametrize(
    "field", [{"seed": 4}, {"epoch": 2}, {"video": "b"}, {"start": 11}, {"length": 3}, {"repetition": 1}]
)
def test_every_name_decides(field) -> None:
    (crop,) = [spec for spec in SPECS if spec.name == "crop"]
    block = built(crop)
    assert not torch.equal(changed(block), changed(block, replace(CLIP, **field)))


def test_the_first_copy_of_a_clip_draws_what_it_always_drew() -> None:
    """By the digest of the names alone, as it was before repetitions had a number."""
    (flip,) = [spec for spec in SPECS if spec.name == "flip"]
    for start in range(16):
        digest = sha256(f"3\n1\na\n{start}\n4\nflip".encode()).digest()
        with drawing(torch.device("cpu")):
            torch.manual_seed(int.from_bytes(digest[:8], "little", signed=True))
            expected = float(torch.rand(())) < 0.5
        assert torch.equal(changed(built(flip, 0.5), replace(CLIP, start=start)), frames()) is not expected


def test_noise_of_a_frame_does_not_depend_on_the_other_frames() -> None:
    (noise,) = [spec for spec in SPECS if spec.name == "noise"]
    given, block = frames(count=1).expand(8, -1, -1, -1), built(noise, 0.5)
    for start in range(8):
        clip = replace(CLIP, start=start, length=8)
        with drawing(torch.device("cpu")):
            whole = block.pictures(given, range(8), clip)
            some = block.pictures(given[[2, 5]], [2, 5], clip)
        assert torch.equal(some, whole[[2, 5]])
        assert len({frame.numpy().tobytes() for frame in whole}) in (1, 8)


def test_two_augmentations_draw_apart() -> None:
    (flip,) = [spec for spec in SPECS if spec.name == "flip"]
    one, two = built(flip, 0.5), built(replace(flip, name="other"), 0.5)
    draws = [
        [torch.equal(changed(block, replace(CLIP, epoch=epoch)), frames()) for epoch in range(40)]
        for block in (one, two)
    ]
    assert draws[0] != draws[1]
    assert all(10 < sum(each) < 30 for each in draws)  # binomial(40, 1/2): outside with a probability of 0.1 %


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_with_a_probability_of_0_the_input_itself_comes_back(spec) -> None:
    given = frames() if spec.kind == "frames" else torch.randn(100)
    block = built(spec, 0.0)
    with drawing(torch.device("cpu")):
        assert (
            block.pictures(given, range(4), CLIP) if spec.kind == "frames" else block.sound(given, 8000, CLIP)
        ) is given


@pytest.mark.parametrize("p", [0.2, 0.9])
def test_the_share_of_changed_clips_is_p(p: float) -> None:
    (flip,) = [spec for spec in SPECS if spec.name == "flip"]
    block = built(flip, p)
    share = sum(not torch.equal(changed(block, replace(CLIP, start=i)), frames()) for i in range(400)) / 400
    assert abs(share - p) < 4 * (p * (1 - p) / 400) ** 0.5


@pytest.mark.parametrize("spec", PICTURES, ids=lambda spec: spec.name)
def test_per_frame_draws_depend_on_the_number_of_the_frame_alone(spec) -> None:
    block = built(spec, 0.5, per_frame=True)
    clip = replace(CLIP, length=8)
    with drawing(torch.device("cpu")):
        whole = block.pictures(frames(count=8), range(8), clip)
        some = block.pictures(frames(count=8)[[2, 5]], [2, 5], clip)
    assert torch.equal(some, whole[[2, 5]])


def test_per_frame_draws_differ_from_frame_to_frame() -> None:
    (flip,) = [spec for spec in SPECS if spec.name == "flip"]
    given = frames(count=1).expand(32, -1, -1, -1)
    points = torch.full((32, 1, 2), 3.0)
    with drawing(torch.device("cpu")):
        got, moved = built(flip, 0.5, per_frame=True).pictures(given, range(32), CLIP, points)
        still = built(flip, 0.5).pictures(given, range(32), CLIP)
    flipped = torch.tensor([not torch.equal(picture, given[0]) for picture in got])
    assert 4 < int(flipped.sum()) < 28
    assert torch.equal(moved[:, 0, 0] == 16.0, flipped)
    assert bool((still == still[:1]).all())


def test_other_random_numbers_stay_as_they_are() -> None:
    torch.manual_seed(5)
    usual = torch.rand(3)
    torch.manual_seed(5)
    changed(built(SPECS[0]))
    assert torch.equal(torch.rand(3), usual)


SAMPLES = torch.zeros(800)
WRONG = {
    "one frame of three": ("frames", lambda x: x[:1]),
    "one channel": ("frames", lambda x: x[:, :1]),
    "another size": ("frames", lambda x: x[..., 1:]),
    "float pictures": ("frames", lambda x: x / 255),
    "no pictures": ("frames", lambda x: None),
    "one sample": ("sound", lambda x, rate: x[:1]),
    "whole numbers": ("sound", lambda x, rate: (x * 32767).short()),
    "no sound": ("sound", lambda x, rate: None),
}


@pytest.mark.parametrize(("kind", "change"), WRONG.values(), ids=WRONG)
def test_an_answer_of_another_shape_or_type_is_refused(kind, change):
    spec = AugmentationSpec("wrong", lambda: change, kind=kind)
    block = build_augmentation(AugmentationPlan(spec, {}, 1.0, False))
    with refused("augmentation-answer", name="wrong"):
        if kind == "sound":
            block.sound(SAMPLES, 8000, ClipName(0, 0, "v", 0, 3))
        else:
            block.pictures(torch.zeros(3, 3, 8, 8, dtype=torch.uint8), range(3), ClipName(0, 0, "v", 0, 3))


def test_pictures_without_their_points_are_refused():
    spec = AugmentationSpec("pointless", lambda: lambda images, points=None: images, points=True)
    block = build_augmentation(AugmentationPlan(spec, {}, 1.0, False))
    with refused("augmentation-answer", name="pointless"):
        pictures, points = torch.zeros(3, 3, 8, 8, dtype=torch.uint8), torch.zeros(3, 1, 2)
        block.pictures(pictures, range(3), ClipName(0, 0, "v", 0, 3), points)
