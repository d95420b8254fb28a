"""Turned rectangles of a picture: what is cut, and points brought back."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zoo.layers.regions import Region, turned, whole


def blob(x: float, y: float, height: int = 120, width: int = 160) -> np.ndarray:
    """A picture with one soft spot."""
    rows, columns = np.mgrid[:height, :width]
    spot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18)
    return np.repeat(spot[..., None], 3, 2).astype(np.uint8)


def middle_of(picture: np.ndarray) -> np.ndarray:
    weight = picture[..., 0].astype(float)
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


@pytest.mark.parametrize("angle", [0.0, 0.5, -1.2, math.pi])
def test_a_point_that_is_found_in_a_cut_is_brought_back(angle):
    region = Region(70.0, 60.0, 80.0, 80.0, angle)
    found = middle_of(region.cut(blob(82, 49), 160)) / 160
    np.testing.assert_allclose(region.project(found[None])[0], [82, 49], atol=0.3)


def test_z_is_in_widths_as_x():
    got = Region(10.0, 20.0, 40.0, 80.0).project(np.array([[0.75, 0.75, 0.5]]))
    np.testing.assert_allclose(got, [[20.0, 40.0, 20.0]])


def test_outside_the_picture_there_is_black_or_its_edge():
    picture = np.full((20, 20, 3), 200, np.uint8)
    region = Region(10.0, 10.0, 40.0, 40.0)
    assert region.cut(picture, 40)[0, 0].tolist() == [0, 0, 0]
    assert region.cut(picture, 40, edge=True)[0, 0].tolist() == [200, 200, 200]


def test_a_whole_picture_is_padded_to_a_square():
    assert whole(60, 100) == Region(50.0, 30.0, 100.0, 100.0)
    assert Region(1.0, 2.0, 3.0, 4.0, 0.1).squared(1.5) == Region(1.0, 2.0, 6.0, 6.0, 0.1)


@pytest.mark.parametrize("degrees", [-170, -90, -10, 0, 45, 90, 179])
def test_in_a_turned_region_the_way_has_its_angle(degrees):
    way = np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])
    assert turned(np.zeros(2), way) == pytest.approx(math.radians(degrees))  # then it is level there
    up = turned(np.zeros(2), way, math.pi / 2)
    assert -math.pi <= up < math.pi
    assert math.cos(up - math.radians(degrees + 90)) == pytest.approx(1)
