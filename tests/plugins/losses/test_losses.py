"""The registered losses keep the rules; the built-in ones against NumPy, scikit-learn and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from plugins.losses.bce import BinaryCrossEntropy
from plugins.losses.ccc import Ccc
from plugins.losses.ce import CrossEntropy
from zoo.api import Answer, Counts
from zoo.testing import check_light

VALUES = (Answer("valence", "value", -5), Answer("pain", "value", -1, low=0.0, high=10.0))
NO_COUNTS = (Counts(1, (1,)), Counts(1, (1,)))
CLASSES = (Answer("expression", "class", -1, classes=("a", "b", "c", "d")),)
UNITS = tuple(Answer(name, "binary", -1) for name in ("AU1", "AU2"))


def test_the_catalogue_is_light():
    check_light("plugins.losses")


# --- CCC --------------------------------------------------------------------------------------------------------------


def reference_ccc(p: np.ndarray, t: np.ndarray) -> float:
    """Lin's formula by NumPy's covariance with n in the denominator."""
    (vp, cov), (_, vt) = np.cov(p, t, bias=True)
    return 2 * cov / (vp + vt + (p.mean() - t.mean()) ** 2)


def values(seed: int, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(3, 17, 2, generator=generator, dtype=dtype)
    target = torch.rand(3, 17, 2, generator=generator, dtype=dtype) * torch.tensor([2.0, 10.0]) - torch.tensor([1.0, 0])
    labelled = torch.rand(3, 17, 2, generator=generator) > 0.4
    return raw, target, labelled


@pytest.mark.parametrize("activation", ["tanh", "clamp"])
def test_ccc_against_numpy(activation):
    loss = Ccc(VALUES, NO_COUNTS, activation).double()
    raw, target, labelled = values(0)
    p = raw.numpy()
    if activation == "tanh":
        p = np.array([-1.0, 0.0]) + np.array([2.0, 10.0]) * (np.tanh(p) + 1) / 2
    each = [
        reference_ccc(p[..., i][m], target.numpy()[..., i][m])
        for i, m in enumerate(np.moveaxis(labelled.numpy(), -1, 0))
    ]
    np.testing.assert_allclose(float(loss(raw, target, labelled)), 1 - np.mean(each), rtol=1e-12)
    float32 = Ccc(VALUES, NO_COUNTS, activation)(raw.float(), target.float(), labelled)
    np.testing.assert_allclose(float(float32), 1 - np.mean(each), rtol=1e-5)


def test_ccc_divides_by_n_not_by_n_minus_1():
    """Twenty frames with an offset: 0.727 with n, 0.737 with n - 1."""
    t = torch.linspace(-0.5, 0.5, 20, dtype=torch.float64)
    offset = float(t.var(unbiased=False) * 2 * (1 / 0.727 - 1)) ** 0.5
    loss = Ccc(VALUES[:1], NO_COUNTS[:1], "clamp").double()
    mask = torch.ones(1, 20, 1, dtype=torch.bool)
    np.testing.assert_allclose(float(loss((t + offset).view(1, -1, 1), t.view(1, -1, 1), mask)), 1 - 0.727, rtol=1e-9)


def test_ccc_pools_the_frames_of_all_clips():
    """Two clips that are each constant: alone they have no CCC, together a perfect one."""
    loss = Ccc(VALUES[:1], NO_COUNTS[:1], "clamp")
    target = torch.tensor([[0.2] * 4, [0.6] * 4]).unsqueeze(-1)
    mask = torch.ones_like(target, dtype=torch.bool)
    np.testing.assert_allclose(float(loss(target.clone(), target, mask)), 0, atol=1e-6)


@pytest.mark.parametrize("activation", ["tanh", "clamp"])
def test_ccc_gradient_against_finite_differences(activation):
    loss = Ccc(VALUES, NO_COUNTS, activation).double()
    raw, target, labelled = values(1)
    raw, target, labelled = raw[:, :4].clone().requires_grad_(), target[:, :4], labelled[:, :4]
    assert torch.autograd.gradcheck(lambda r: loss(r, target, labelled), (raw,), eps=1e-6, atol=1e-8, rtol=1e-6)


def test_an_answer_without_varied_labels_is_left_out_of_ccc():
    raw, target, labelled = values(2)
    loss = Ccc(VALUES, NO_COUNTS).double()
    alone = Ccc(VALUES[1:], NO_COUNTS[1:]).double()(raw[..., 1:], target[..., 1:], labelled[..., 1:])
    for spoilt in ("constant", "one frame", "none"):
        t, m = target.clone(), labelled.clone()
        if spoilt == "constant":
            t[..., 0] = 0.3
        else:
            m[..., 0] = False
            m[0, 0, 0] = spoilt == "one frame"
        np.testing.assert_allclose(float(loss(raw, t, m)), float(alone), rtol=1e-12)


def test_constant_answers_have_ccc_0_and_still_a_gradient():
    loss = Ccc(VALUES, NO_COUNTS, "clamp")
    _, target, labelled = values(3, torch.float32)
    raw = torch.full_like(target, 0.1, requires_grad=True)
    value = loss(raw, target, labelled)
    value.backward()
    np.testing.assert_allclose(value.item(), 1, rtol=1e-6)
    assert raw.grad.isfinite().all()
    assert raw.grad[labelled].abs().min() > 0


@pytest.mark.parametrize("activation", ["tanh", "clamp"])
def test_ccc_decodes_into_the_range_of_each_answer(activation):
    raw = torch.tensor([[[-50.0, -50.0], [50.0, 50.0], [0.0, 0.0]]])
    middle = [0.0, 5.0] if activation == "tanh" else [0.0, 0.0]
    expected = torch.tensor([[[-1.0, 0.0], [1.0, 10.0], middle]])
    torch.testing.assert_close(Ccc(VALUES, NO_COUNTS, activation).decode(raw), expected)


# --- cross-entropy ----------------------------------------------------------------------------------------------------


def classes(seed: int):
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(3, 17, 4, generator=generator)
    return (
        raw,
        torch.randint(4, (3, 17, 1), generator=generator).float(),
        torch.rand(3, 17, 1, generator=generator) > 0.4,
    )


@pytest.mark.parametrize("weights", ["none", "sqrt", "balanced"])
def test_cross_entropy_against_scikit_learn_and_torch(weights):
    counts = Counts(100, (50, 30, 15, 5))
    loss = CrossEntropy(CLASSES, (counts,), weights)
    raw, target, labelled = classes(0)
    mask = labelled[..., 0]
    truth, w = target[..., 0][mask].long(), loss.weights
    value = float(loss(raw, target, labelled))
    probabilities = raw[mask].double().softmax(-1).numpy()
    total = log_loss(truth.numpy(), probabilities, labels=range(4), normalize=False, sample_weight=w[truth].numpy())
    np.testing.assert_allclose(value, total / mask.sum(), rtol=1e-6)
    total = functional.cross_entropy(raw[mask], truth, weight=w, reduction="sum")
    np.testing.assert_allclose(value, float(total / mask.sum()), rtol=1e-6)
    torch.testing.assert_close(loss.decode(raw), raw.softmax(-1))


def test_class_weights_against_scikit_learn():
    bins = (50, 30, 15, 5)
    y = np.repeat(np.arange(4), bins)
    balanced = CrossEntropy(CLASSES, (Counts(100, bins),)).weights
    np.testing.assert_allclose(balanced, compute_class_weight("balanced", classes=np.arange(4), y=y), rtol=1e-6)
    root = np.sqrt(compute_class_weight("balanced", classes=np.arange(4), y=y))
    sqrt = CrossEntropy(CLASSES, (Counts(100, bins),), "sqrt").weights
    np.testing.assert_allclose(sqrt, root / root[y].mean(), rtol=1e-6)
    none = CrossEntropy(CLASSES, (Counts(100, bins),), "none").weights
    np.testing.assert_allclose(none, 1, rtol=1e-6)


@pytest.mark.parametrize("weights", ["none", "sqrt", "balanced"])
def test_a_class_without_training_frames_weighs_nothing_and_is_named(weights):
    with pytest.warns(UserWarning, match="expression: no training frame shows b, d"):
        loss = CrossEntropy(CLASSES, (Counts(80, (60, 0, 20, 0)),), weights)
    assert loss.weights[1] == loss.weights[3] == 0
    np.testing.assert_allclose((60 * loss.weights[0] + 20 * loss.weights[2]) / 80, 1, rtol=1e-6)
    raw, target, labelled = classes(1)
    assert loss(raw, torch.ones_like(target), labelled) == 0


def test_two_class_answers_side_by_side():
    other = Answer("gaze", "class", -1, classes=("left", "right"))
    both = CrossEntropy((*CLASSES, other), (Counts(4, (1, 1, 1, 1)), Counts(4, (3, 1))))
    raw, target, labelled = classes(2)
    more = torch.randn(3, 17, 2)
    one, two = torch.ones_like(target), torch.ones_like(labelled)
    value = both(torch.cat([raw, more], -1), torch.cat([target, one], -1), torch.cat([labelled, two], -1))
    parts = [
        CrossEntropy(CLASSES, (Counts(4, (1, 1, 1, 1)),))(raw, target, labelled) * labelled.sum(),
        CrossEntropy((other,), (Counts(4, (3, 1)),))(more, one, two) * two.sum(),
    ]
    torch.testing.assert_close(value, sum(parts) / (labelled.sum() + two.sum()))
    assert both.decode(torch.cat([raw, more], -1)).sum(-1).allclose(torch.tensor(2.0))


# --- binary cross-entropy ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("weights", "positive"), [("none", (1, 1)), ("sqrt", (3, 5)), ("balanced", (9, 10))])
def test_binary_cross_entropy_against_numpy_and_torch(weights, positive):
    loss = BinaryCrossEntropy(UNITS, (Counts(100, (90, 10)), Counts(104, (100, 4))), weights)
    np.testing.assert_allclose(loss.weights, positive, rtol=1e-6)
    generator = torch.Generator().manual_seed(0)
    raw = 3 * torch.randn(3, 17, 2, generator=generator)
    target = torch.randint(2, (3, 17, 2), generator=generator).float()
    labelled = torch.rand(3, 17, 2, generator=generator) > 0.4
    value = float(loss(raw, target, labelled))
    p, y, w = 1 / (1 + np.exp(-raw.double().numpy())), target.numpy(), np.array(positive)
    each = -(w * y * np.log(p) + (1 - y) * np.log(1 - p))
    np.testing.assert_allclose(value, each[labelled.numpy()].mean(), rtol=1e-6)
    total = functional.binary_cross_entropy_with_logits(
        raw, target, labelled.float(), pos_weight=loss.weights, reduction="sum"
    )
    np.testing.assert_allclose(value, float(total / labelled.sum()), rtol=1e-6)
    torch.testing.assert_close(loss.decode(raw), torch.sigmoid(raw))


def test_the_weight_of_positives_is_capped_and_without_any_it_is_1():
    counts = (Counts(100, (99, 1)), Counts(100, (100, 0)))
    with pytest.warns(UserWarning, match="AU2: no training frame shows a positive"):
        loss = BinaryCrossEntropy(UNITS, counts, cap=7.5)
    assert loss.weights.tolist() == [7.5, 1.0]
