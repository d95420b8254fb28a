"""Every rule for detectors can fail: a sound one keeps all rules, small wrong ones break the one they are meant to."""

from __future__ import annotations

import socket

import cv2
import numpy as np
import pytest

from tests.support.conformance import broken, unproved
from zoo import api, testing
from zoo.api import Faces, Option
from zoo.testing import detectors

MARKS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


class Skin:
    """A sound detector: the larger patches that are much redder than blue."""

    def __init__(self, threshold=60):
        self.threshold = threshold

    def patches(self, frame):
        red, _, blue = np.moveaxis(frame.astype(int), -1, 0)
        count, _, stats, _ = cv2.connectedComponentsWithStats((red - blue > self.threshold).astype(np.uint8))
        return sorted(([x, y, x + w, y + h, n] for x, y, w, h, n in stats[1:count] if n > 200), key=lambda p: -p[4])

    def detect(self, frame):
        found = np.array(self.patches(frame), np.float32).reshape(-1, 5)
        corner, size = found[:, None, :2], found[:, None, 2:4] - found[:, None, :2]
        return Faces(found[:, :4], found[:, 4] / frame[..., 0].size, corner + MARKS * size)


class OnlineDetector(Skin):
    def __init__(self, threshold=60):
        super().__init__(threshold)
        socket.getaddrinfo("localhost", 80)


class NoneAtAll(Skin):
    """Gives None where there is no face."""

    def detect(self, frame):
        faces = super().detect(frame)
        return faces if len(faces.boxes) else None


class Flat(Skin):
    def detect(self, frame):
        faces = super().detect(frame)
        return Faces(faces.boxes, faces.scores, faces.landmarks.reshape(-1, 10))


class Outside(Skin):
    def detect(self, frame):
        faces = super().detect(frame)
        return Faces(faces.boxes + np.array([0, 0, 300, 0]), faces.scores, faces.landmarks)


class WorstFirst(Skin):
    def detect(self, frame):
        faces = super().detect(frame)
        return Faces(faces.boxes[::-1], faces.scores[::-1], faces.landmarks[::-1])


class Mirrored(Skin):
    """Left and right as the person has them."""

    def detect(self, frame):
        faces = super().detect(frame)
        return Faces(faces.boxes, faces.scores, faces.landmarks[:, [1, 0, 2, 4, 3]])


class Sleeping(Skin):
    def patches(self, frame):
        return []


class Writes(Skin):
    def detect(self, frame):
        faces = super().detect(frame)
        frame[:2] = 0
        return faces


class Follows(Skin):
    """Looks for the face where the last one was."""

    last = 0.0

    def detect(self, frame):
        faces = super().detect(frame)
        boxes, self.last = np.maximum(faces.boxes - [self.last, 0, 0, 0], 0), self.last + 1
        return Faces(boxes, faces.scores, faces.landmarks)


class Chance(Skin):
    def __init__(self, threshold=60):
        super().__init__(threshold)
        self.shift = np.random.default_rng().random()

    def detect(self, frame):
        faces = super().detect(frame)
        return Faces(faces.boxes + np.array([self.shift, 0, 0, 0]), faces.scores, faces.landmarks)


class Idle(Skin):
    def __init__(self, threshold=60):
        super().__init__()


class Nowhere(Skin):
    @staticmethod
    def cards():
        return [api.ModelCard("net", None, "MIT", "a test")]


class Twice(Skin):
    @staticmethod
    def cards():
        return [api.ModelCard("net", None, "MIT", "a test", path="net.onnx")] * 2


def detector(build):
    cards = getattr(build, "cards", None)
    return api.DetectorSpec("d", build, options={"threshold": Option(60, "redness")}, cards=cards)


CASES = [
    (Skin, set()),
    (OnlineDetector, {"offline"}),
    (NoneAtAll, {"shape", "inside", "one_by_one", "options"}),
    (Flat, {"shape", "finds"}),
    (Outside, {"inside"}),
    (WorstFirst, {"inside"}),
    (Mirrored, {"finds"}),
    (Sleeping, {"finds", "options"}),
    (Writes, {"input_untouched"}),
    (Follows, {"one_by_one"}),
    (Chance, {"repeatable"}),
    (Idle, {"options"}),
    (Nowhere, {"cards"}),
    (Twice, {"cards"}),
]


@pytest.mark.parametrize(("build", "rules"), CASES)
def test_detectors(build, rules):
    assert broken(testing.detector_checks(detector(build))) == rules


def test_every_rule_is_shown_to_fail():
    assert unproved(detectors, CASES) == set()


def test_pictures_of_ones_own():
    assert broken(testing.detector_checks(detector(Skin), pictures=[np.zeros((60, 80, 3), np.uint8)])) == {
        "finds",
        "options",
    }


def test_the_first_rule_broken_is_raised():
    testing.check_detector(detector(Skin))
    with pytest.raises(testing.ConformanceError, match="not in order"):
        testing.check_detector(detector(Mirrored))
