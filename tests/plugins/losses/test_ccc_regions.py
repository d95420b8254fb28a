"""The loss `ccc_regions` against SciPy, its masks, and what it does not decode."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax

from plugins.losses.ccc_regions import CccRegions
from tests.support.refusals import refused
from zoo.metrics import scores as metrics
from zoo.tracks import Answer, Counts

ANSWERS = (Answer("valence", "value", invalid=-5), Answer("heat", "value", invalid=-5, low=0.0, high=10.0))
COUNTS = (Counts(4, (2, 2)),) * 2
LOW, HIGH = np.array([-1.0, 0.0]), np.array([1.0, 10.0])


def case(seed: int = 0, regions: int = 9):
    random = np.random.default_rng(seed)
    raw = torch.tensor(random.normal(size=(3, 11, 2 + regions)))
    target = torch.tensor(random.uniform(LOW, HIGH, size=(3, 11, 2)))
    return raw, target, torch.tensor(random.random((3, 11, 2)) > 0.4)


@pytest.mark.parametrize(("cells", "sigma", "weight"), [(3, 1 / 3, 0.2), (3, 0.1, 1.0), (4, 0.5, 0.7)])
def test_it_is_concordance_and_the_divergence_of_frames_with_all_labels(cells, sigma, weight):
    raw, target, labelled = case(regions=cells**2)
    values = LOW + (HIGH - LOW) * (np.tanh(raw[..., :2].numpy()) + 1) / 2
    found = [
        metrics.ccc(values[..., a][m], target[..., a].numpy()[m])
        for a, m in enumerate(labelled.numpy().transpose(2, 0, 1))
    ]
    middles = [-1 + (2 * i + 1) / cells for i in range(cells)]
    divergences = []
    for frame in np.argwhere(labelled.numpy().all(-1)):
        y = 2 * (target.numpy()[tuple(frame)] - LOW) / (HIGH - LOW) - 1
        q = np.array([np.exp(-((y[0] - v) ** 2 + (y[1] - h) ** 2) / (2 * sigma**2)) for v in middles for h in middles])
        divergences.append(rel_entr(q / q.sum(), softmax(raw.numpy()[tuple(frame)][2:])).sum())
    expected = 1 - np.mean(found) + weight * np.mean(divergences)
    got = CccRegions(ANSWERS, COUNTS, cells, weight, sigma)(raw, target, labelled)
    np.testing.assert_allclose(float(got), expected, rtol=1e-6)  # its constants are kept in float32


def test_unlabelled_targets_do_not_matter():
    raw, target, labelled = case()
    loss = CccRegions(ANSWERS, COUNTS)
    other = torch.where(labelled, target, torch.nan)
    assert float(loss(raw, torch.where(labelled, target, -5.0), labelled)) == float(loss(raw, other, labelled))


def test_without_a_label_it_is_zero_with_a_gradient():
    raw, target, labelled = case()
    raw.requires_grad_()
    loss = CccRegions(ANSWERS, COUNTS)(raw, target, torch.zeros_like(labelled))
    assert loss.item() == 0
    loss.backward()
    assert raw.grad is not None
    assert not raw.grad.any()


def test_the_regions_of_a_label_add_up_and_follow_it():
    loss = CccRegions(ANSWERS, COUNTS)
    shares = loss.shares(torch.tensor([[-2 / 3, 5.0], [1.0, 10.0]]))
    torch.testing.assert_close(shares.sum(-1), torch.ones(2))
    assert shares.argmax(-1).tolist() == [1, 8]  # low valence and middle heat; both high


def test_the_right_regions_cost_nothing():
    _, target, _ = case()
    loss, known = CccRegions(ANSWERS, COUNTS), torch.ones_like(target, dtype=torch.bool)
    right = torch.atanh(2 * (target - torch.tensor(LOW)) / torch.tensor(HIGH - LOW) - 1)
    raw = torch.cat([right, loss.shares(target.flatten(0, 1)).log().unflatten(0, target.shape[:2])], -1)
    assert abs(float(loss(raw, target, known))) < 1e-6


def test_regions_are_not_decoded():
    raw, _, _ = case()
    other = torch.cat([raw[..., :2], torch.zeros_like(raw[..., 2:])], -1)
    loss = CccRegions(ANSWERS, COUNTS)
    assert torch.equal(loss.decode(raw), loss.decode(other))
    assert loss.width == 11


@pytest.mark.parametrize(("name", "value", "least"), [("cells", 1, 2), ("weight", -0.1, 0), ("sigma", 0.0, 0.01)])
def test_bad_options_are_named(name, value, least):
    with refused("option-too-small", who="loss ccc_regions", name=name, value=value, least=least):
        CccRegions(ANSWERS, COUNTS, **{name: value})
