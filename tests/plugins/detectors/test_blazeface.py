"""BlazeFace finds what MediaPipe's own solution finds, on a real video; and its parts, one by one."""

from __future__ import annotations

import numpy as np
import pytest

from plugins.detectors import blazeface
from plugins.detectors.blazeface import LAYERS, SIDE, BlazeFace, five_points, merged
from tests.support.carried import want
from tests.support.paths import TESTS
from tests.support.refusals import refused
from zoo.layers.anchors import anchor_centres

# mediapipe 0.10.21, numpy 1.26, FaceDetection(model_selection=0) on the 31st frame of talking_face_unlabelled.mp4:
# corners of the box and six points in pixels, the score.
GOLDEN = np.load(TESTS / "plugins" / "golden" / "mediapipe_face.npz")


@pytest.fixture(scope="module")
def detector() -> BlazeFace:
    want(blazeface.card(), "ai_edge_litert")
    return BlazeFace()


def frame_of(video) -> np.ndarray:
    import cv2

    capture = cv2.VideoCapture(str(video))
    for _ in range(31):
        frame = capture.read()[1]
    return frame[:, :, ::-1].copy()


def test_box_points_and_score_are_mediapipes(detector, real):
    found, scores = detector.find(frame_of(real / "videos" / "talking_face_unlabelled.mp4"))
    assert len(found) == 1
    np.testing.assert_allclose(found[0], GOLDEN["found"], rtol=0, atol=1e-2)
    assert scores[0] == pytest.approx(float(GOLDEN["score"]), abs=1e-4)


def test_faces_are_in_the_contracts_form(detector, real):
    faces = detector.detect(frame_of(real / "videos" / "talking_face_unlabelled.mp4"))
    assert (faces.boxes.shape, faces.scores.shape, faces.landmarks.shape) == ((1, 4), (1,), (1, 5, 2))
    left, right, nose, mouth_left, mouth_right = faces.landmarks[0]
    assert left[0] < nose[0] < right[0]
    assert mouth_left[0] < mouth_right[0]
    assert max(left[1], right[1]) < nose[1] < mouth_left[1]
    x0, y0, x1, y1 = faces.boxes[0]
    assert (faces.landmarks[0] > [x0, y0]).all()
    assert (faces.landmarks[0] < [x1, y1]).all()


def test_nothing_is_found_where_nothing_is(detector):
    faces = detector.detect(np.zeros((90, 160, 3), np.uint8))
    assert (faces.boxes.shape, faces.landmarks.shape) == ((0, 4), (0, 5, 2))


def test_the_anchors_are_the_middles_of_the_cells():
    every = anchor_centres(SIDE, LAYERS)
    assert every.shape == (896, 2)
    wanted = [
        ((c + 0.5) / n, (r + 0.5) / n)
        for n, k in ((16, 2), (8, 6))
        for r in range(n)
        for c in range(n)
        for _ in range(k)
    ]
    np.testing.assert_allclose(every, wanted)


def test_overlapping_boxes_become_their_weighted_mean():
    def box(x: float) -> list[list[float]]:
        return [[x, 0], [x + 1, 1], *[[x, 0]] * 6]

    points, scores = np.array([box(0.0), box(5.0), box(0.2)]), np.array([0.6, 0.7, 0.9])
    found, best = merged(points, scores)
    assert best.tolist() == [0.9, 0.7]
    assert found[0, 0, 0] == pytest.approx((0.6 * 0.0 + 0.9 * 0.2) / 1.5)
    assert found[1, 0, 0] == 5.0


def test_the_corners_of_the_mouth_lie_beside_its_middle():
    six = np.array([[[0, 0], [10, 0], [5, 5], [5, 10], [-3, 1], [13, 1]]], float)
    np.testing.assert_allclose(five_points(six)[0, 3:], [[0.86, 10], [9.14, 10]], atol=1e-5)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_a_threshold_that_is_none(threshold):
    with refused("plugin-error", match="threshold"):
        BlazeFace(threshold)
