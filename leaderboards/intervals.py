"""Uncertainty of scores: intervals and paired comparisons by leaving groups of videos out.

Frames of a video resemble each other, so the independent samples are the videos, or the groups of videos that belong
together, not the frames. Both functions need the score of everything and, for every group, the score of everything
else (``zoo.metrics.scores.leave_one_out``), without groups that have no labelled frame.

Reason for the jackknife: on simulated valence of correlated frames with 4, 8 and 76 videos its 95 % interval contained
the true CCC in 93, 94 and 95 % of the cases, the percentile bootstrap over videos in 75, 86 and 94 %
(tests/leaderboards/test_coverage.py). Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 11.

Reason for the longer side: with few videos rare classes are rarer still or absent, and an F1 is too low on average. The
left-out scores show that too, because they lie below the whole (chapter 10.5, the jackknife estimate of bias). Without
that side the interval contained a true mean F1 of 12 units in 79, 83, 90 and 94 % of the cases with 4, 8, 16 and 76
videos, with it in 90, 90, 94 and 95 %, a macro F1 of 8 classes in 93 to 95 %; no interval can know what an absent class
would have scored (tests/benchmarks/intervals.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAME = 1e-12
"""Scores closer than this are equal: the rest depends on the order of additions."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a score, from ``groups`` groups."""

    low: float
    high: float
    groups: int


@dataclass(frozen=True)
class Difference:
    """Score a minus score b on the same groups; ``p`` two-sided, for the hypothesis of no difference."""

    value: float
    low: float
    high: float
    p: float
    groups: int


def jackknife(
    total: float, leave_one_out: Sequence[float], score_range: tuple[float, float], level: float = 0.95
) -> Interval:
    """Return the interval of ``total`` within ``score_range``, from the (G,) scores without each group.

    The score is mapped to the whole line, z = atanh((2 s - low - high) / (high - low)). There the jackknife gives the
    standard error e over the groups and the bias b = (G - 1) (mean of the left-out - z); with the t quantile q of G - 1
    degrees of freedom the interval is from min(z, z - b) - q e to max(z, z - b) + q e. Mapped back it never leaves the
    range and is longer towards the middle of it. If that is not defined:

    - one group, or a left-out score that is NaN (one group has all labels of an answer): the whole range, since one
      group says nothing about others;
    - the whole and all left-out scores are equal: the score itself, since nothing shows a spread (a constant answer);
    - a score on a bound of the range (its atanh is infinite): the same on the plain score, cut at the range.

    Raise ValueError if ``total`` is NaN or a score lies outside the range.
    """
    low, high = score_range
    given = np.array([total, *leave_one_out], np.float64)
    if math.isnan(total) or (given < low - SAME).any() or (given > high + SAME).any():
        raise ValueError(f"a score is no number or outside its range {low:g} to {high:g}")
    total, rest = float(np.clip(total, low, high)), np.clip(given[1:], low, high)
    groups = len(rest)
    if groups < 2 or np.isnan(rest).any():
        return Interval(low, high, groups)
    everything = np.array([total, *rest])
    if np.ptp(everything) < SAME:
        return Interval(total, total, groups)
    stretched = np.clip((2 * everything - low - high) / (high - low), -1, 1)
    if np.abs(stretched).max() == 1:
        below, above = _ends(total, rest, level)
        return Interval(max(low, below), min(high, above), groups)
    centre, *others = np.arctanh(stretched)
    ends = np.tanh(_ends(float(centre), np.array(others), level))
    below, above = (float(low + (end + 1) / 2 * (high - low)) for end in ends)
    return Interval(min(below, total), max(above, total), groups)


def paired(
    total_a: float,
    leave_one_out_a: Sequence[float],
    total_b: float,
    leave_one_out_b: Sequence[float],
    level: float = 0.95,
    score_range: tuple[float, float] = (-math.inf, math.inf),
) -> Difference:
    """Test if a is better than b on the same (G,) groups, given in the same order: the jackknife of the difference.

    This is far more sensitive than comparing two intervals, since a video that is hard is hard for both. The interval
    is cut at the largest difference of two scores in ``score_range``. With fewer than two groups, or a NaN, nothing is
    known: the interval is all of that and p = 1. A difference that is the same whichever group is left out has no
    spread: the interval is the difference, p is 1 if it is 0, and else 0. Raise ValueError for unequal numbers of
    groups.
    """
    if len(leave_one_out_a) != len(leave_one_out_b):
        raise ValueError(f"{len(leave_one_out_a)} and {len(leave_one_out_b)} groups cannot be paired")
    rest = np.asarray(leave_one_out_a, np.float64) - np.asarray(leave_one_out_b, np.float64)
    value, groups, most = total_a - total_b, len(rest), score_range[1] - score_range[0]
    if groups < 2 or math.isnan(value) or np.isnan(rest).any():
        return Difference(value, -most, most, 1.0, groups)
    if np.ptp(rest) < SAME:
        return Difference(value, value, value, float(abs(value) < SAME), groups)
    margin = _margin(rest, level)
    from scipy import stats  # takes a second to import, which `harness predict` would pay for nothing

    p = 2 * stats.t.sf(abs(value) / _error(rest), groups - 1)
    return Difference(value, max(-most, value - margin), min(most, value + margin), float(p), groups)


def _ends(total: float, rest: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Return the interval around a score and around its value without bias, from (G,) scores without each group."""
    unbiased = total + (len(rest) - 1) * (total - float(rest.mean()))
    margin = _margin(rest, level)
    return min(total, unbiased) - margin, max(total, unbiased) + margin


def _error(rest: NDArray[np.float64]) -> float:
    """Return the jackknife's standard error from (G,) scores without each group."""
    return float(np.sqrt((len(rest) - 1) * rest.var()))


def _margin(rest: NDArray[np.float64], level: float) -> float:
    from scipy import stats  # see above

    return float(stats.t.ppf((1 + level) / 2, len(rest) - 1)) * _error(rest)
