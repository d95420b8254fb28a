"""Losses for values against NumPy in float64, finite differences and repeated frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from plugins.losses.ccc import Ccc
from plugins.losses.ccc_bins import CccBins
from plugins.losses.ccc_mse import CccMse
from tests.support.refusals import refused
from zoo.api import Answer, Counts
from zoo.losses import concordance, lds_weights
from zoo.metrics import scores as metrics

ANSWERS = (Answer("valence", "value", -5), Answer("pain", "value", -1, low=0.0, high=10.0))
LOW, HIGH = np.array([-1.0, 0.0]), np.array([1.0, 10.0])
BINS = (
    (1, 0, 2, 5, 9, 20, 40, 80, 150, 300, 500, 310, 160, 75, 30, 20, 8, 4, 1, 0),
    (400, 200, 90, 50, 30, 20, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1, 0, 0, 1),
)
COUNTS = tuple(Counts(sum(bins), bins) for bins in BINS)
BUILDS = {"ccc": Ccc, "ccc_mse": CccMse, "ccc_bins": CccBins}


def case(seed: int, width: int = 2):
    random = np.random.default_rng(seed)
    raw = torch.tensor(random.normal(size=(3, 17, width)))
    target = torch.tensor(LOW + (HIGH - LOW) * random.uniform(size=(3, 17, 2)))
    return raw, target, torch.tensor(random.random((3, 17, 2)) > 0.4)


def weighted_ccc(p: np.ndarray, t: np.ndarray, w: np.ndarray) -> float:
    """Lin's formula with weighted population moments, by NumPy's covariance."""
    (vp, cov), (_, vt) = np.cov(p, t, aweights=w, ddof=0)
    return 2 * cov / (vp + vt + (np.average(p, weights=w) - np.average(t, weights=w)) ** 2)


def element_weights(target: np.ndarray, bins: tuple[int, ...], low: float, high: float, lds: str) -> np.ndarray:
    edges = np.linspace(low, high, len(bins) + 1)
    return np.array(lds_weights(bins, lds))[np.clip(np.digitize(target, edges) - 1, 0, len(bins) - 1)]


# --- concordance ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1.0, 0.003, 700.0])
def test_equal_weights_of_any_size_give_plain_ccc(size):
    raw, target, labelled = case(0)
    got, usable = concordance(raw, target, size * labelled.double())
    for a in range(2):
        m = labelled[..., a]
        expected = metrics.ccc(raw[..., a][m].numpy(), target[..., a][m].numpy())
        np.testing.assert_allclose(float(got[a]), expected, rtol=1e-12)
    assert usable.all()


def test_a_frame_of_weight_3_counts_like_three_frames():
    random = np.random.default_rng(1)
    p, t, w = random.normal(size=40), random.normal(size=40), random.integers(0, 4, 40)
    expected = metrics.ccc(np.repeat(p, w), np.repeat(t, w))
    shaped = [torch.tensor(x).reshape(4, 10, 1) for x in (p, t, w.astype(float))]
    np.testing.assert_allclose(float(concordance(*shaped)[0]), expected, rtol=1e-12)


@pytest.mark.parametrize("lds", ["none", "inverse", "sqrt:1"])
def test_the_gradient_of_ccc_against_finite_differences_of_numpy(lds):
    raw, target, labelled = case(2)
    p0, t, m = raw.numpy(), target.numpy(), labelled.numpy()
    weights = [element_weights(t[..., a], BINS[a], LOW[a], HIGH[a], lds) * m[..., a] for a in range(2)]

    def reference(p: np.ndarray) -> float:
        each = [weighted_ccc(p[..., a].ravel(), t[..., a].ravel(), weights[a].ravel()) for a in range(2)]
        return 1 - float(np.mean(each))

    loss = Ccc(ANSWERS, COUNTS, "clamp", lds).double()
    raw.requires_grad_()
    value = loss(raw, target, labelled)
    value.backward()
    np.testing.assert_allclose(value.item(), reference(p0), rtol=1e-6 if lds != "none" else 1e-12)
    for at in np.ndindex(p0.shape):
        step = np.zeros_like(p0)
        step[at] = 1e-5
        slope = (reference(p0 + step) - reference(p0 - step)) / 2e-5
        np.testing.assert_allclose(float(raw.grad[at]), slope, rtol=1e-5, atol=1e-9)


# --- label distribution smoothing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lds", ["inverse", "inverse:0.5", "sqrt:1", "sqrt:4"])
def test_rarity_against_numpy(lds):
    way, _, sigma = lds.partition(":")
    kernel = np.exp(-((np.arange(20)[:, None] - np.arange(20)) ** 2) / (2 * float(sigma or 2) ** 2))
    for bins in BINS:
        n = np.array(bins, float)
        smoothed = (kernel / kernel.sum(1, keepdims=True)) @ (np.sqrt(n) if way == "sqrt" else n)
        expected = 1 / np.maximum(smoothed, 1)
        np.testing.assert_allclose(lds_weights(bins, lds), expected / np.average(expected, weights=n), rtol=1e-12)


def test_even_labels_weigh_the_same_up_to_the_ends():
    for lds in ("none", "inverse", "sqrt:5"):
        np.testing.assert_allclose(lds_weights((30,) * 20, lds), 1.0, rtol=1e-12)


def test_a_narrow_kernel_gives_inverse_frequency_and_its_root():
    np.testing.assert_allclose(
        lds_weights((10, 40, 50), "inverse:0.01"), np.array([5.0, 1.25, 1.0]) * 2 / 3, rtol=1e-12
    )
    root = 1 / np.sqrt([10, 40, 50])
    np.testing.assert_allclose(
        lds_weights((10, 40, 50), "sqrt:0.01"), root / np.average(root, weights=[10, 40, 50]), rtol=1e-12
    )


def test_nothing_is_infinite_without_labels_and_one_bin_is_as_good_as_none():
    assert lds_weights((0, 0, 0), "inverse") == [1.0] * 3
    assert lds_weights((7,), "sqrt") == [1.0]
    assert np.isfinite(lds_weights((1_000_000, *(0,) * 19), "inverse:1")).all()


@pytest.mark.parametrize("lds", ["invers", "inverse:0", "inverse:-1", "sqrt:wide", "", "sqrt:nan", "inverse:2:2"])
def test_a_bad_lds_is_named(lds):
    with refused("option-lds"):
        lds_weights((1, 2), lds)


# --- the losses -------------------------------------------------------------------------------------------------------


def numpy_loss(name: str, raw: np.ndarray, t: np.ndarray, m: np.ndarray, lds: str) -> float:
    """Each loss, with weight 0.7 for its second term and 6 bins, element by element."""
    cccs, extra = [], 0.0
    for a in range(2):
        half = (HIGH[a] - LOW[a]) / 2
        if name == "ccc_bins":
            logits = raw[..., 6 * a : 6 * a + 6][m[..., a]]
            p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            values = p @ np.linspace(LOW[a], HIGH[a], 6)
        else:
            values = LOW[a] + half * (np.tanh(raw[..., a][m[..., a]]) + 1)
        truth = t[..., a][m[..., a]]
        w = element_weights(truth, BINS[a], LOW[a], HIGH[a], lds)
        cccs.append(weighted_ccc(values, truth, w))
        if name == "ccc_mse":
            extra += 0.7 * (w * ((values - truth) / half) ** 2).sum() / m.sum()
        if name == "ccc_bins":
            at = np.clip(np.digitize(truth, np.linspace(LOW[a], HIGH[a], 7)) - 1, 0, 5)
            extra += 0.7 * (w * -np.log(p[np.arange(len(p)), at])).sum() / m.sum()
    return 1 - float(np.mean(cccs)) + extra


def build(name: str, lds: str = "none"):
    options = {"ccc": {}, "ccc_mse": {"weight": 0.7}, "ccc_bins": {"weight": 0.7, "bins": 6}}[name]
    return BUILDS[name](ANSWERS, COUNTS, lds=lds, **options)


@pytest.mark.parametrize("lds", ["none", "inverse", "sqrt:1"])
@pytest.mark.parametrize("name", BUILDS)
def test_each_loss_against_numpy(name, lds):
    loss = build(name, lds).double()
    raw, target, labelled = case(3, loss.width)
    expected = numpy_loss(name, raw.numpy(), target.numpy(), labelled.numpy(), lds)
    rtol = 1e-6 if lds != "none" or name == "ccc_bins" else 1e-12  # weights and points are kept in float32
    np.testing.assert_allclose(float(loss(raw, target, labelled)), expected, rtol=rtol)
    single = build(name, lds)(raw.float(), target.float(), labelled)
    np.testing.assert_allclose(float(single), expected, rtol=2e-5)


@pytest.mark.parametrize("lds", ["none", "inverse"])
@pytest.mark.parametrize("name", BUILDS)
def test_each_gradient_against_finite_differences(name, lds):
    loss = build(name, lds).double()
    raw, target, labelled = case(4, loss.width)
    raw.requires_grad_()
    assert torch.autograd.gradcheck(lambda r: loss(r, target, labelled), (raw,), eps=1e-6, atol=1e-8, rtol=1e-6)


def test_squared_error_pulls_where_all_labels_of_a_batch_are_the_same():
    raw = torch.zeros(1, 5, 2, requires_grad=True)
    target = torch.full((1, 5, 2), 0.5)
    labelled = torch.ones(1, 5, 2, dtype=torch.bool)
    build("ccc")(raw, target, labelled).backward()
    assert raw.grad.abs().max() == 0
    build("ccc_mse")(raw, target, labelled).backward()
    assert (raw.grad[..., 0] < 0).all()  # valence 0 is to rise to 0.5
    assert (raw.grad[..., 1] > 0).all()  # pain 5 is to fall


def test_bins_reach_both_ends_and_one_bin_gives_its_point():
    loss = CccBins(ANSWERS, COUNTS)
    raw = torch.full((1, 20, 40), -100.0)
    for k in range(20):
        raw[0, k, k] = raw[0, k, 20 + k] = 100.0
    expected = np.stack([np.linspace(-1, 1, 20), np.linspace(0, 10, 20)], -1)
    np.testing.assert_allclose(loss.decode(raw)[0], expected, atol=1e-6)
    assert loss.width == 40


def test_the_label_s_bin_is_one_of_equal_bins_and_the_upper_end_belongs_to_the_last():
    loss = CccBins(ANSWERS, COUNTS)
    target = torch.tensor([[[-1.0, 0.0], [1.0, 10.0], [-0.85, 0.55], [0.05, 5.2]]])
    labelled = torch.ones_like(target, dtype=torch.bool)
    at = loss.bin_of(target, labelled, torch.tensor([20, 20]))
    assert at[0].tolist() == [[0, 0], [19, 19], [1, 1], [10, 10]]


@pytest.mark.parametrize(
    ("builder", "options", "refusal"),
    [
        (CccMse, {"weight": -1.0}, refused("option-too-small", who="loss ccc_mse", name="weight", value=-1.0, least=0)),
        (CccBins, {"bins": 1}, refused("option-too-small", who="loss ccc_bins", name="bins", value=1, least=2)),
        (
            CccBins,
            {"weight": -0.5},
            refused("option-too-small", who="loss ccc_bins", name="weight", value=-0.5, least=0),
        ),
    ],
)
def test_bad_options_are_named(builder, options, refusal):
    with refusal:
        builder(ANSWERS, COUNTS, **options)
