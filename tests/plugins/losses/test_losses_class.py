"""Losses for classes against closed forms in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from plugins.losses.balanced import Balanced
from plugins.losses.ce import CrossEntropy
from plugins.losses.focal import Focal
from plugins.losses.label_smoothing import LabelSmoothing
from plugins.losses.logit_adjust import LogitAdjust
from tests.support.refusals import refused
from zoo.api import Answer, Counts

ANSWERS = (Answer("expression", "class", -1, classes=("a", "b", "c", "d")),)
BINS = np.array([50, 30, 15, 5])
COUNTS = (Counts(100, tuple(BINS.tolist())),)
WEIGHTS = 25 / BINS  # inverse frequency with mean 1 over the frames


def case(seed: int):
    random = np.random.default_rng(seed)
    raw = torch.tensor(2 * random.normal(size=(3, 17, 4)))
    return raw, torch.tensor(random.integers(0, 4, (3, 17, 1)) * 1.0), torch.tensor(random.random((3, 17, 1)) > 0.4)


def labelled_part(raw: torch.Tensor, target: torch.Tensor, labelled: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    m = labelled[..., 0].numpy()
    return raw.detach().numpy()[m], target[..., 0].numpy()[m].astype(int)


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def check(loss, expected, seed: int = 0, rtol: float = 1e-6):
    """``expected`` (logits (n, 4), truth (n,)) -> (n,), averaged over the labelled frames; and the gradient."""
    raw, target, labelled = case(seed)
    value = float(loss.double()(raw, target, labelled))
    np.testing.assert_allclose(value, expected(*labelled_part(raw, target, labelled)).mean(), rtol=rtol)
    raw.requires_grad_()
    assert torch.autograd.gradcheck(lambda r: loss(r, target, labelled), (raw,), eps=1e-6, atol=1e-8, rtol=1e-6)
    torch.testing.assert_close(loss.decode(raw), raw.softmax(-1))


# --- focal ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_focal_against_its_formula(gamma, weights):
    def formula(x, y):
        p = softmax(x)[np.arange(len(y)), y]
        return (WEIGHTS[y] if weights == "balanced" else 1) * (1 - p) ** gamma * -np.log(p)

    check(Focal(ANSWERS, COUNTS, gamma, weights), formula)


@pytest.mark.parametrize("weights", ["none", "sqrt", "balanced"])
def test_focal_without_focus_is_ce(weights):
    batch = case(1)
    torch.testing.assert_close(
        Focal(ANSWERS, COUNTS, 0.0, weights)(*batch), CrossEntropy(ANSWERS, COUNTS, weights)(*batch)
    )


@pytest.mark.parametrize("gamma", [0.0, 0.3, 2.0])
def test_focal_is_finite_where_the_answer_is_sure(gamma):
    raw = torch.tensor([[[200.0, 0, 0, 0], [-200.0, 0, 0, 0]]], requires_grad=True)
    loss = Focal(ANSWERS, COUNTS, gamma)
    value = loss(raw, torch.zeros(1, 2, 1), torch.ones(1, 2, 1, dtype=torch.bool))
    value.backward()
    assert raw.grad.isfinite().all()
    np.testing.assert_allclose(value.item(), 0.5 * (200 + np.log(3)) / 2, rtol=1e-6)  # weight 0.5, mean of two


# --- balanced ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999])
def test_balanced_against_cui_s_effective_number(beta):
    effective = np.array([sum(beta**k for k in range(n)) for n in BINS])  # the geometric sum itself
    weights = 1 / effective
    weights /= np.average(weights, weights=BINS)
    check(Balanced(ANSWERS, COUNTS, beta), lambda x, y: weights[y] * -np.log(softmax(x)[np.arange(len(y)), y]))


def test_balanced_lies_between_equal_weights_and_those_of_ce():
    np.testing.assert_allclose(Balanced(ANSWERS, COUNTS, 0.0).weights, 1, rtol=1e-6)
    almost = Balanced(ANSWERS, COUNTS, 1 - 1e-9).weights
    np.testing.assert_allclose(almost, CrossEntropy(ANSWERS, COUNTS).weights, rtol=1e-6)


def test_many_near_copies_no_longer_lower_a_weight():
    counts = (Counts(0, (10_000_000, 100_000, 1_000, 10)),)
    weights = Balanced(ANSWERS, counts).weights.numpy()
    np.testing.assert_allclose(weights[1] / weights[0], 1, rtol=1e-3)
    np.testing.assert_allclose(weights[3] / weights[2], 95.2, rtol=1e-2)


# --- label smoothing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.1, 0.6])
def test_label_smoothing_against_torch(smoothing):
    loss = LabelSmoothing(ANSWERS, COUNTS, smoothing, "none")
    raw, target, labelled = case(2)
    m = labelled[..., 0]
    expected = functional.cross_entropy(raw[m], target[..., 0][m].long(), label_smoothing=smoothing)
    np.testing.assert_allclose(float(loss.double()(raw, target, labelled)), float(expected), rtol=1e-7)


def test_a_frame_has_the_weight_of_its_own_class():
    def formula(x, y):
        q = 0.8 * np.eye(4)[y] + 0.2 / 4
        return WEIGHTS[y] * (q * -np.log(softmax(x))).sum(-1)

    check(LabelSmoothing(ANSWERS, COUNTS, 0.2), formula)


def test_nothing_is_spread_to_a_class_that_no_training_frame_shows():
    with pytest.warns(UserWarning, match="no training frame shows b"):
        loss = LabelSmoothing(ANSWERS, (Counts(100, (80, 0, 15, 5)),), 0.3, "none")
    truth = torch.tensor([[[0.0], [2.0], [3.0]]])
    smoothed = np.array([[[0.8, 1e-30, 0.1, 0.1], [0.1, 1e-30, 0.8, 0.1], [0.1, 1e-30, 0.1, 0.8]]])
    raw = torch.tensor(np.log(smoothed)).requires_grad_()
    value = loss.double()(raw, truth, torch.ones(1, 3, 1, dtype=torch.bool))
    value.backward()
    assert raw.grad.abs().max() < 1e-7  # the smoothed label itself is the optimum, and decodes to the truth
    assert loss.decode(raw).argmax(-1).tolist() == [[0, 2, 3]]
    np.testing.assert_allclose(value.item(), -(0.8 * np.log(0.8) + 0.2 * np.log(0.1)), rtol=1e-6)


def test_without_any_training_frame_it_still_works():
    with pytest.warns(UserWarning, match="no training frame"):
        loss = LabelSmoothing(ANSWERS, (Counts(0, (0, 0, 0, 0)),))
    assert loss(*[x.float() if x.is_floating_point() else x for x in case(3)]) == 0


# --- logit adjustment -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
def test_logit_adjustment_against_menon_s_pairwise_form(tau):
    """log(1 + sum over y' != y of (prior_y' / prior_y)^tau exp(f_y' - f_y))."""

    def formula(x, y):
        ratio = (BINS[None, :] / BINS[y][:, None]) ** tau
        gaps = np.exp(x - x[np.arange(len(y)), y][:, None])
        others = 1 - np.eye(4)[y]
        return np.log1p((others * ratio * gaps).sum(-1))

    check(LogitAdjust(ANSWERS, COUNTS, tau), formula)


@pytest.mark.parametrize(
    ("tau", "expected"), [(0.0, BINS / 100), (1.0, np.full(4, 0.25)), (0.5, np.sqrt(BINS) / np.sqrt(BINS).sum())]
)
def test_where_nothing_can_be_told_apart_the_decoded_answer_is_even(tau, expected):
    """One input for all frames. Plain cross-entropy is least where the answers are the priors, the adjusted loss where
    they are 1 / C: there, in a convex function, the gradient is 0."""
    target = torch.tensor(np.repeat(np.arange(4), BINS) * 1.0).reshape(1, 100, 1)
    loss = LogitAdjust(ANSWERS, COUNTS, tau).double()
    one = torch.tensor(np.log(expected)).requires_grad_()
    loss(one.expand(1, 100, 4), target, torch.ones(1, 100, 1, dtype=torch.bool)).backward()
    assert one.grad.abs().max() < 1e-7
    np.testing.assert_allclose(loss.decode(one.detach().reshape(1, 1, 4))[0, 0], expected, rtol=1e-7)


def test_a_class_without_frames_is_finite_and_learned_away():
    with pytest.warns(UserWarning, match="no training frame shows d"):
        loss = LogitAdjust(ANSWERS, (Counts(100, (60, 30, 10, 0)),), 3.0)
    assert loss.shifts.isfinite().all()
    raw = torch.nn.Parameter(torch.zeros(1, 3, 4))
    target, labelled = torch.tensor([[[0.0], [1.0], [2.0]]]), torch.ones(1, 3, 1, dtype=torch.bool)
    optimiser = torch.optim.Adam([raw], 0.1)
    for _ in range(100):
        optimiser.zero_grad()
        loss(raw, target, labelled).backward()
        optimiser.step()
    assert loss.decode(raw).argmax(-1).tolist() == [[0, 1, 2]]
    assert loss.decode(raw)[..., 3].max() < 0.05
    assert loss(raw, torch.full_like(target, 3.0), labelled) == 0


@pytest.mark.parametrize(
    ("builder", "options", "refusal"),
    [
        (Focal, {"gamma": -1.0}, refused("option-too-small", who="loss focal", name="gamma", value=-1.0, least=0)),
        (Balanced, {"beta": 1.0}, refused("option-not-a-share", who="loss balanced", name="beta", value=1.0)),
        (
            LabelSmoothing,
            {"smoothing": 1.0},
            refused("option-not-a-share", who="loss label_smoothing", name="smoothing", value=1.0),
        ),
        (
            LogitAdjust,
            {"tau": -0.1},
            refused("option-too-small", who="loss logit_adjust", name="tau", value=-0.1, least=0),
        ),
    ],
)
def test_bad_options_are_named(builder, options, refusal):
    with refusal:
        builder(ANSWERS, COUNTS, **options)
