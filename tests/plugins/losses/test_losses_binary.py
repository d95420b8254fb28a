"""Losses for action units against closed forms in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from plugins.losses.asymmetric import Asymmetric
from plugins.losses.focal_bce import FocalBce
from tests.support.refusals import refused
from zoo.api import Answer, Counts

UNITS = tuple(Answer(name, "binary", -1) for name in ("AU1", "AU2"))
COUNTS = (Counts(100, (90, 10)), Counts(100, (96, 4)))


def case(seed: int):
    random = np.random.default_rng(seed)
    raw = torch.tensor(3 * random.normal(size=(3, 17, 2)))
    return raw, torch.tensor(random.integers(0, 2, (3, 17, 2)) * 1.0), torch.tensor(random.random((3, 17, 2)) > 0.4)


def check(loss, formula):
    """``formula`` (p (n,), y (n,)) -> (n,), averaged over the labelled elements; the gradient by finite differences."""
    raw, target, labelled = case(0)
    m = labelled.numpy()
    p, y = 1 / (1 + np.exp(-raw.numpy()[m])), target.numpy()[m]
    loss = loss.double()
    np.testing.assert_allclose(float(loss(raw, target, labelled)), formula(p, y).mean(), rtol=1e-10)
    np.testing.assert_allclose(float(loss(raw.float(), target.float(), labelled)), formula(p, y).mean(), rtol=1e-5)
    raw.requires_grad_()
    assert torch.autograd.gradcheck(lambda r: loss(r, target, labelled), (raw,), eps=1e-6, atol=1e-8, rtol=1e-6)
    torch.testing.assert_close(loss.decode(raw), raw.sigmoid())


@pytest.mark.parametrize(("alpha", "gamma"), [(0.75, 2.0), (0.25, 0.5), (0.9, 3.0)])
def test_focal_against_lin_s_formula(alpha, gamma):
    def formula(p, y):
        truth = np.where(y == 1, p, 1 - p)
        return np.where(y == 1, alpha, 1 - alpha) * (1 - truth) ** gamma * -np.log(truth)

    check(FocalBce(UNITS, COUNTS, alpha, gamma), formula)


def test_focal_without_focus_is_half_the_cross_entropy():
    raw, target, labelled = case(1)
    value = FocalBce(UNITS, COUNTS, 0.5, 0.0)(raw, target, labelled)
    plain = functional.binary_cross_entropy_with_logits(raw[labelled], target[labelled])
    torch.testing.assert_close(value, plain / 2)


@pytest.mark.parametrize(
    ("gamma_neg", "gamma_pos", "clip"), [(4.0, 0.0, 0.05), (2.0, 1.0, 0.2), (0.5, 0.3, 0.0), (0.0, 0.0, 0.1)]
)
def test_asymmetric_against_ridnik_s_formula(gamma_neg, gamma_pos, clip):
    def formula(p, y):
        shifted = np.maximum(p - clip, 0)
        positive = (1 - p) ** gamma_pos * -np.log(p)
        return np.where(y == 1, positive, shifted**gamma_neg * -np.log(1 - shifted))

    check(Asymmetric(UNITS, COUNTS, gamma_neg, gamma_pos, clip), formula)


def test_asymmetric_without_asymmetry_is_cross_entropy_and_equal_gammas_are_focal():
    raw, target, labelled = case(2)
    plain = functional.binary_cross_entropy_with_logits(raw[labelled], target[labelled])
    torch.testing.assert_close(Asymmetric(UNITS, COUNTS, 0.0, 0.0, 0.0)(raw, target, labelled), plain)
    focal = 2 * FocalBce(UNITS, COUNTS, 0.5, 2.0)(raw, target, labelled)
    torch.testing.assert_close(Asymmetric(UNITS, COUNTS, 2.0, 2.0, 0.0)(raw, target, labelled), focal)


def test_the_easiest_negatives_have_no_loss_and_positives_never_lose_theirs():
    raw = torch.tensor([[[-3.0, -2.9]]], requires_grad=True)  # p = 0.047 and 0.052
    loss = Asymmetric(UNITS, COUNTS)
    yes = torch.ones(1, 1, 2, dtype=torch.bool)
    loss(raw, torch.zeros(1, 1, 2), yes).backward()
    assert raw.grad[0, 0, 0] == 0
    assert raw.grad[0, 0, 1] > 0
    raw.grad = None
    loss(raw, torch.ones(1, 1, 2), yes).backward()
    assert (raw.grad < 0).all()


@pytest.mark.parametrize(
    "loss", [Asymmetric(UNITS, COUNTS, 4.0, 1.0, 0.0), Asymmetric(UNITS, COUNTS, 0.5, 0.5), FocalBce(UNITS, COUNTS)]
)
def test_sure_answers_give_finite_losses_and_sure_mistakes_a_gradient(loss):
    raw = torch.tensor([[[90.0, -90.0], [90.0, -90.0]]], requires_grad=True)
    target = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    value = loss(raw, target, torch.ones(1, 2, 2, dtype=torch.bool))
    value.backward()
    assert value.isfinite()
    assert raw.grad.isfinite().all()
    assert raw.grad[0, 1, 1] < 0
    if getattr(loss, "clip", 0) == 0:  # with a margin the loss of a negative answered 1 is bounded, and flat there
        assert raw.grad[0, 1, 0] > 0


@pytest.mark.parametrize(
    ("builder", "options", "refusal"),
    [
        (FocalBce, {"alpha": 1.0}, refused("plugin-error", match="loss focal_bce: alpha is 1.0")),
        (
            FocalBce,
            {"gamma": -1.0},
            refused("option-too-small", who="loss focal_bce", name="gamma", value=-1.0, least=0),
        ),
        (
            Asymmetric,
            {"gamma_neg": -1.0},
            refused("option-too-small", who="loss asymmetric", name="gamma_neg", value=-1.0, least=0),
        ),
        (Asymmetric, {"clip": 0.5}, refused("plugin-error", match="loss asymmetric: clip is 0.5")),
    ],
)
def test_bad_options_are_named(builder, options, refusal):
    with refusal:
        builder(UNITS, COUNTS, **options)
