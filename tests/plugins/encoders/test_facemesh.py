"""The points of a face are MediaPipe's, and what is made of them knows nothing of place, size and roll."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from plugins.encoders import facemesh
from plugins.encoders.facemesh import FaceMesh, around, normalised
from tests.plugins.detectors.test_blazeface import frame_of
from tests.support.carried import want
from tests.support.paths import TESTS
from zoo.layers.regions import Region, turned
from zoo.weights.loading import load_pretrained

# mediapipe 0.10.21, numpy 1.26, FaceMesh(static_image_mode=True) on the frame of test_blazeface.py, in pixels. OpenCV 5
# cuts the region with other roundings than the OpenCV 3.4 of MediaPipe, for which 3e-2 pixels are the difference; with
# the picture as OpenCV 4.10 cuts it the points are within 3.5e-3 pixels, 2.2e-5 of the face's size.
GOLDEN = np.load(TESTS / "plugins" / "golden" / "mediapipe_face.npz")
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def net() -> FaceMesh:
    want(facemesh.card("landmarks", None), "ai_edge_litert")
    encoder = FaceMesh("landmarks", None)
    load_pretrained(encoder, facemesh.card("landmarks", None), download=False)
    return encoder


def test_the_points_are_mediapipes(net, real):
    found = GOLDEN["found"].astype(float)
    (x0, y0), (x1, y1) = found[:2]
    region = Region((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, turned(found[2], found[3])).squared(1.5)
    got = net.points_in(frame_of(real / "videos" / "talking_face_unlabelled.mp4"), region)
    np.testing.assert_allclose(got, GOLDEN["mesh"], rtol=0, atol=0.1)
    np.testing.assert_allclose(normalised(got), normalised(GOLDEN["mesh"].astype(float)), rtol=0, atol=1e-3)


def test_place_size_and_roll_make_no_difference():
    points = RNG.normal(size=(468, 3)) * 30 + 100
    cos, sin = math.cos(0.7), math.sin(0.7)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    moved = 2.5 * points @ turn.T + [4.0, -7.0, 3.0]
    np.testing.assert_allclose(normalised(moved), normalised(points), atol=1e-5)
    level = normalised(points)
    assert level[facemesh.LEFT, 1] == pytest.approx(level[facemesh.RIGHT, 1], abs=1e-6)
    assert level[facemesh.LEFT, 0] < level[facemesh.RIGHT, 0]
    assert (level**2).sum(1).mean() == pytest.approx(1, abs=1e-5)


def test_the_next_square_is_half_as_large_again_and_level():
    points = np.zeros((468, 3))
    points[facemesh.LEFT, :2], points[facemesh.RIGHT, :2], points[7, :2] = (0, 0), (40, 40), (20, 60)
    region = around(points)
    assert (region.x, region.y) == (20, 30)
    assert region.width == region.height == 90
    assert region.angle == pytest.approx(math.pi / 4)


def test_the_encoder_gives_the_shape_of_each_picture(net, real):
    frame = frame_of(real / "videos" / "talking_face_unlabelled.mp4")
    (x0, y0), (x1, y1) = GOLDEN["found"][:2].astype(int)
    crop = Region((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0).cut(frame, 192)
    images = torch.from_numpy(np.stack([crop, crop[:, ::-1].copy()])).float().movedim(-1, 1) / 255
    got = net.encode(images)
    assert got.shape == (2, 1404)
    again = copy.deepcopy(net).encode(images[1:])
    torch.testing.assert_close(again, got[1:])
    mesh = got[0].view(468, 3).numpy()
    off = np.sqrt(((mesh - normalised(GOLDEN["mesh"].astype(float)))[:, :2] ** 2).sum(1)).mean()
    assert off < 0.05  # of the face's size: another square, the same face
