"""Augmentations of pictures against other libraries: NumPy, OpenCV and Pillow."""

from __future__ import annotations

import io
import itertools

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors

from tests.support.refusals import refused
from zoo.augmenting import ClipName, build_augmentation, drawing
from zoo.errors import UserError
from zoo.registry.augmentations import AugmentationPlan
from zoo.registry.registry import load

REGISTRY = load([])
SIZE = 64


def built(name: str, **options):
    spec = REGISTRY.get("augmentations", name)
    given = {key: option.default for key, option in spec.options.items()} | options
    return build_augmentation(AugmentationPlan(spec, given, 1.0, False))


def smooth(count: int = 1, seed: int = 0) -> Tensor:
    """Return pictures without sharp edges, so that ways of interpolation agree."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 9, 9, generator=g)
    fine = torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bicubic").clamp(0, 1)
    return (255 * fine).round().to(torch.uint8)


def draw(block, given: Tensor, number: int = 0, points: Tensor | None = None):
    with drawing(torch.device("cpu")):
        return block.pictures(given, range(len(given)), ClipName(0, number, "v", 0, len(given)), points)


def hwc(picture: Tensor) -> np.ndarray:
    return np.ascontiguousarray(picture.movedim(0, -1).numpy())


NUMBERS = [
    (entry.name, name, option.kind)
    for entry in REGISTRY.entries("augmentations")
    for name, option in entry.spec.options.items()
    if option.kind in (int, float)
]


@pytest.mark.parametrize(("name", "option", "kind"), NUMBERS)
def test_every_number_has_bounds(name, option, kind):
    for value in (10**9, -(10**9)) if kind is int else (1e300, -1e300, float("inf")):
        with pytest.raises(UserError) as caught:
            built(name, **{option: value})
        assert caught.value.code in ("option-out-of-range", "option-not-a-share")


CORNERS = torch.tensor([[[10.0, 12.0], [50.0, 14.0], [22.0, 49.0]]])


def map_of(block, given: Tensor, number: int) -> tuple[Tensor, np.ndarray]:
    """Return the changed picture, and the (2, 3) matrix that moves three points as the augmentation moved them."""
    got, moved = draw(block, given, number, CORNERS)
    matrix = cv2.getAffineTransform(CORNERS[0].numpy(), np.ascontiguousarray(moved[0].numpy()))
    return got, matrix


# Pictures are compared inside: at the edge libraries mix in what is outside in different ways.
@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize(
    ("name", "options"), [("affine", {}), ("affine", {"shear": 15.0, "shift": 0.0}), ("affine", {"degrees": 90.0})]
)
def test_an_affine_picture_is_that_of_opencv_for_the_map_of_its_points(name, options, number) -> None:
    given = smooth(seed=number)
    got, matrix = map_of(built(name, **options), given, number)
    wanted = cv2.warpAffine(hwc(given[0]), matrix, (SIZE, SIZE))
    inside = cv2.warpAffine(np.full((SIZE, SIZE), 255, np.uint8), matrix, (SIZE, SIZE))
    inside = cv2.erode(inside, np.ones((7, 7)), borderValue=0) == 255
    gap = np.abs(hwc(got[0]).astype(int) - wanted.astype(int))[inside]
    assert inside.sum() > 500
    assert gap.max() <= 3  # OpenCV rounds the weights of its interpolation to 1/32


def test_flip_is_the_mirror_and_twice_the_identity() -> None:
    given, points = smooth(3), CORNERS.repeat(3, 1, 1)
    got, moved = draw(built("flip"), given, points=points)
    assert np.array_equal(got.numpy(), given.numpy()[..., ::-1])
    assert torch.equal(moved, torch.stack([SIZE - 1 - points[..., 0], points[..., 1]], -1))
    again, back = draw(built("flip"), got, points=moved)
    assert torch.equal(again, given)
    assert torch.equal(back, points)


@pytest.mark.parametrize("number", range(4))
def test_a_crop_is_a_part_of_the_picture_at_its_points(number) -> None:
    given = smooth(seed=number)
    block = built("crop", low=0.3)
    got, matrix = map_of(block, given, number)
    assert abs(matrix[0, 1]) < 1e-4
    assert abs(matrix[1, 0]) < 1e-4
    width, height = SIZE / matrix[0, 0], SIZE / matrix[1, 1]
    # The corner of the first pixel, at (-0.5, -0.5), is that of the part.
    left, top = ((-0.5 - matrix[axis, 2]) / matrix[axis, axis] + 0.5 for axis in (0, 1))
    assert abs(left - round(left)) < 1e-3
    assert abs(top - round(top)) < 1e-3
    assert 0.3 * 0.95 < width * height / SIZE**2 < 1.01
    assert 1 / 1.15 * 0.95 < width / height < 1.15 * 1.05
    part = given[..., round(top) : round(top + height), round(left) : round(left + width)]
    wanted = torch.nn.functional.interpolate(part.float(), (SIZE, SIZE), mode="bilinear", antialias=True)
    assert float((got.float() - wanted).abs().max()) < 1.01


@pytest.mark.parametrize("number", range(4))
def test_colour_is_that_of_pillow_for_some_factors(number) -> None:
    from PIL import ImageEnhance

    given = smooth(seed=number)
    picture = Image.fromarray(hwc(given[0]))
    for option, enhancer in (
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ):
        off = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, option: 0.4}
        got = hwc(draw(built("colour", **off), given, number)[0]).astype(int)
        factors = np.linspace(0.6, 1.4, 801)
        gaps = [np.abs(got - np.asarray(enhancer(picture).enhance(f)).astype(int)).max() for f in factors]
        assert min(gaps) <= 1, (option, min(gaps))


def test_grey_is_that_of_pillow() -> None:
    given = smooth(2)
    got = draw(built("grey"), given)
    for before, after in zip(given, got, strict=True):
        wanted = np.asarray(Image.fromarray(hwc(before)).convert("L")).astype(int)
        assert torch.equal(after[0], after[1])
        assert torch.equal(after[0], after[2])
        assert np.abs(after[0].numpy() - wanted).max() <= 1


def test_blur_is_that_of_opencv() -> None:
    given = smooth()
    got = hwc(draw(built("blur", low=1.5, high=1.5), given)[0])
    wanted = cv2.GaussianBlur(hwc(given[0]), (7, 7), 1.5, borderType=cv2.BORDER_REFLECT_101)
    assert np.abs(got.astype(int) - wanted.astype(int)).max() <= 1


def test_jpeg_is_that_of_pillow() -> None:
    given = smooth(3)
    got = draw(built("jpeg", low=30, high=30), given)
    for before, after in zip(given, got, strict=True):
        file = io.BytesIO()
        Image.fromarray(hwc(before)).save(file, "JPEG", quality=30)
        wanted = np.asarray(Image.open(file)).astype(int)
        assert np.abs(hwc(after).astype(int) - wanted).mean() < 0.5


def test_noise_has_its_standard_deviation() -> None:
    given = torch.full((4, 3, SIZE, SIZE), 128, dtype=torch.uint8)
    got = draw(built("noise", low=0.05, high=0.05), given).float()
    wanted = np.trunc(np.random.default_rng(0).normal(0, 0.05 * 255, 10**6)).std()  # torchvision cuts the fraction off
    assert abs(float(got.std()) - wanted) < 4 * wanted / (2 * got.numel()) ** 0.5
    assert abs(float(got.mean()) - 128) < 4 * wanted / got.numel() ** 0.5


def test_erase_covers_one_rectangle_of_its_size() -> None:
    given = torch.full((2, 3, SIZE, SIZE), 200, dtype=torch.uint8)
    for number in range(8):
        got = draw(built("erase", low=0.1, high=0.3), given, number)
        (rows, columns) = np.nonzero(got[0, 0].numpy() == 0)
        area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert len(rows) == area
        assert 0.08 < area / SIZE**2 < 0.32
        assert bool((got == got[:1, :1]).all())
        assert set(got.unique().tolist()) == {0, 200}


def test_randaugment_changes_more_with_a_greater_magnitude() -> None:
    given = smooth(2)
    weak = [float((draw(built("randaugment", magnitude=1), given, n).float() - given).abs().mean()) for n in range(12)]
    strong = [
        float((draw(built("randaugment", magnitude=25), given, n).float() - given).abs().mean()) for n in range(12)
    ]
    assert sum(weak) < sum(strong)


@pytest.mark.parametrize(
    ("name", "options", "code", "option"),
    [
        ("crop", {"low": 0.0}, "option-out-of-range", "low"),
        ("crop", {"high": 1.5}, "option-out-of-range", "high"),
        ("crop", {"low": 0.9, "high": 0.8}, "option-range-reversed", None),
        ("crop", {"ratio": 0.5}, "option-out-of-range", "ratio"),
        ("affine", {"degrees": 181.0}, "option-out-of-range", "degrees"),
        ("affine", {"scale": 1.0}, "option-not-a-share", "scale"),
        ("affine", {"shift": -0.1}, "option-not-a-share", "shift"),
        ("affine", {"shear": 80.0}, "option-out-of-range", "shear"),
        ("colour", {"hue": 0.6}, "option-out-of-range", "hue"),
        ("colour", {"contrast": -1.0}, "option-out-of-range", "contrast"),
        ("blur", {"low": 0.0}, "option-out-of-range", "low"),
        ("blur", {"low": 3.0}, "option-range-reversed", None),
        ("jpeg", {"high": 101}, "option-out-of-range", "high"),
        ("noise", {"high": 2.0}, "option-out-of-range", "high"),
        ("erase", {"low": -0.1}, "option-out-of-range", "low"),
        ("randaugment", {"magnitude": 31}, "option-out-of-range", "magnitude"),
        ("randaugment", {"operations": 0}, "option-out-of-range", "operations"),
        ("gain", {"decibels": -1.0}, "option-out-of-range", "decibels"),
        ("sound_noise", {"low": 200.0}, "option-out-of-range", "low"),
        ("sound_noise", {"low": 30.0}, "option-range-reversed", None),
        ("specaugment", {"band": 65}, "option-out-of-range", "band"),
        ("specaugment", {"spans": -1}, "option-out-of-range", "spans"),
        ("specaugment", {"span": -1.0}, "option-out-of-range", "span"),
    ],
)
def test_values_out_of_range_are_refused_when_it_is_built(name, options, code, option) -> None:
    with refused(code, who=f"augmentation {name}", **({"name": option} if option else {})):
        built(name, **options)


SHARE = (0.0, 0.99)
ENDS: dict[str, dict[str, tuple[float, ...]]] = {
    "flip": {},
    "crop": {"low": (0.01, 1.0), "high": (0.01, 1.0), "ratio": (1.0, 100.0)},
    "affine": {"degrees": (0.0, 180.0), "scale": SHARE, "shift": SHARE, "shear": (0.0, 60.0)},
    "randaugment": {"operations": (1, 20), "magnitude": (0, 30)},
    "colour": {"brightness": (0.0, 50.0), "contrast": (0.0, 50.0), "saturation": (0.0, 50.0), "hue": (0.0, 0.5)},
    "grey": {},
    "blur": {"low": (0.01, 20.0), "high": (0.01, 20.0)},
    "jpeg": {"low": (1, 100), "high": (1, 100)},
    "noise": {"low": (0.0, 1.0), "high": (0.0, 1.0)},
    "erase": {"low": (0.0, 1.0), "high": (0.0, 1.0)},
}
"""The least and the greatest value of every option; where there is no limit, one far beyond what anyone uses."""


@pytest.mark.parametrize("name", [e.spec.name for e in REGISTRY.entries("augmentations") if e.spec.kind == "frames"])
def test_every_allowed_option_works_on_small_pictures(name: str) -> None:
    spec = REGISTRY.get("augmentations", name)
    ends = ENDS[name]
    assert ends.keys() == spec.options.keys()
    for values in itertools.product(*ends.values()):
        options = dict(zip(ends, values, strict=True))
        if "low" in options and options["low"] > options["high"]:
            continue
        block = built(name, **options)
        for size in (32, 48):
            given = smooth(2)[..., :size, :size]
            for number in range(4):
                got = draw(block, given, number)
                assert (got.shape, got.dtype) == (given.shape, torch.uint8)


def test_a_wide_blur_of_a_small_picture_is_that_of_opencv() -> None:
    """The kernel of 81 is cut to one that reaches across the picture."""
    given = smooth()[..., :32, :32]
    got = hwc(draw(built("blur", low=20.0, high=20.0), given)[0])
    wanted = cv2.GaussianBlur(hwc(given[0]), (63, 63), 20.0, borderType=cv2.BORDER_REFLECT_101)
    assert np.abs(got.astype(int) - wanted.astype(int)).max() <= 1


def test_images_and_points_keep_their_plain_types() -> None:
    got, moved = draw(built("affine"), smooth(), points=CORNERS)
    assert not isinstance(got, tv_tensors.Image)
    assert not isinstance(moved, tv_tensors.KeyPoints)
