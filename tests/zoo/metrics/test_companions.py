"""Mean Pearson and the F1 of the companion tracks against SciPy and scikit-learn; the cards of all metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from sklearn import metrics as sk

from zoo.metrics import scores as metrics
from zoo.tracks import Answer

NAMES = ("Joy", "Amusement", "Excitement")
EMI = tuple(Answer(name, "value", -5, low=0.0, high=1.0) for name in NAMES)
TWO = (Answer("ambivalence", "class", -1, classes=("absence", "presence")),)
SEVEN = (Answer("compound", "class", -1, classes=tuple("abcdefg")),)
UNIT = (Answer("AU1", "binary", -1),)


def made_up(answers: tuple[Answer, ...], n: int, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(seed)
    values: dict[str, Any] = {}
    targets: dict[str, Any] = {}
    for a in answers:
        if a.kind == "value":
            targets[a.name] = rng.random(n)
            values[a.name] = 0.4 * targets[a.name] + 0.6 * rng.random(n)
        else:
            targets[a.name] = rng.integers(0, len(a.classes) or 2, n).astype(float)
            values[a.name] = rng.dirichlet(np.ones(len(a.classes)), n) if a.classes else rng.random(n)
    return values, targets


def stats_of(answers: tuple[Answer, ...], prediction: Any, target: Any) -> metrics.Stats:
    """Sums of one class answer, from class numbers."""
    eye = np.eye(len(answers[0].classes))
    name = answers[0].name
    return metrics.statistics(answers, {name: eye[np.asarray(prediction)]}, {name: np.asarray(target, float)})


# --- F1 of classes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("metric", "average"), [("macro_f1", "macro"), ("weighted_f1", "weighted")])
@pytest.mark.parametrize("answers", [TWO, SEVEN], ids=["two", "seven"])
@given(st.data())
def test_f1_is_that_of_scikit_learn_whatever_classes_are_absent(
    metric: str, average: str, answers: tuple[Answer, ...], data: st.DataObject
) -> None:
    classes = len(answers[0].classes)
    one = st.integers(0, classes - 1)
    pairs = data.draw(st.lists(st.tuples(one, one), min_size=1, max_size=40))
    prediction, target = np.array(pairs).T
    wanted = sk.f1_score(target, prediction, average=average, labels=range(classes), zero_division=0)
    got = metrics.score(metric, answers, stats_of(answers, prediction, target))
    assert got.main == pytest.approx(wanted, rel=1e-12, abs=1e-15)
    assert got.parts["accuracy"] == pytest.approx(sk.accuracy_score(target, prediction), rel=1e-12)


def test_a_constant_answer_and_a_class_that_never_occurs() -> None:
    target = [0] * 90 + [1] * 10
    always = stats_of(TWO, [0] * 100, target)  # F1 of absence: 2 * 90 / (2 * 90 + 10)
    assert metrics.score("macro_f1", TWO, always).main == pytest.approx(18 / 19 / 2, rel=1e-14)
    assert metrics.score("weighted_f1", TWO, always).main == pytest.approx(0.9 * 18 / 19, rel=1e-14)
    only = stats_of(TWO, [0] * 50 + [1] * 50, [0] * 100)  # presence is predicted, and never there
    assert metrics.score("macro_f1", TWO, only).main == pytest.approx(1 / 3, rel=1e-14)
    assert metrics.score("weighted_f1", TWO, only).main == pytest.approx(2 / 3, rel=1e-14)


# --- mean Pearson -----------------------------------------------------------------------------------------------------


def test_mean_pearson_is_that_of_scipy_whatever_the_parts() -> None:
    values, targets = made_up(EMI, 300, 6)
    parts = [
        metrics.statistics(EMI, *({n: x[n][at] for n in NAMES} for x in (values, targets)))
        for at in (slice(0, 100), slice(100, 101), slice(101, 300))
    ]
    wanted = np.mean([scipy_stats.pearsonr(values[n], targets[n]).statistic for n in NAMES])
    assert metrics.score("mean_pearson", EMI, metrics.merge(parts)).main == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("side", ["values", "targets"])
def test_a_constant_gives_0_and_stays_in_the_mean(side: str) -> None:
    given_ = dict(zip(("values", "targets"), made_up(EMI, 300, 7), strict=True))
    given_[side]["Joy"] = np.full(300, 0.2)
    rest = [scipy_stats.pearsonr(given_["values"][n], given_["targets"][n]).statistic for n in NAMES[1:]]
    got = metrics.score("mean_pearson", EMI, metrics.statistics(EMI, **given_))
    assert got.parts["pearson_Joy"] == 0.0
    assert got.main == pytest.approx(np.sum(rest) / 3, rel=1e-12)


def test_videos_without_a_value_are_left_out_of_that_value_alone() -> None:
    values, targets = made_up(EMI, 200, 8)
    targets["Joy"][::3] = np.nan
    at = ~np.isnan(targets["Joy"])
    each = [scipy_stats.pearsonr(values["Joy"][at], targets["Joy"][at]).statistic]
    each += [scipy_stats.pearsonr(values[n], targets[n]).statistic for n in NAMES[1:]]
    got = metrics.score("mean_pearson", EMI, metrics.statistics(EMI, values, targets)).main
    assert got == pytest.approx(np.mean(each), rel=1e-12)


# --- sums -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("metric", "answers"), [("mean_pearson", EMI), ("weighted_f1", TWO), ("macro_f1", SEVEN)])
def test_leave_one_out_is_the_score_of_the_rest(metric: str, answers: tuple[Answer, ...]) -> None:
    groups = [made_up(answers, 30 + 10 * g, g) for g in range(5)]
    got = metrics.leave_one_out(metric, answers, [metrics.statistics(answers, *g) for g in groups])
    for left_out in range(5):
        rest = [g for i, g in enumerate(groups) if i != left_out]
        values, targets = ({a.name: np.concatenate([r[k][a.name] for r in rest]) for a in answers} for k in (0, 1))
        wanted = metrics.score(metric, answers, metrics.statistics(answers, values, targets)).main
        assert got[left_out] == pytest.approx(wanted, rel=1e-12)


def test_what_can_be_reached() -> None:
    values, targets = made_up(EMI, 100, 9)
    targets["Joy"] = np.full(100, 0.5)
    reach = metrics.reachable("mean_pearson", EMI, metrics.statistics(EMI, values, targets))
    assert reach == metrics.Reachable(pytest.approx(2 / 3, rel=1e-12), ("Joy",))
    one_sided = stats_of(TWO, [0, 1, 1], [0, 0, 0])
    assert metrics.reachable("weighted_f1", TWO, one_sided) == metrics.Reachable(1.0, ("presence",))
    assert metrics.reachable("macro_f1", TWO, one_sided) == metrics.Reachable(0.5, ("presence",))


# --- cards ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", metrics.METRICS)
def test_every_metric_has_a_card_and_a_formula(name: str) -> None:
    card = metrics.card(name)
    assert metrics.METRICS.keys() == metrics.FORMULAS.keys()
    assert card.name == name
    assert all((card.formula, card.kinds, card.population, card.masks, card.aggregation, card.degenerate, card.source))
    answers = tuple(a for a in (*EMI, *SEVEN, *UNIT) if a.kind in card.kinds)
    values, targets = made_up(answers, 200, 10)
    assert np.isfinite(metrics.score(name, answers, metrics.statistics(answers, values, targets)).main)
    nothing = {n: np.full(200, np.nan) for n in targets}
    assert np.isnan(metrics.score(name, answers, metrics.statistics(answers, values, nothing)).main)
    assert "NaN" in card.degenerate
