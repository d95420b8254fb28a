"""Trees are scikit-learn's on the features as they are; absent slots are NaN; few frames are drawn by seed."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from harness.batching.clips import ClipData
from harness.evaluation.drawn_frames import DrawnFrames, Limits, draw_frames
from harness.evaluation.tree_models import decoded, fit_trees, slot_features
from tests.harness.batching.test_clips import Store, video
from zoo.api import Answer

VALENCE = Answer("valence", "value", -5)
MOOD = Answer("mood", "class", -1, classes=("a", "b", "c", "d"))
UNIT = Answer("AU1", "binary", -1)


def frames(n: int = 300) -> DrawnFrames:
    """Labels that follow some features, rare ones among them; NaN features and NaN labels; class c never occurs."""
    random = np.random.default_rng(0)
    x = random.standard_normal((n, 5)).astype(np.float32)
    labels = np.stack([np.tanh(x[:, 0]), np.where(x[:, 1] > 1, 3, x[:, 2] > 0), x[:, 3] > 1.2], 1)
    x[random.random(n) < 0.2] = np.nan
    labels[random.random(labels.shape) < 0.1] = np.nan
    return DrawnFrames(x, labels, ["g"] * n, n)


def test_every_answer_is_fitted_by_scikit_learn_on_its_labelled_frames() -> None:
    given, answers = frames(), (VALENCE, MOOD, UNIT)
    models, count = fit_trees(answers, given, 3)
    assert count == 100 + 3 * 100 + 100
    x = np.random.default_rng(1).standard_normal((40, 5)).astype(np.float32)
    x[:5, 2:] = np.nan
    got = decoded(answers, models, x)
    assert got.shape == (40, 6)
    known = [np.isfinite(given.labels[:, a]) for a in range(3)]
    usual = {"max_iter": 100, "early_stopping": False, "random_state": 3}
    values = HistGradientBoostingRegressor(**usual).fit(given.x[known[0]], given.labels[known[0], 0])
    np.testing.assert_allclose(got[:, 0], values.predict(x).clip(-1, 1), rtol=1e-12)
    moods = HistGradientBoostingClassifier(**usual, class_weight="balanced")
    p = moods.fit(given.x[known[1]], given.labels[known[1], 1]).predict_proba(x)
    np.testing.assert_allclose(got[:, [1, 2, 4]], p, rtol=1e-12)
    assert not got[:, 3].any()
    units = HistGradientBoostingClassifier(**usual, class_weight="balanced")
    p = units.fit(given.x[known[2]], given.labels[known[2], 2]).predict_proba(x)
    np.testing.assert_allclose(got[:, 5], p[:, 1], rtol=1e-12)


@pytest.mark.parametrize(
    ("answer", "label", "row"),
    [
        (VALENCE, 0.25, [0.25]),
        (VALENCE, np.nan, [0.0]),
        (MOOD, 2.0, [0, 0, 1, 0]),
        (MOOD, np.nan, [0.25] * 4),
        (UNIT, 1.0, [1.0]),
        (UNIT, np.nan, [0.5]),
    ],
)
def test_an_answer_with_one_label_or_none_is_constant(answer: Answer, label: float, row: list[float]) -> None:
    given = DrawnFrames(np.ones((9, 2), np.float32), np.full((9, 1), label), ["g"] * 9, 9)
    models, count = fit_trees((answer,), given, 0)
    assert count == 0
    np.testing.assert_array_equal(decoded((answer,), models, np.zeros((3, 2), np.float32)), [row] * 3)


class Index:
    videos = ()


def test_absent_slots_are_missing_numbers_and_unseen_frames_are_not_learned_from() -> None:
    seen = {"v": np.arange(40) % 4 > 0, "w": np.arange(20) % 2 > 0}
    labels = {
        name: np.where(np.arange(len(mask)) < 15, np.nan, np.arange(len(mask)))[:, None] for name, mask in seen.items()
    }
    videos = [video(name, labels[name]) for name in seen]
    data = ClipData(Index(), videos, ["face"], Store(seen), {})  # type: ignore[arg-type]
    x = slot_features(data, 0)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(x).all(1), ~seen["v"])
    np.testing.assert_array_equal(x[seen["v"], 1], np.flatnonzero(seen["v"]))
    every = draw_frames(lambda v: slot_features(data, v), data, Limits(1000, 10_000, 1), 0)
    assert every is not None
    usable = [(v, t) for v, name in enumerate(seen) for t in range(15, len(seen[name])) if seen[name][t]]
    assert [tuple(row) for row in every.x.astype(int)] == usable
    np.testing.assert_array_equal(every.labels[:, 0], [t for _, t in usable])
    assert every.groups == ["vw"[v] for v, _ in usable]
    few = [draw_frames(lambda v: slot_features(data, v), data, Limits(1000, 10, 1), seed) for seed in (0, 0, 1)]
    assert [len(one.x) for one in few if one] == [5, 5, 5]  # 10 numbers, 2 to a frame
    assert few[0] is not None
    assert few[1] is not None
    assert few[2] is not None
    assert few[0].total == len(usable)
    np.testing.assert_array_equal(few[0].x, few[1].x)
    assert not np.array_equal(few[0].x, few[2].x)
