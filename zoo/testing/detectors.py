"""Rules for face detectors: one image, uint8 RGB (H, W, 3) -> Faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from zoo.api import DetectorSpec, Faces, ModelCard
from zoo.registry.registry import resolve
from zoo.testing.comparisons import defaults, expect_options_matter, no_network
from zoo.testing.rules import Check, checks_of, construct, describe, expect, run_all

FACES = ((90, 110, 100), (240, 90, 50))  # centre x, centre y and half height, pixels of the drawn image
SIZE = (240, 320)
SHAPES = ((240, 320), (320, 180), (48, 64))


@dataclass(frozen=True)
class DetectorCase:
    """A detector's spec with the options to check it with.

    Attributes:
        spec: The detector's spec.
        options: Options in place of the defaults.
        values: Other values for the rule *options*.
        pictures: Images with upright faces, the first face the largest.
    """

    spec: DetectorSpec
    options: Mapping[str, Any]
    values: Mapping[str, Any]
    pictures: Sequence[np.ndarray]

    def build(self, **changed: Any) -> Any:
        """Build the detector.

        Args:
            **changed: Options in place of the case's.

        Returns:
            The detector.
        """
        return construct(self.spec, **defaults(self.spec, {**self.options, **changed}))

    def others(self) -> list[np.ndarray]:
        """Return images without a face: black and noise, in several shapes.

        Returns:
            uint8 RGB images.
        """
        random = np.random.default_rng(1)
        black = [np.zeros((*shape, 3), np.uint8) for shape in SHAPES]
        return [*black, *(random.integers(0, 256, (*shape, 3), np.uint8) for shape in SHAPES)]


def detector_checks(
    spec: DetectorSpec,
    *,
    values: Mapping[str, Any] | None = None,
    pictures: Sequence[np.ndarray] | None = None,
    **options: Any,
) -> list[Check]:
    """Return every rule for a detector, one by one.

    See ``head_checks`` for an example.

    Args:
        spec: The detector's spec.
        values: Other values for the rule *options*.
        pictures: Images with faces, uint8 RGB; by default two are drawn.
        **options: Options in place of the defaults.

    Returns:
        The checks.
    """
    return checks_of(spec.name, RULES, DetectorCase(spec, options, values or {}, pictures or [draw(), draw(blur=2.0)]))


def check_detector(
    spec: DetectorSpec,
    *,
    values: Mapping[str, Any] | None = None,
    pictures: Sequence[np.ndarray] | None = None,
    **options: Any,
) -> None:
    """Run every rule for a detector.

    See ``check_head`` for an example.

    Args:
        spec: The detector's spec.
        values: See ``detector_checks``.
        pictures: See ``detector_checks``.
        **options: Options in place of the defaults.

    Raises:
        ConformanceError: The first rule that is broken.
    """
    run_all(detector_checks(spec, values=values, pictures=pictures, **options))


def draw(blur: float = 1.0) -> np.ndarray:
    """Draw two faces that networks trained on photographs detect.

    Args:
        blur: Standard deviation of the Gaussian blur, pixels.

    Returns:
        uint8 RGB (240, 320, 3).
    """
    image = np.full((*SIZE, 3), (120, 140, 160), np.uint8)
    for x, y, side in FACES:
        for dx, dy, width, height, colour in _face():
            centre, axes = (x + round(dx * side), y + round(dy * side)), (round(width * side), round(height * side))
            cv2.ellipse(image, centre, (max(axes[0], 1), max(axes[1], 1)), 0, 0, 360, colour, -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), blur))


def _face() -> list[tuple[float, float, float, float, tuple[int, int, int]]]:
    """Return ellipses in units of the face: centre, half axes, colour."""
    hair, skin = (0, -0.12, 0.56, 0.66, (60, 40, 30)), (0, 0.06, 0.46, 0.6, (224, 172, 140))
    eyes = []
    for side in (-1, 1):
        eyes += [
            (side * 0.2, -0.06, 0.1, 0.05, (250, 250, 250)),
            (side * 0.2, -0.06, 0.045, 0.05, (40, 30, 30)),
            (side * 0.2, -0.18, 0.12, 0.025, (70, 45, 35)),
            (side * 0.05, 0.2, 0.03, 0.02, (170, 110, 90)),
        ]
    return [hair, skin, *eyes, (0, 0.12, 0.05, 0.1, (205, 150, 120)), (0, 0.38, 0.17, 0.05, (170, 70, 70))]


def _detect(detector: Any, picture: np.ndarray) -> Faces:
    faces = detector.detect(picture.copy())
    expect(isinstance(faces, Faces), f"detect gives a {type(faces).__name__}, not zoo.api.Faces")
    return faces


def _rows(faces: Faces) -> list[Any]:
    return [np.asarray(a).tolist() for a in (faces.boxes, faces.scores, faces.landmarks)]


# --- rules ------------------------------------------------------------------------------------------------------------


def offline(case: DetectorCase) -> None:
    """Check that building does not access the network.

    Machines that prepare data often have none.
    """
    with no_network():
        case.build()


def shape(case: DetectorCase) -> None:
    """Check that boxes (N, 4), scores (N,) and landmarks (N, 5, 2) are finite for any image, with or without faces.

    Faces are stacked over millions of frames, most videos have frames without one, and sizes vary.
    """
    detector = case.build()
    for picture in [*case.pictures, *case.others()]:
        faces = _detect(detector, picture)
        n = len(faces.boxes)
        wanted = {"boxes": (n, 4), "scores": (n,), "landmarks": (n, 5, 2)}
        for name, size in wanted.items():
            array = np.asarray(getattr(faces, name))
            expect(array.shape == size, f"{name} of {n} faces have the shape {array.shape}, not {size}")
            expect(np.isfinite(array).all(), f"{name} are not finite", describe(array))


def inside(case: DetectorCase) -> None:
    """Check that boxes are x0 < x1, y0 < y1 inside the image, scores are in [0, 1], and the best face is first.

    Crops are cut by these boxes; faces are tracked by their overlap.
    """
    detector = case.build()
    for picture in [*case.pictures, *case.others()]:
        faces = _detect(detector, picture)
        height, width = picture.shape[:2]
        for x0, y0, x1, y1 in np.asarray(faces.boxes).tolist():
            fine = 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
            expect(fine, f"a box leaves the picture of {width} x {height}, or is empty: {x0, y0, x1, y1}")
        scores = np.asarray(faces.scores)
        expect(((scores >= 0) & (scores <= 1)).all(), "a score is not within 0 and 1", describe(scores))
        expect((np.diff(scores) <= 0).all(), "the best face does not come first", str(scores.tolist()))


def finds(case: DetectorCase) -> None:
    """Check that it finds an upright face, with its landmarks in order.

    Crops are rotated and scaled by the landmarks. Swapped ones give mirrored faces, or faces upside down.

    The order is left eye, right eye, nose, left and right corner of the mouth, as seen in the image.
    """
    detector = case.build()
    found = [_detect(detector, picture) for picture in case.pictures]
    expect(any(len(faces.boxes) for faces in found), f"no face is found in {len(found)} pictures with faces")
    for faces in found:
        for marks in np.asarray(faces.landmarks):
            (left, eye_y), (right, other_y), (nose, _), (corner, mouth_y), (far, low_y) = marks.tolist()
            order = left < right and corner < far and max(eye_y, other_y) < min(mouth_y, low_y)
            expect(order and left < nose < right, "the landmarks of an upright face are not in order", str(marks))


def input_untouched(case: DetectorCase) -> None:
    """Check that detect does not write to the image.

    The same frame is then cropped for several streams.
    """
    detector = case.build()
    for picture in case.pictures:
        given = picture.copy()
        detector.detect(given)
        expect(np.array_equal(given, picture), "detect writes into the picture that it is given")


def one_by_one(case: DetectorCase) -> None:
    """Check that the faces of an image do not depend on earlier images.

    Videos are processed in parallel, and again after a stop: boxes must not depend on the order.
    """
    detector = case.build()
    before = _rows(_detect(detector, case.pictures[0]))
    for picture in case.others():
        _detect(detector, picture)
    after = _rows(_detect(detector, case.pictures[0]))
    expect(before == after, "the faces depend on the pictures seen before", f"{before} before, {after} after")


def repeatable(case: DetectorCase) -> None:
    """Check that two detectors built with the same options find the same faces.

    The keys of cached features depend on crops and boxes.
    """
    one, two = case.build(), case.build()
    for picture in case.pictures:
        same = _rows(_detect(one, picture)) == _rows(_detect(two, picture))
        expect(same, "another detector built alike finds other faces")


def options(case: DetectorCase) -> None:
    """Check that every option makes a difference.

    An option without effect wastes the time of everyone who compares its values.
    """

    def outcome(**chosen: Any) -> list[Any]:
        detector = case.build(**chosen)
        return [_rows(_detect(detector, picture)) for picture in case.pictures]

    expect_options_matter(case.spec, case.options, case.values, outcome)


def cards(case: DetectorCase) -> None:
    """Check that every model card says where its file is, and that all have names of their own.

    `harness weights` lists, fetches and verifies the files by these names.
    """
    found = resolve(case.spec.cards)() if case.spec.cards is not None else []
    for card in found:
        fine = isinstance(card, ModelCard) and card.has_place
        expect(fine, f"cards gives {card!r}, not a model card with a package, path, url or wheel")
    names = [card.name for card in found]
    expect(len(set(names)) == len(names), f"two model cards have one name: {', '.join(names)}")


RULES = (offline, shape, inside, finds, input_untouched, one_by_one, repeatable, options, cards)
