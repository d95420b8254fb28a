"""Intervals and paired comparisons against closed forms, and every degenerate case. Coverage: test_coverage.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from leaderboards.intervals import Difference, Interval, _ends, jackknife, paired


def left_out_means(x: np.ndarray) -> list[float]:
    return [float(np.delete(x, i).mean()) for i in range(len(x))]


def test_the_paired_comparison_of_means_is_the_paired_t_test() -> None:
    # The jackknife of a mean is exact, so SciPy's paired t test must come out to the last digits.
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, 0.1, 17), rng.normal(0.45, 0.1, 17)
    got = paired(a.mean(), left_out_means(a), b.mean(), left_out_means(b))
    reference = stats.ttest_rel(a, b)
    assert got.p == pytest.approx(reference.pvalue, rel=1e-9)
    ends = reference.confidence_interval(0.95)
    assert (got.low, got.high) == pytest.approx((ends.low, ends.high), rel=1e-9)
    assert got.value == pytest.approx((a - b).mean(), rel=1e-12)
    assert got.groups == 17


def test_the_interval_is_fishers_z_with_jackknife_variance_and_bias() -> None:
    rest = np.array([0.50, 0.55, 0.48, 0.61, 0.52])
    z, others = math.atanh(0.53), np.arctanh(rest)
    margin = stats.t.ppf(0.975, 4) * math.sqrt(4 / 5 * ((others - others.mean()) ** 2).sum())
    unbiased = 5 * z - 4 * others.mean()
    assert unbiased < z
    got = jackknife(0.53, rest, (-1, 1))
    assert (got.low, got.high) == pytest.approx((math.tanh(unbiased - margin), math.tanh(z + margin)), rel=1e-12)
    assert got.groups == 5


def test_the_longer_side_reaches_as_far_as_the_bias() -> None:
    # The population variance of a sample is too low; the jackknife's correction of it is exact, n / (n - 1).
    x = np.random.default_rng(0).normal(size=9)
    rest = np.array([np.delete(x, i).var() for i in range(9)])
    low, high = _ends(float(x.var()), rest, 0.95)
    margin = stats.t.ppf(0.975, 8) * math.sqrt(8 / 9 * ((rest - rest.mean()) ** 2).sum())
    assert (low, high) == pytest.approx((x.var() - margin, x.var(ddof=1) + margin), rel=1e-12)


def test_the_range_only_sets_the_scale() -> None:
    rest = np.array([0.50, 0.55, 0.48, 0.61])
    inner = jackknife(0.53, rest, (-1, 1))
    outer = jackknife(2 * 0.53 + 1, 2 * rest + 1, (-1, 3))  # the range of the MTL sum
    assert (outer.low, outer.high) == pytest.approx((2 * inner.low + 1, 2 * inner.high + 1), rel=1e-12)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.floats(0, 1))
def test_the_interval_holds_the_score_and_stays_in_its_range(rest: list[float], total: float) -> None:
    got = jackknife(total, rest, (0, 1))
    assert 0 <= got.low <= total <= got.high <= 1


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20), st.floats(-1, 1))
def test_a_run_is_never_better_than_itself(rest: list[float], total: float) -> None:
    assert paired(total, rest, total, rest) == Difference(0, 0, 0, 1, len(rest))


@given(st.data())
def test_a_against_b_is_b_against_a_turned_round(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 9))
    a, b = (data.draw(st.lists(st.floats(-1, 1), min_size=size, max_size=size)) for _ in "ab")
    there, back = paired(0.4, a, 0.3, b), paired(0.3, b, 0.4, a)
    assert back.p == pytest.approx(there.p, rel=1e-9)
    assert (-back.high, -back.low) == pytest.approx((there.low, there.high), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("rest", [[], [math.nan], [0.4], [0.3, math.nan, 0.5]])
def test_one_group_says_nothing(rest: list[float]) -> None:
    assert jackknife(0.4, rest, (-1, 1)) == Interval(-1, 1, len(rest))
    assert paired(0.4, rest, 0.3, rest) == Difference(pytest.approx(0.1), -math.inf, math.inf, 1, len(rest))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=12), st.floats(0, 1), st.floats(0, 1))
def test_a_difference_never_reaches_beyond_what_two_scores_can_differ_by(
    rest: list[tuple[float, float]], a: float, b: float
) -> None:
    without_a, without_b = [x for x, _ in rest], [y for _, y in rest]
    found = paired(a, without_a, b, without_b, score_range=(0, 1))
    assert -1 <= found.low <= found.value <= found.high <= 1
    free = paired(a, without_a, b, without_b)
    assert (found.low, found.high) == (max(-1, free.low), min(1, free.high))
    assert (found.value, found.p, found.groups) == (free.value, free.p, free.groups)


def test_without_spread_the_interval_is_the_score() -> None:
    assert jackknife(0.0, [0.0] * 8, (-1, 1)) == Interval(0, 0, 8)
    assert jackknife(1.0, [1.0] * 8, (0, 1)) == Interval(1, 1, 8)
    assert jackknife(0.3, [0.3, 0.3 + 1e-15], (0, 1)) == Interval(0.3, 0.3, 2)
    assert paired(0.3, [0.2, 0.4], 0.3 + 1e-16, [0.2, 0.4 + 1e-16]).p == 1
    assert paired(0.5, [0.5, 0.6], 0.25, [0.25, 0.35]).p == 0


def test_a_score_on_the_bound_takes_the_plain_scale_cut_at_the_range() -> None:
    rest = np.array([1.0, 0.9, 0.95])
    margin = stats.t.ppf(0.975, 2) * math.sqrt(2 / 3 * ((rest - rest.mean()) ** 2).sum())
    got = jackknife(0.95, rest, (0, 1))
    assert got.low == pytest.approx(0.95 - margin, rel=1e-12)
    assert got.high == 1


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="outside its range"):
        jackknife(math.nan, [0.1, 0.2], (-1, 1))
    with pytest.raises(ValueError, match="outside its range"):
        jackknife(0.5, [0.1, 1.2], (-1, 1))
    assert jackknife(1 + 1e-15, [1 + 1e-15, 1], (0, 1)) == Interval(1, 1, 2)  # rounding is not nonsense
    with pytest.raises(ValueError, match="paired"):
        paired(0.5, [0.1], 0.5, [0.1, 0.2])


def test_left_out_scores_that_agree_with_each_other_but_not_with_the_whole_show_a_bias():
    # Two groups, .6 together and .5 each alone: b = .5 - .6 on the stretched line, and no standard error.
    found = jackknife(0.6, [0.5, 0.5], (-1.0, 1.0))
    z, other = math.atanh(0.6), math.atanh(0.5)
    assert found.low == pytest.approx(0.6, abs=1e-12)
    assert found.high == pytest.approx(math.tanh(2 * z - other), abs=1e-12)  # z - b, b = (2 - 1) (other - z)
