"""Rules for augmentations: random changes of a clip's pictures or sound that follow from a seed alone."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.api import AugmentationSpec
from zoo.augmenting import Augmentation, ClipName, drawing
from zoo.testing.comparisons import defaults, expect_options_matter, no_network
from zoo.testing.rules import Check, checks_of, construct, describe, excuse, expect, run_all

SIZE, FRAMES, RATE, DRAWS = 64, 4, 16_000, 24
POINTS = ((24.0, 26.0), (41.0, 23.0), (32.0, 43.0))  # x, y: far enough from the edges that most draws keep them inside
NEAR = 0.2  # pixels between a moved point and the middle of the spot that it marks


@dataclass(frozen=True)
class AugmentationCase:
    """An augmentation's spec with the options to check it with.

    Attributes:
        spec: The augmentation's spec.
        options: Options in place of the defaults.
        values: Other values for the rule *options*.
    """

    spec: AugmentationSpec
    options: Mapping[str, Any]
    values: Mapping[str, Any]

    def build(self, **changed: Any) -> Augmentation:
        """Build the augmentation so that every clip is changed.

        Args:
            **changed: Options in place of the case's.

        Returns:
            The augmentation.
        """
        return Augmentation(self.spec, construct(self.spec, **defaults(self.spec, {**self.options, **changed})), 1.0)

    def given(self, *, equal: bool = False) -> Tensor:
        """Return the input of a clip.

        Args:
            equal: All frames of the pictures are equal.

        Returns:
            Pictures, uint8 (FRAMES, 3, SIZE, SIZE), smooth and full of colour; or one second of sound, float32 (RATE,).
        """
        noise = torch.Generator().manual_seed(0)
        if self.spec.kind == "sound":
            tone = torch.sin(torch.arange(RATE) * 0.17) + torch.sin(torch.arange(RATE) * 0.9)
            return 0.2 * tone + 0.05 * torch.randn(RATE, generator=noise)
        coarse = torch.rand(1 if equal else FRAMES, 3, 8, 8, generator=noise)
        fine = torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bilinear")
        return (255 * fine).to(torch.uint8).expand(FRAMES, -1, -1, -1).clone()


def augmentation_checks(
    spec: AugmentationSpec, *, values: Mapping[str, Any] | None = None, **options: Any
) -> list[Check]:
    """Return every rule for an augmentation, one by one.

    See ``head_checks`` for an example.

    Args:
        spec: The augmentation's spec.
        values: Other values for the rule *options*.
        **options: Options in place of the defaults.

    Returns:
        The checks.
    """
    return checks_of(spec.name, RULES, AugmentationCase(spec, options, values or {}))


def check_augmentation(spec: AugmentationSpec, *, values: Mapping[str, Any] | None = None, **options: Any) -> None:
    """Run every rule for an augmentation.

    See ``check_head`` for an example.

    Args:
        spec: The augmentation's spec.
        values: See ``augmentation_checks``.
        **options: Options in place of the defaults.

    Raises:
        ConformanceError: The first rule that is broken.
    """
    run_all(augmentation_checks(spec, values=values, **options))


def change(block: Augmentation, given: Tensor, draw: int = 0) -> Tensor:
    """Return a clip's input as one draw of an augmentation changes it.

    Args:
        block: The augmentation.
        given: Pictures (T, 3, H, W) or samples (S,).
        draw: The number of the draw.

    Returns:
        The changed input.
    """
    clip = ClipName(0, draw, "video", 0, FRAMES)
    with drawing(given.device):
        if block.spec.kind == "sound":
            return block.sound(given, RATE, clip)
        changed: Tensor = block.pictures(given, range(len(given)), clip)
        return changed


# --- rules ------------------------------------------------------------------------------------------------------------


def offline(case: AugmentationCase) -> None:
    """Check that building and using an augmentation opens no connection.

    Training runs on machines without a network.
    """
    with no_network():
        change(case.build(), case.given())


def shape(case: AugmentationCase) -> None:
    """Check that the result has the shape and type of what was given, and finite numbers.

    The encoder normalises pictures as uint8, and finds the samples of a frame by their number.
    """
    block, given = case.build(), case.given()
    for draw in range(DRAWS):
        got = change(block, given, draw)
        same = got.shape == given.shape and got.dtype == given.dtype
        expect(same, f"{describe(given)} becomes {describe(got)}", describe(got))
        expect(bool(got.isfinite().all()), "some numbers are not finite", describe(got))


def changes(case: AugmentationCase) -> None:
    """Check that some draws change the input.

    One that changes nothing costs time and explains nothing.
    """
    block, given = case.build(), case.given()
    changed = any(not torch.equal(change(block, given, draw), given) for draw in range(DRAWS))
    expect(changed, f"none of {DRAWS} draws changes the input")


def seeded(case: AugmentationCase) -> None:
    """Check that a draw follows from torch's default generator alone.

    The harness seeds it by seed, epoch and clip, so that a resumed run and every process draw the same.
    """
    one, two = case.build(), case.build()
    for draw in range(4):
        np.random.seed(draw)
        random.seed(draw)
        first = change(one, case.given(), draw)
        change(two, case.given(), draw + 99)  # draws of other clips come in between
        np.random.seed(draw + 99)
        random.seed(draw + 99)
        expect(torch.equal(first, change(two, case.given(), draw)), "the same seed gives another result")


def coherent(case: AugmentationCase) -> None:
    """Check that equal frames of a clip stay equal.

    A clip shows how a face moves; a change that differs from frame to frame is a movement that was not there.
    """
    if case.spec.kind != "frames":
        excuse("it changes sound")
    if not case.spec.coherent:
        excuse("declared not coherent")
    block, given = case.build(), case.given(equal=True)
    for draw in range(DRAWS):
        got = change(block, given, draw)
        expect(bool((got == got[:1]).all()), "equal frames become different", describe(got))


def given_untouched(case: AugmentationCase) -> None:
    """Check that the input is not changed in place.

    A clip's samples may be those of the file in memory, which other clips read too.
    """
    block, given = case.build(), case.given()
    before = given.clone()
    for draw in range(4):
        change(block, given, draw)
    expect(torch.equal(given, before), "it writes into what it is given")


def points_follow(case: AugmentationCase) -> None:
    """Check that points move to where the content under them moves.

    Landmarks that no longer lie on the face teach the wrong thing, and nothing fails.
    """
    if not case.spec.points:
        excuse("declared without points")
    block, seen = replace(case.build(), per_frame=False), 0
    for draw in range(DRAWS):
        for x, y in POINTS:
            given, points = _spot(x, y), torch.tensor([[[x, y]]])
            with drawing(given.device):
                got, moved = block.pictures(given, [0], ClipName(0, draw, "video", 0, 1), points)
            wanted = [float(value) for value in moved.flatten()]
            if not all(8 <= value <= SIZE - 9 for value in wanted):
                continue  # a spot that is cut at the edge has its middle elsewhere
            found = _middle(got)
            gap = max(abs(a - b) for a, b in zip(found, wanted, strict=True))
            where = f"({found[0]:.1f}, {found[1]:.1f}), its point at ({wanted[0]:.1f}, {wanted[1]:.1f})"
            expect(gap < NEAR, f"a spot is found at {where}", where)
            seen += 1
    expect(seen > DRAWS, f"only {seen} of {DRAWS * len(POINTS)} spots stay inside the picture")


def options(case: AugmentationCase) -> None:
    """Check that every option makes a difference.

    An option without effect wastes the time of everyone who compares its values.
    """
    given = case.given()

    def outcome(**chosen: Any) -> list[Any]:
        block = case.build(**chosen)
        return [change(block, given, draw) for draw in range(DRAWS)]

    expect_options_matter(case.spec, case.options, case.values, outcome)


RULES = (offline, shape, changes, seeded, coherent, given_untouched, points_follow, options)


def _spot(x: float, y: float) -> Tensor:
    """Return a picture, uint8 (1, 3, SIZE, SIZE), with a round white spot on black at a point."""
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    spot = 255 * torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.0**2))
    return spot.round().to(torch.uint8).expand(1, 3, -1, -1).clone()


def _middle(images: Tensor) -> tuple[float, float]:
    """Return the centre of mass (x, y) of a picture."""
    mass = images[0].float().sum(0)
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    total = mass.sum().clamp_min(1)
    return float((mass * columns).sum() / total), float((mass * rows).sum() / total)
