"""The alignment of faces, against scikit-image's transform."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.transform import SimilarityTransform

from harness.data.preprocessing.alignment import TEMPLATE, align, similarity


@pytest.mark.parametrize("seed", range(20))
def test_similarity_is_the_least_squares_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = TEMPLATE * rng.uniform(0.1, 9) + rng.normal(0, 8, (5, 2)) + rng.uniform(-500, 500, 2)
    angle = rng.uniform(-np.pi, np.pi)
    source = source @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = SimilarityTransform.from_estimate(source, TEMPLATE).params[:2]
    np.testing.assert_allclose(similarity(source, TEMPLATE), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.7, 2.6, 7.3])
@pytest.mark.parametrize("degrees", [0, 25])
def test_marks_land_on_the_template(scale: float, degrees: float) -> None:
    """Bright discs drawn at the landmarks are found at the template's points, at every size."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = (TEMPLATE - 56) @ turn * scale + [500, 450]
    frame = np.zeros((900, 1000, 3), np.uint8)
    for x, y in landmarks:
        cv2.circle(frame, (round(x * 16), round(y * 16)), round(3 * scale * 16), (255,) * 3, -1, cv2.LINE_AA, shift=4)
    crop = align(frame, landmarks)
    assert crop.shape == (112, 112, 3)
    weights = crop[..., 0].astype(float)
    for x, y in TEMPLATE:
        rows, columns = np.mgrid[int(y) - 6 : int(y) + 8, int(x) - 6 : int(x) + 8]
        near = weights[rows, columns]
        assert near.sum() > 1000
        assert abs((near * columns).sum() / near.sum() - x) < 0.15
        assert abs((near * rows).sum() / near.sum() - y) < 0.15


def test_large_faces_are_averaged_not_sampled() -> None:
    """Fine noise in a face of eight times the crop's size is grey in the crop."""
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 1), np.uint8).repeat(3, axis=2)
    crop = align(noise, TEMPLATE * 8 + 50)
    assert crop[5:-5, 5:-5].std() < 14


def test_outside_the_picture_is_black_and_nothing_fails() -> None:
    frame = np.full((100, 100, 3), 200, np.uint8)
    assert align(frame, TEMPLATE + np.array([60, 0]))[:, 60:].max() == 0
    assert align(frame, TEMPLATE + np.array([5000, 0])).max() == 0
    assert align(frame, TEMPLATE * 40 + np.array([5000, 0])).max() == 0
    assert align(frame, np.full((5, 2), 50.0)).shape == (112, 112, 3)
