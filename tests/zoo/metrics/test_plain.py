"""The plain functions of arrays, against scikit-learn, SciPy or a sum written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats as scipy_stats
from sklearn import metrics as sk

from zoo.metrics import scores as metrics


def plain_ccc(x: Any, y: Any) -> float:
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    return float(2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2))


def test_ccc_by_hand() -> None:
    # x = 1, 2, 3 and y = 2, 2, 5: means 2 and 3, variances 2/3 and 2, covariance 1, so 2 / (2/3 + 2 + 1) = 6/11.
    assert metrics.ccc([1, 2, 3], [2, 2, 5]) == pytest.approx(6 / 11, rel=1e-14)


def test_ccc_divides_by_n_not_by_n_minus_1() -> None:
    x = np.linspace(0, 1, 20)
    with_n_minus_1 = 2 * np.cov(x, x)[0, 1] / (2 * x.var(ddof=1) + 0.09)
    assert metrics.ccc(x, x + 0.3) == pytest.approx(plain_ccc(x, x + 0.3), rel=1e-13)
    assert abs(metrics.ccc(x, x + 0.3) - with_n_minus_1) > 0.005


@pytest.mark.parametrize("n", [2, 20, 1001])
def test_ccc_and_pearson_against_references(n: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.normal(0.3, 1, n), rng.normal(-0.2, 2, n)
    assert metrics.ccc(x, y) == pytest.approx(plain_ccc(x, y), rel=1e-12)
    assert metrics.pearson(x, y) == pytest.approx(scipy_stats.pearsonr(x, y).statistic, rel=1e-12)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1 / 3, 1e-12, np.float32(0.7)])
def test_a_constant_scores_exactly_0(constant: float) -> None:
    rng = np.random.default_rng(0)
    flat, lively = np.full(12_345, constant), rng.normal(0, 0.3, 12_345)
    for x, y in ((flat, lively), (lively, flat), (flat, flat), (flat, flat + 1)):
        assert metrics.ccc(x, y) == 0.0
        assert metrics.pearson(x, y) == 0.0


def test_ccc_in_float32_and_of_nothing() -> None:
    x = (np.arange(2_000_000) % 97 / 97).astype(np.float32)
    assert metrics.ccc(x, 0.9 * x) == pytest.approx(plain_ccc(x, 0.9 * x), rel=1e-12)
    assert np.isnan(metrics.ccc([], []))
    assert np.isnan(metrics.pearson([], []))
    with pytest.raises(ValueError, match="alike"):
        metrics.ccc([1.0], [1.0, 2.0])


@given(hnp.arrays(np.float64, (30, 2), elements=st.floats(-1, 1)), st.floats(0.1, 10), st.floats(-5, 5))
def test_ccc_is_bounded_symmetric_and_keeps_its_scale(pairs: np.ndarray, factor: float, shift: float) -> None:
    x, y = pairs.T
    value = metrics.ccc(x, y)
    assert -1 - 1e-12 <= value <= 1 + 1e-12
    assert metrics.ccc(y, x) == pytest.approx(value, rel=1e-9, abs=1e-15)
    if x.std() > 1e-6 or y.std() > 1e-6:
        assert metrics.ccc(factor * x + shift, factor * y + shift) == pytest.approx(value, rel=1e-6, abs=1e-9)
    assert abs(value) <= abs(metrics.pearson(x, y)) + 1e-9


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=80))
def test_class_figures_against_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    prediction, target = np.array(pairs).T
    counts = metrics.confusion(prediction, target, 8)
    labels = list(range(8))
    np.testing.assert_array_equal(counts, sk.confusion_matrix(target, prediction, labels=labels))
    expected = sk.f1_score(target, prediction, labels=labels, average=None, zero_division=0)
    np.testing.assert_allclose(metrics.f1_per_class(counts), expected, rtol=1e-12)
    assert metrics.accuracy(counts) == pytest.approx(sk.accuracy_score(target, prediction), rel=1e-12)
