"""Boosted trees on frozen features, one frame at a time: a baseline without any network of its own.

scikit-learn's histogram gradient boosting with its default settings, so that nothing is chosen on any split: a
classifier for classes and for each unit, with labels weighted by their rarity; a regressor of the squared error for
each value, cut at the answer's bounds. Its early stopping is off, because that would hold frames out at random, next to
frames of the same video. It is preferred to extremely randomised trees because it takes missing numbers as they are:
the features of an absent slot are NaN. Its cost is bounded too: 100 rounds of trees of 31 leaves, over features sorted
into 256 bins. It runs on one thread, so that it gives the same numbers however many threads there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.batching.clips import ClipData
from harness.evaluation.drawn_frames import DrawnFrames, Limits
from harness.evaluation.plain_reference import learnable
from zoo.api import Answer

LIMITS = Limits(frames=20_000, numbers=5_000_000, fewest=2_000)
"""The frames that trees are fitted on."""
ROUNDS = 100

Array = NDArray[np.float64]
Predict = Callable[[np.ndarray], Array]


def slot_features(data: ClipData, v: int) -> np.ndarray:
    """Return (n, D) float32 features of every frame of video ``v``: all slots side by side, NaN where one is absent."""
    video, parts = data.videos[v], []
    for slot in data.slots:
        rows = np.asarray(data.store.clip(slot, video.name, 0, video.n_frames), np.float32)
        parts.append(np.where(data.present[v][slot][:, None], rows, np.float32(np.nan)))
    return np.concatenate(parts, axis=1)


def fit_trees(answers: Sequence[Answer], frames: DrawnFrames, seed: int) -> tuple[Mapping[str, Predict], int]:
    """Return answer -> function from features (n, D) to predictions; and the number of trees.

    Predictions are (n, 1) values or probabilities of 1, or (n, classes) probabilities. An answer without two different
    labels gets a constant prediction.
    """
    models: dict[str, Predict] = {}
    count = 0
    for a, answer in enumerate(answers):
        labels = frames.labels[:, a].astype(np.float64)
        known = np.isfinite(labels)
        if not learnable(answer, labels):
            models[answer.name] = _constant(answer, labels[known])
            continue
        models[answer.name], trees = _fitted(answer, frames.x[known], labels[known], seed)
        count += trees
    return models, count


def decoded(answers: Sequence[Answer], models: Mapping[str, Predict], x: np.ndarray) -> Array:
    """Return the predictions (n, sum of widths) for features (n, D)."""
    return np.concatenate([models[answer.name](x) for answer in answers], axis=1)


def _fitted(answer: Answer, x: np.ndarray, labels: Array, seed: int) -> tuple[Predict, int]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    if answer.kind == "value":
        curve = HistGradientBoostingRegressor(max_iter=ROUNDS, early_stopping=False, random_state=seed).fit(x, labels)
        return lambda rows: np.clip(curve.predict(rows), answer.low, answer.high)[:, None], ROUNDS
    net = HistGradientBoostingClassifier(
        max_iter=ROUNDS, early_stopping=False, random_state=seed, class_weight="balanced"
    ).fit(x, labels.astype(int))

    def probabilities(rows: np.ndarray) -> Array:
        found = np.zeros((len(rows), max(2, len(answer.classes))))
        found[:, net.classes_] = net.predict_proba(rows)
        return found if answer.kind == "class" else found[:, 1:]

    return probabilities, ROUNDS * net.n_trees_per_iteration_


def _constant(answer: Answer, labels: Array) -> Predict:
    """Return the only label, or without one equal probabilities or the middle of the range, for every frame."""
    if answer.kind == "class":
        row = np.eye(len(answer.classes))[int(labels[0])] if len(labels) else np.ones(len(answer.classes))
        row = row / row.sum()
    elif len(labels):
        row = labels[:1]
    else:
        row = np.array([0.5 if answer.kind == "binary" else (answer.low + answer.high) / 2])
    return lambda rows: np.tile(row, (len(rows), 1))
