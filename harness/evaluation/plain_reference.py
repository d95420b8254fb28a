"""A linear model on the same frozen features, one frame at a time: the plain reference printed next to every score.

Classes and action units are predicted by logistic regression (scikit-learn), with classes weighted by their rarity;
values by ridge regression, cut at the answer's bounds. Features are standardised and projected like the run's
(zoo.model.adapter, fitted on training frames). Slots are concatenated, with zeros where a slot is absent. The strength
of regularisation is chosen by the track's metric on predictions cross-fitted over three folds of the training videos'
groups; no other split is used before the scoring. At most ``CAP`` training frames are used, fewer if features are wide,
drawn with seed 0, so that the reference takes seconds even on millions of frames. It runs on one thread, so that it
gives the same numbers on one machine however many threads the run has.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from harness.batching.clips import ClipData
from harness.batching.windows import nearest
from harness.evaluation.drawn_frames import Limits, draw_frames
from harness.evaluation.folds import folds_of
from leaderboards.blocks import ReferenceBlock
from zoo.api import Answer, TrackSpec
from zoo.metrics import scores as metrics
from zoo.model.adapter import Adapter

CAP, NUMBERS, FEWEST = 10_000, 5_000_000, 2_000
"""The most training frames; the most numbers in all of them together; and the frames that are used in any case."""
FOLDS = 3
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Inverse strengths of regularisation: ``C`` of scikit-learn's LogisticRegression; for ridge, alpha = 1 / C."""

Array = NDArray[np.float64]
Models = Mapping[str, Callable[[Array], Array]]


@dataclass(frozen=True)
class TrainingFrames:
    """Training frames: ``x`` (N, D), ``labels`` (N, A) with NaN if unlabelled, ``groups`` (N,) of their videos."""

    x: Array
    labels: Array
    groups: list[str] = field(repr=False)
    scaled: bool = True  # False: features as the encoder gives them (adapter method raw)


