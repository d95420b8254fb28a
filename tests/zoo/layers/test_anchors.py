"""Anchors and overlaps, against torchvision and a count by hand."""

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from zoo.layers.anchors import anchor_centres, overlaps


def test_centres_are_in_the_middle_of_cells_row_after_row():
    found = anchor_centres(32, [(16, 2), (32, 3)])
    assert found.tolist() == [
        *[[0.25, 0.25]] * 2,
        *[[0.75, 0.25]] * 2,
        *[[0.25, 0.75]] * 2,
        *[[0.75, 0.75]] * 2,
        *[[0.5, 0.5]] * 3,
    ]


def test_overlaps_are_those_of_torchvision():
    rng = np.random.default_rng(0)
    low = rng.random((50, 2))
    boxes = np.stack([low, low + rng.random((50, 2))], 1)
    wanted = box_iou(torch.from_numpy(boxes[:1].reshape(1, 4)), torch.from_numpy(boxes.reshape(50, 4)))[0]
    assert overlaps(boxes[0], boxes) == pytest.approx(wanted.numpy(), abs=1e-12)
    assert 0 < (overlaps(boxes[0], boxes) == 0).sum() < 50


def test_a_box_without_area_overlaps_nothing():
    assert overlaps(np.zeros((2, 2)), np.zeros((1, 2, 2))).tolist() == [0.0]
