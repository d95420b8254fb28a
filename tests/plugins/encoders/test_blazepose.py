"""The points of a body are MediaPipe's, and the parts of its graph are right one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from plugins.encoders import blazepose
from plugins.encoders.blazepose import LAYERS, SEEN, BlazePose, body_box, normalised, refined
from tests.plugins.detectors.test_blazeface import frame_of
from tests.support.carried import want
from tests.support.paths import TESTS
from zoo.layers.anchors import anchor_centres
from zoo.layers.regions import Region
from zoo.weights.loading import load_pretrained

# mediapipe 0.10.21, numpy 1.26, Pose(static_image_mode=True, model_complexity=1) on the frame of test_blazeface.py: x, y,
# z in pixels and visibility. The person's square is 2649 pixels wide, most of it outside the picture, and is shrunk to
# 256: how OpenCV rounds there decides. With OpenCV 4.10's cuts the differences are within 6e-5 (x, y), 2.5e-4 (z) and
# 3e-5 (visibility) of the body's size on this frame, with OpenCV 5's 5e-3, 3.2e-2 and 1e-2, the most for what is not
# in the picture. `region`: the square that the first network gave with OpenCV 4.10's cut.
GOLDEN = np.load(TESTS / "plugins" / "golden" / "mediapipe_pose.npz")


@pytest.fixture(scope="module")
def net() -> BlazePose:
    want(blazepose.card("pose", None), "ai_edge_litert")
    want(blazepose.finder_card())
    encoder = BlazePose("pose", None)
    load_pretrained(encoder, blazepose.card("pose", None), download=False)
    return encoder


def test_the_points_are_mediapipes(net, real):
    frame = frame_of(real / "videos" / "talking_face_unlabelled.mp4")
    region = net.find(frame)
    side = GOLDEN["region"][2]
    np.testing.assert_allclose([region.x, region.y, region.width], GOLDEN["region"][:3], rtol=0, atol=0.01 * side)
    got, wanted = normalised(net.points_in(frame, region)), normalised(GOLDEN["points"].astype(float))
    np.testing.assert_allclose(got[:, :2], wanted[:, :2], rtol=0, atol=0.01)
    np.testing.assert_allclose(got[:, 2:], wanted[:, 2:], rtol=0, atol=0.05)


def test_where_nobody_is_found_the_whole_picture_is_looked_at(net):
    grey = np.full((256, 256, 3), 90, np.uint8)
    assert net.find(grey) is None
    got = net.encode(torch.full((1, 3, 256, 256), 90 / 255))
    wanted = normalised(net.points_in(grey, Region(128.0, 128.0, 256.0, 256.0)))
    np.testing.assert_allclose(got[0].numpy(), wanted.reshape(-1), rtol=0, atol=1e-5)


def test_the_anchors_are_the_middles_of_the_cells():
    every = anchor_centres(SEEN, LAYERS)
    assert every.shape == (2254, 2)
    np.testing.assert_allclose(
        every[[0, 1, 2, -1]], [[4 / 224] * 2, [4 / 224] * 2, [12 / 224, 4 / 224], [208 / 224] * 2]
    )


def test_points_move_to_the_centre_of_the_heat_around_them():
    heat = np.full((64, 64, 33), -20.0)
    heat[10, 20, 0], heat[11, 22, 0] = 0.0, np.log(3)  # sigmoids of a half and three quarters
    heat[10, 20, 1] = -1.0  # not sure enough
    points = np.full((33, 2), 0.31)
    points[:2] = (20.5 / 64, 10.5 / 64)
    points[2] = (1.2, 0.5)  # outside
    got = refined(points, heat)
    np.testing.assert_allclose(
        got[0], [(0.5 * 20 + 0.75 * 22) / 1.25 / 64, (0.5 * 10 + 0.75 * 11) / 1.25 / 64], rtol=1e-5
    )
    np.testing.assert_allclose(got[1:], points[1:])


def test_place_and_size_make_no_difference_and_visibility_stays():
    points = np.random.default_rng(0).normal(size=(33, 4))
    moved = points * [3, 3, 3, 1] + [5, -2, 8, 0]
    np.testing.assert_allclose(normalised(moved), normalised(points), atol=1e-5)
    np.testing.assert_allclose(normalised(points)[:, 3], points[:, 3], rtol=1e-6)


def standing() -> np.ndarray:
    """Return the points of a person who stands in the middle of a frame of 200 x 300: head, shoulders, hands, feet."""
    points = np.zeros((33, 4))
    points[:, :2] = 100, 150
    points[0, :2] = 100, 60
    points[[2, 5], :2] = [[105, 50], [95, 50]]
    points[[9, 10], :2] = [[104, 70], [96, 70]]
    points[[11, 12], :2] = [[120, 90], [80, 90]]
    points[[15, 16], :2] = [[150, 150], [60, 150]]
    points[27:, :2] = [[110, 250], [90, 250]] * 3
    points[:, 3] = 0.9
    return points


FACE, PERSON = np.array([90.0, 40, 110, 80]), np.array([60.0, 20, 140, 300])


def test_the_box_of_a_body_by_hand():
    """Shoulders 40 apart: 8 more on each side; the mouth 20 below the eyes: the crown 40 above them."""
    box = body_box(standing(), FACE, PERSON, (300, 200))
    np.testing.assert_allclose(box, [60 - 8, 10, 150 + 8, 250 + 8])
    assert box.dtype == np.float32


def test_what_hides_the_feet_ends_the_box_where_the_rule_does():
    points = standing()
    points[27:, 3] = 0.1
    np.testing.assert_allclose(body_box(points, FACE, PERSON, (300, 200)), [52, 10, 158, 300])


def test_a_box_ends_at_the_frame():
    np.testing.assert_allclose(body_box(standing(), FACE, PERSON, (252, 155)), [52, 10, 155, 252])


@pytest.mark.parametrize("hidden", [0, 11, 12])
def test_a_body_without_nose_or_shoulders_is_not_seen(hidden):
    points = standing()
    points[hidden, 3] = 0.49
    assert body_box(points, FACE, PERSON, (300, 200)) is None


def test_the_body_must_be_that_of_the_face():
    assert body_box(standing(), FACE + 40, PERSON, (300, 200)) is None


def test_the_box_of_a_real_frame(net, real):
    frame = frame_of(real / "videos" / "talking_face_unlabelled.mp4")
    face, person = np.array([320.0, 40, 560, 350]), np.array([215.0, 0, 640, 360])
    box = net.person_box(frame, face, person)
    assert 180 < box[0] < 290
    np.testing.assert_allclose(box[1:], [0, 640, 360], atol=25)
    assert net.person_box(np.full_like(frame, 90), face, person) is None


def test_a_place_of_a_pixel_or_less_holds_nobody(net):
    frame = np.zeros((64, 64, 3), np.uint8)
    assert net.person_box(frame, np.array([9.0, 9.0, 9.5, 9.5]), np.array([9.0, 0.0, 10.0, 64.0])) is None