def plain_reference(
    track: TrackSpec, adapters: Mapping[str, Adapter], train: ClipData, reported: ClipData, *, delay: float = 0.0
) -> ReferenceBlock | None:
    """Fit the reference on ``train`` and score it on ``reported``; return a block of the record.

    None if no slot has frozen features, nothing is labelled, an answer has only one label value, or the score is not
    finite.

    ``adapters``: those of the frozen slots; ``delay``: as in harness.evaluation.prediction.answers.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        frames = training_frames(adapters, train.of("train")) if adapters else None
        if frames is None or not all(learnable(a, y) for a, y in zip(track.answers, frames.labels.T, strict=True)):
            return None
        strength, scores = choose(track, frames)
        models = fit(track.answers, frames, strength)
        stats = [_stats(track, models, adapters, reported, v, delay) for v in range(len(reported.videos))]
    score = metrics.score(track.metric, track.answers, metrics.merge(stats))
    if not np.isfinite(score.main):
        return None
    by_strength: dict[str, float | None] = dict(zip(map(str, STRENGTHS), scores, strict=True))
    return {
        "main": float(score.main),
        "parts": score.parts,
        "strength": strength,
        "chosen_among": by_strength,
        "chosen_on": f"{FOLDS} folds of train",
        "slots": list(adapters),
        "training_frames": len(frames.x),
        "dimensions": int(frames.x.shape[1]),
    }


def training_frames(adapters: Mapping[str, Adapter], data: ClipData) -> TrainingFrames | None:
    """Return the labelled frames to learn from, ``CAP`` of them at most; None if there are none."""
    drawn = draw_frames(partial(features, adapters, data), data, Limits(CAP, NUMBERS, FEWEST), 0)
    scaled = all(adapter.method != "raw" for adapter in adapters.values())
    return TrainingFrames(drawn.x, drawn.labels.astype(np.float64), drawn.groups, scaled) if drawn else None


def features(adapters: Mapping[str, Adapter], data: ClipData, v: int) -> Array:
    """Return (n, D) features of every frame of video ``v``: all slots standardised and concatenated, 0 where absent."""
    video = data.videos[v]
    parts = []
    for slot, adapter in adapters.items():
        raw = torch.from_numpy(np.asarray(data.store.clip(slot, video.name, 0, video.n_frames), np.float32))
        seen = torch.from_numpy(np.asarray(data.present[v][slot]))
        parts.append(adapter.standardise(raw).masked_fill(~seen.unsqueeze(1), 0).double().numpy())
    return np.concatenate(parts, axis=1)


def choose(track: TrackSpec, frames: TrainingFrames) -> tuple[float, list[float | None]]:
    """Return the strength with the best cross-fitted score, and the score of each strength.

    Of equal scores the smallest strength wins, because it is the simplest model. The smallest is also returned if there
    is no score (one group only).
    """
    # Each fold is predicted by a model that was fitted on the other folds. The sums of all folds are merged and scored
    # once, because the metric is not a mean over folds.
    fold = folds_of(frames.groups, FOLDS)
    of = np.array([fold[group] for group in frames.groups])
    scores: list[float | None] = []
    for strength in STRENGTHS:
        stats = []
        for f in sorted(set(fold.values())) if len(set(fold.values())) > 1 else ():
            rest = TrainingFrames(frames.x[of != f], frames.labels[of != f], [], frames.scaled)
            if all(learnable(a, y) for a, y in zip(track.answers, rest.labels.T, strict=True)):
                stats.append(
                    _scored(track, fit(track.answers, rest, strength), frames.x[of == f], frames.labels[of == f])
                )
        main = float(metrics.score(track.metric, track.answers, metrics.merge(stats)).main) if stats else np.nan
        scores.append(main if np.isfinite(main) else None)
    best = max(range(len(STRENGTHS)), key=lambda i: (-np.inf if scores[i] is None else scores[i], -i))
    return STRENGTHS[best], scores


def fit(answers: Sequence[Answer], frames: TrainingFrames, strength: float) -> Models:
    """Return answer name -> function from (n, D) features to predictions.

    Predictions are (n,) values or probabilities of 1, or (n, classes) probabilities.
    """
    return {answer.name: _fit_one(answer, frames, a, strength) for a, answer in enumerate(answers)}


def _fit_one(answer: Answer, frames: TrainingFrames, a: int, strength: float) -> Callable[[Array], Array]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    before = [] if frames.scaled else [StandardScaler()]
    known = np.isfinite(frames.labels[:, a])
    x, labels = frames.x[known], frames.labels[known, a]
    if answer.kind == "value":
        ridge = make_pipeline(*before, Ridge(alpha=1 / strength, solver="cholesky")).fit(x, labels)
        return lambda rows: np.clip(ridge.predict(rows), answer.low, answer.high)
    last = LogisticRegression(C=strength, class_weight="balanced", tol=1e-6, max_iter=500)
    net = make_pipeline(*before, last)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # close enough to compare four strengths
        net.fit(x, labels.astype(int))

    def probabilities(rows: Array) -> Array:
        found = np.zeros((len(rows), max(2, len(answer.classes))))
        found[:, last.classes_] = net.predict_proba(rows)
        return found if answer.kind == "class" else found[:, 1]

    return probabilities


def learnable(answer: Answer, labels: Array) -> bool:
    """Return True if there is something to fit: two different labels."""
    known = labels[np.isfinite(labels)]
    return len(known) > 1 and bool((known != known[0]).any())


def _stats(
    track: TrackSpec, models: Models, adapters: Mapping[str, Adapter], data: ClipData, v: int, delay: float
) -> metrics.Stats:
    x = features(adapters, data, v)
    if delay:
        times = data.times(v)
        x = x[nearest(times, times - delay)[0]]
    return _scored(track, models, x, np.asarray(data.videos[v].labels, np.float64))


def _scored(track: TrackSpec, models: Models, x: Array, labels: Array) -> metrics.Stats:
    """Return the additive sums of the metric over some frames."""
    values = {name: predict(x) for name, predict in models.items()}
    targets = {answer.name: labels[:, a] for a, answer in enumerate(track.answers)}
    return metrics.statistics(track.answers, values, targets, None, joint=track.joint_labels)
