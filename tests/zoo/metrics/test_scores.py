"""Every figure against scikit-learn, SciPy or a sum written out; every partition of the frames against the whole."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from sklearn import metrics as sk

from zoo.metrics import scores as metrics
from zoo.tracks import Answer

CLASSES = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Other")
UNITS = ("AU1", "AU2", "AU4", "AU6")
VA = (Answer("valence", "value", -5), Answer("arousal", "value", -5))
EXPR = (Answer("expression", "class", -1, classes=CLASSES),)
AU = tuple(Answer(name, "binary", -1) for name in UNITS)
MTL = (*VA, *EXPR, *AU)


def made_up(answers: tuple[Answer, ...], n: int, seed: int = 0, unlabelled: float = 0.1) -> tuple[dict, dict]:
    """Values that know something of the targets, a tenth of them unlabelled."""
    rng = np.random.default_rng(seed)
    values: dict[str, Any] = {}
    targets: dict[str, Any] = {}
    for a in answers:
        if a.kind == "value":
            target = np.clip(rng.normal(0.2, 0.4, n), -1, 1)
            values[a.name] = np.clip(0.5 * target + rng.normal(-0.1, 0.3, n), -1, 1).astype(np.float32)
        else:
            target = rng.integers(0, len(a.classes) or 2, n).astype(float)
            right = np.eye(len(a.classes) or 2)[target.astype(int)]
            shares = np.exp(right + rng.normal(0, 1, right.shape))
            values[a.name] = shares / shares.sum(1, keepdims=True) if a.kind == "class" else (shares / 5)[:, 1]
        targets[a.name] = np.where(rng.random(n) < unlabelled, np.nan, target)
    return values, targets


def plain_ccc(x: Any, y: Any) -> float:
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    return float(2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2))


# --- scores of tracks -------------------------------------------------------------------------------------------------


def labelled(values: Any, targets: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    at = ~np.isnan(targets[name])
    return np.asarray(values[name])[at], targets[name][at]


def test_mean_ccc_and_its_parts() -> None:
    values, targets = made_up(VA, 5000)
    got = metrics.score("mean_ccc", VA, metrics.statistics(VA, values, targets))
    expected = {a.name: plain_ccc(*labelled(values, targets, a.name)) for a in VA}
    assert got.main == pytest.approx(np.mean(list(expected.values())), rel=1e-12)
    for name, value in expected.items():
        assert got.parts[f"ccc_{name}"] == pytest.approx(value, rel=1e-12)
        reference = scipy_stats.pearsonr(*labelled(values, targets, name)).statistic
        assert got.parts[f"pearson_{name}"] == pytest.approx(reference, rel=1e-12)
        assert got.parts[f"frames_{name}"] == (~np.isnan(targets[name])).sum()
    either = ~np.isnan(targets["valence"]) | ~np.isnan(targets["arousal"])
    assert got.parts["frames"] == either.sum()


@pytest.mark.parametrize("classes", [7, 8])
def test_expression_scores(classes: int) -> None:
    answers = (Answer("expression", "class", -1, classes=CLASSES[:classes]),)
    values, targets = made_up(answers, 3000)
    stats = metrics.statistics(answers, values, targets)
    shares, target = labelled(values, targets, "expression")
    prediction, labels = shares.argmax(1), list(range(classes))
    macro = sk.f1_score(target, prediction, labels=labels, average="macro", zero_division=0)
    right = sk.accuracy_score(target, prediction)
    assert metrics.score("macro_f1", answers, stats).main == pytest.approx(macro, rel=1e-12)
    assert metrics.score("f1_accuracy", answers, stats).main == pytest.approx(0.67 * macro + 0.33 * right, rel=1e-12)
    parts = metrics.score("macro_f1", answers, stats).parts
    each = sk.f1_score(target, prediction, labels=labels, average=None, zero_division=0)
    np.testing.assert_allclose([parts[f"f1_{c}"] for c in CLASSES[:classes]], each, rtol=1e-12)
    np.testing.assert_array_equal(stats["expression"], sk.confusion_matrix(target, prediction, labels=labels))


def test_action_unit_scores_with_masks_of_their_own() -> None:
    values, targets = made_up(AU, 3000, unlabelled=0.3)
    stats = metrics.statistics(AU, values, targets)
    pairs = {a.name: labelled(values, targets, a.name) for a in AU}
    f1 = {name: sk.f1_score(y, p >= 0.5, zero_division=0) for name, (p, y) in pairs.items()}
    flat = sk.accuracy_score(
        np.concatenate([y for _, y in pairs.values()]), np.concatenate([p >= 0.5 for p, _ in pairs.values()])
    )
    mean = float(np.mean(list(f1.values())))
    assert metrics.score("mean_f1", AU, stats).main == pytest.approx(mean, rel=1e-12)
    assert metrics.score("au_f1_accuracy", AU, stats).main == pytest.approx(0.5 * mean + 0.5 * flat, rel=1e-12)
    assert metrics.score("mean_f1", AU, stats).parts["f1_AU4"] == pytest.approx(f1["AU4"], rel=1e-12)


def test_mtl_is_the_sum_of_the_three() -> None:
    values, targets = made_up(MTL, 2000, unlabelled=0.4)
    total = metrics.score("mtl_sum", MTL, metrics.statistics(MTL, values, targets)).main
    three = (("mean_ccc", VA), ("macro_f1", EXPR), ("mean_f1", AU))
    alone = sum(metrics.score(m, a, metrics.statistics(a, values, targets)).main for m, a in three)
    assert total == pytest.approx(alone, rel=1e-12)


def test_formulas_of_editions_1_and_2_give_the_official_figures() -> None:
    # Rows of the official ABAW2 leaderboards: F1, accuracy, printed total, all rounded to three or four digits.
    for f1, right, printed in ((0.7490, 0.8010, 0.7660), (0.7633, 0.8069, 0.7777), (0.6774, 0.7673, 0.7071)):
        got = metrics.FORMULAS["f1_accuracy"]({"macro_f1": f1, "accuracy": right})
        assert got == pytest.approx(printed, abs=3e-4)
    assert metrics.FORMULAS["au_f1_accuracy"]({"mean_f1": 0.367, "au_accuracy": 0.193}) == pytest.approx(0.28)


def test_decisions_at_the_border() -> None:
    answers = (*EXPR, AU[0])
    values = {"expression": np.full((2, 8), 0.125), "AU1": np.array([0.5, np.nextafter(0.5, 0)])}
    targets = {"expression": np.array([0.0, 1.0]), "AU1": np.array([1.0, 1.0])}
    stats = metrics.statistics(answers, values, targets)
    assert stats["expression"][:2, 0].tolist() == [1, 1]  # equal shares: the first class
    assert stats["AU1"].tolist() == [[0, 0], [1, 1]]  # 0.5 is a 1


def test_mask_and_joint_labels() -> None:
    values, targets = made_up(VA, 400, unlabelled=0.3)
    both = ~np.isnan(targets["valence"]) & ~np.isnan(targets["arousal"])
    face = np.arange(400) % 3 > 0
    stats = metrics.statistics(VA, values, targets, mask=face, joint=True)
    at = both & face
    assert metrics.score("mean_ccc", VA, stats).parts["frames"] == at.sum()
    for name in ("valence", "arousal"):
        expected = plain_ccc(values[name][at], targets[name][at])
        assert metrics.score("mean_ccc", VA, stats).parts[f"ccc_{name}"] == pytest.approx(expected, rel=1e-12)


# --- merging ----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=6), st.integers(0, 5))
def test_any_partition_merges_to_the_whole(cuts: list[int], seed: int) -> None:
    values, targets = made_up(MTL, 400, seed)
    whole = metrics.statistics(MTL, values, targets)
    edges = [0, *sorted(cuts), 400]
    parts = [
        metrics.statistics(MTL, {k: v[a:b] for k, v in values.items()}, {k: v[a:b] for k, v in targets.items()})
        for a, b in pairwise(edges)
    ]
    merged = metrics.merge(parts)
    assert merged.keys() == whole.keys()
    for name, sums in whole.items():
        np.testing.assert_allclose(merged[name], sums, rtol=1e-10, atol=1e-12)
        assert merged[name].dtype == sums.dtype
    assert metrics.score("mtl_sum", MTL, merged).main == pytest.approx(
        metrics.score("mtl_sum", MTL, whole).main, rel=1e-11
    )


def test_millions_of_frames_far_from_zero_keep_nine_digits() -> None:
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 60_000, 76)
    x = 1000 + rng.normal(0, 0.01, sizes.sum())
    y = 1000 + 0.5 * (x - 1000) + rng.normal(0, 0.01, len(x))
    answers = VA[:1]
    ends = np.cumsum(sizes)
    parts = [
        metrics.statistics(answers, {"valence": x[e - n : e]}, {"valence": y[e - n : e]})
        for n, e in zip(sizes, ends, strict=True)
    ]
    exact_x, exact_y = (x - 1000).astype(np.longdouble), (y - 1000).astype(np.longdouble)
    covariance = np.mean((exact_x - exact_x.mean()) * (exact_y - exact_y.mean()))
    expected = 2 * covariance / (exact_x.var() + exact_y.var() + (exact_x.mean() - exact_y.mean()) ** 2)
    assert metrics.score("mean_ccc", answers, metrics.merge(parts)).main == pytest.approx(float(expected), rel=1e-9)


def test_a_constant_stays_exactly_constant_through_merging() -> None:
    rng = np.random.default_rng(2)
    parts = [
        metrics.statistics(VA[:1], {"valence": np.full(n, 0.1)}, {"valence": rng.normal(0, 1, n)})
        for n in (3, 1000, 77)
    ]
    assert metrics.score("mean_ccc", VA[:1], metrics.merge(parts)).main == 0.0


@pytest.mark.parametrize(("metric", "answers"), [("mean_ccc", VA), ("macro_f1", EXPR), ("mtl_sum", MTL)])
def test_leave_one_out_is_the_score_of_the_rest(metric: str, answers: tuple[Answer, ...]) -> None:
    groups = [made_up(answers, 50 + 10 * g, seed=g) for g in range(5)]
    got = metrics.leave_one_out(metric, answers, [metrics.statistics(answers, *g) for g in groups])
    for left_out in range(5):
        rest = [g for i, g in enumerate(groups) if i != left_out]
        values, targets = ({a.name: np.concatenate([r[k][a.name] for r in rest]) for a in answers} for k in (0, 1))
        expected = metrics.score(metric, answers, metrics.statistics(answers, values, targets)).main
        assert got[left_out] == pytest.approx(expected, rel=1e-12)


def test_leave_one_out_of_one_group_leaves_nothing() -> None:
    stats = metrics.statistics(VA, *made_up(VA, 50))
    assert np.isnan(metrics.leave_one_out("mean_ccc", VA, [stats])).tolist() == [True]
    with pytest.raises(ValueError, match="no sums"):
        metrics.merge([])


# --- what cannot be reached, what cannot be judged --------------------------------------------------------------------


def test_reachable_names_what_is_absent_and_is_what_a_perfect_answer_scores() -> None:
    values, targets = made_up(MTL, 600)
    targets["expression"] = np.where(targets["expression"] == 3, np.nan, targets["expression"])
    targets["AU2"] = np.zeros(600)
    targets["arousal"] = np.full(600, 0.25)
    got = metrics.reachable("mtl_sum", MTL, metrics.statistics(MTL, values, targets))
    assert got.absent == ("arousal", "Fear", "AU2")
    assert got.best == pytest.approx(0.5 + 7 / 8 + 3 / 4, rel=1e-12)
    perfect = {a.name: np.nan_to_num(targets[a.name]) for a in MTL}
    perfect["expression"] = np.eye(8)[perfect["expression"].astype(int)]
    stats = metrics.statistics(MTL, perfect, targets)
    assert metrics.score("mtl_sum", MTL, stats).main == pytest.approx(got.best, rel=1e-12)


def test_a_full_set_of_labels_can_reach_the_top() -> None:
    stats = metrics.statistics(EXPR, *made_up(EXPR, 500))
    assert metrics.reachable("f1_accuracy", EXPR, stats) == metrics.Reachable(1.0, ())


@pytest.mark.parametrize(("metric", "answers"), [("mean_ccc", VA), ("macro_f1", EXPR), ("mean_f1", AU)])
def test_nothing_labelled_is_nan_not_0(metric: str, answers: tuple[Answer, ...]) -> None:
    values, targets = made_up(answers, 20)
    empty = {name: np.full(20, np.nan) for name in targets}
    got = metrics.score(metric, answers, metrics.statistics(answers, values, empty))
    assert np.isnan(got.main)
    assert got.parts["frames"] == 0


def test_a_labelled_frame_without_a_number_is_an_error_that_names_it() -> None:
    values, targets = made_up(VA, 30, unlabelled=0)
    values["arousal"][17] = np.nan
    with pytest.raises(ValueError, match="arousal at labelled frame 18"):
        metrics.statistics(VA, values, targets)
    targets["arousal"][17] = np.nan
    metrics.statistics(VA, values, targets)


def test_a_label_that_is_no_class_and_a_metric_without_its_answers() -> None:
    values, targets = made_up(EXPR, 30, unlabelled=0)
    with pytest.raises(ValueError, match="none of 0 to 7"):
        metrics.statistics(EXPR, values, {"expression": targets["expression"] + 8})
    with pytest.raises(ValueError, match="probabilities"):
        metrics.statistics(EXPR, {"expression": values["expression"][:, :7]}, targets)
    stats = metrics.statistics(EXPR, values, targets)
    with pytest.raises(ValueError, match="kind value"):
        metrics.score("mean_ccc", EXPR, stats)
    with pytest.raises(ValueError, match="macro_f1"):
        metrics.score("f1", EXPR, stats)


# --- classes that are absent ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_f1_over_present_classes_is_scikit_learns_over_the_labels_there_are(seed: int) -> None:
    """Two classes are never labelled and one unit never positive; both are predicted now and then."""
    values, targets = made_up(MTL, 900, seed)
    targets["expression"] = np.where(targets["expression"] >= 6, 0.0, targets["expression"])
    targets["AU2"] = np.where(np.isnan(targets["AU2"]), np.nan, 0.0)
    stats = metrics.statistics(MTL, values, targets)
    shares, target = labelled(values, targets, "expression")
    macro = sk.f1_score(target, shares.argmax(1), labels=np.unique(target), average="macro", zero_division=0)
    assert metrics.over_present("macro_f1", MTL, stats) == pytest.approx(macro, rel=1e-12)
    pairs = [labelled(values, targets, name) for name in UNITS if name != "AU2"]
    units = np.mean([sk.f1_score(y, p >= 0.5, zero_division=0) for p, y in pairs])
    assert metrics.over_present("mean_f1", MTL, stats) == pytest.approx(units, rel=1e-12)
    right = sk.accuracy_score(target, shares.argmax(1))
    assert metrics.over_present("f1_accuracy", MTL, stats) == pytest.approx(0.67 * macro + 0.33 * right, rel=1e-12)
    sum_ = metrics.score("mean_ccc", MTL, stats).main + macro + units
    assert metrics.over_present("mtl_sum", MTL, stats) == pytest.approx(sum_, rel=1e-12)


@given(st.integers(0, 2**31))
@settings(max_examples=20)
def test_where_nothing_is_absent_both_are_the_same_and_a_score_is_never_above_the_other(seed: int) -> None:
    values, targets = made_up(MTL, 60, seed)
    stats = metrics.statistics(MTL, values, targets)
    for metric in ("macro_f1", "mean_f1", "mtl_sum", "mean_ccc"):
        whole, over = metrics.score(metric, MTL, stats).main, metrics.over_present(metric, MTL, stats)
        assert over >= whole - 1e-12
        if not metrics.reachable(metric, MTL, stats).absent:
            assert over == pytest.approx(whole, rel=1e-12)


def test_over_present_where_no_unit_is_positive_or_nothing_is_labelled() -> None:
    values, targets = made_up(AU, 50)
    none = {name: np.zeros(50) for name in targets}
    assert metrics.over_present("mean_f1", AU, metrics.statistics(AU, values, none)) == 0
    nothing = {name: np.full(50, np.nan) for name in targets}
    assert np.isnan(metrics.over_present("mean_f1", AU, metrics.statistics(AU, values, nothing)))
