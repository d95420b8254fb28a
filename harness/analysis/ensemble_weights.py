"""Ensemble weights: non-negative, with sum 1, maximising the track's score.

``weights``: one set for each kind of answer. ``channels``: one for each answer, valence and arousal apart (as LIGA and
RAS do, ABAW 2026). ``greedy``: one for each kind, by ensemble selection (Caruana et al. 2004, doi
10.1145/1015330.1015432): from the best member on, the member whose further vote raises the score most gets one more
vote. It has few steps, most members get none, and so it fits less noise than weights of many members.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from harness.evaluation.folds import folds_of
from harness.evaluation.merging import merge
from harness.evaluation.postprocessing import labelled
from harness.evaluation.scoring import statistics_of
from zoo.api import Answer, TrackSpec, VideoAnswers
from zoo.metrics import scores as metrics

Array = NDArray[np.float64]
Member = Sequence[VideoAnswers]
PerKind = dict[str, list[float]]
"""Kind of answer, or answer -> one weight per member."""

METHODS = ("weights", "channels", "greedy")
VOTES = 25  # most votes that ``greedy`` hands out
STEPS = (0.5, 0.25, 0.125, 0.0625, 0.03125)
WORTH = 1e-9  # a smaller gain does not count, so that the weights stay nearer to equal


def equal_weights(track: TrackSpec, n: int, method: str = "weights") -> PerKind:
    """Return the same weight for each of n members."""
    return {key: [1 / n] * n for key in _groups(track, method)}


def fit_weights(members: Sequence[Member], track: TrackSpec, method: str = "weights") -> PerKind:
    """Return the best weights for these members' predictions for the same labelled videos.

    Each kind of answer, or each answer, is fitted in turn, with the others at equal weights (every track's score is a
    sum over answers). Without labels the weights are equal.

    Values: the CCC of weighted members is a smooth function of the weights, through the members' covariances alone
    (SLSQP from equal weights and from the best single member). Classes and units: F1 changes in steps, so weight is
    moved from one member to another as long as the score rises, in steps that are halved from 1/2 to 1/32.
    """
    if not labelled(members[0]):
        return equal_weights(track, len(members), method)
    even = merge(members, track)
    stats = metrics.merge([statistics_of(track, video) for video in even])
    out: PerKind = {}
    for key, own in _groups(track, method).items():
        smooth = own[0].kind == "value"
        sums = {a.name: (_value_sums if smooth else _decided_sums)(members, track, a) for a in own}

        def score(weights: Array, sums: Mapping[str, Callable[[Array], metrics.Sums]] = sums) -> float:
            now = {**stats, **{name: f(weights) for name, f in sums.items()}}
            return float(np.nan_to_num(metrics.score(track.metric, track.answers, now).main, nan=-np.inf))

        best = _selected(score, len(members)) if method == "greedy" else _best(score, len(members), smooth=smooth)
        out[key] = [float(w) for w in best]
    return out


def _groups(track: TrackSpec, method: str) -> dict[str, list[Answer]]:
    """Return the answers that share their weights, by the name under which the weights are kept."""
    out: dict[str, list[Answer]] = {}
    for answer in track.answers:
        out.setdefault(answer.name if method == "channels" else answer.kind, []).append(answer)
    return out


def by_fold(
    members: Sequence[Member], track: TrackSpec, method: str = "weights"
) -> tuple[dict[int, PerKind], dict[str, int]]:
    """Return fold -> weights fitted on the other folds of groups; and group -> fold, as for post-processors."""
    folds = folds_of([video.group for video in members[0]])
    weights = {
        f: fit_weights([[video for video in member if folds[video.group] != f] for member in members], track, method)
        for f in sorted(set(folds.values()))
    }
    return weights, folds


def _selected(score: Callable[[Array], float], n: int) -> Array:
    """Return the shares of votes after the best of ``VOTES`` rounds of ensemble selection; the earliest of equals."""
    votes, best, top = np.zeros(n), np.full(n, 1 / n), -np.inf
    for _ in range(VOTES):
        scores = [score((votes + one) / (votes.sum() + 1)) for one in np.eye(n)]
        votes[int(np.argmax(scores))] += 1
        if max(scores) > top + WORTH:
            best, top = votes / votes.sum(), max(scores)
    return best


def _best(score: Callable[[Array], float], n: int, *, smooth: bool) -> Array:
    """Return the best of equal weights, single members, and the results of a search from these."""
    starts = [np.full(n, 1 / n), *np.eye(n)]
    best, top = starts[0], score(starts[0])
    if not np.isfinite(top):  # an answer without labels makes every score undefined
        return best
    for start in (starts[0], max(starts[1:], key=score)):
        found = _slide(score, start) if smooth else _climb(score, start)
        for weights in (start, found):
            if (value := score(weights)) > top + WORTH:
                best, top = weights, value
    return best


def _slide(score: Callable[[Array], float], start: Array) -> Array:
    """Maximise the score by SLSQP on the simplex."""
    found = minimize(
        lambda w: -score(w),
        start,
        method="SLSQP",
        bounds=[(0, 1)] * len(start),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-10, "maxiter": 200},
    ).x
    kept: Array = np.where(found < 1e-6, 0, found)
    return kept / kept.sum() if kept.sum() > 0 else start


def _climb(score: Callable[[Array], float], start: Array) -> Array:
    """Move weight from one member to another while the score rises."""
    weights, top = start, score(start)
    for step in STEPS:
        rising = True
        while rising:
            rising = False
            for giver, taker in np.argwhere(~np.eye(len(start), dtype=bool)):
                moved = weights.copy()
                part = min(step, weights[giver])
                moved[giver] -= part
                moved[taker] += part
                if part > 0 and (value := score(moved)) > top + WORTH:
                    weights, top, rising = moved, value, True
    return weights


# --- sums of an answer as functions of the weights --------------------------------------------------------------------


def _columns(members: Sequence[Member], track: TrackSpec, answer: Answer) -> tuple[list[Array], Array]:
    """Return each member's predictions at the labelled frames, (n,) or (n, classes), and their labels (n,)."""
    masks = [_labelled(track, answer, video) for video in members[0]]
    label = np.concatenate([v.targets[answer.name][m] for v, m in zip(members[0], masks, strict=True)])
    parts = [[v.values[answer.name][m] for v, m in zip(_like(members[0], own), masks, strict=True)] for own in members]
    return [np.concatenate(part).astype(np.float64) for part in parts], label


def _like(first: Member, own: Member) -> list[VideoAnswers]:
    """Return a member's videos in the first member's order."""
    by_name = {video.video: video for video in own}
    return [by_name[video.video] for video in first]


def _labelled(track: TrackSpec, answer: Answer, video: VideoAnswers) -> NDArray[np.bool_]:
    names = [a.name for a in track.answers if a.kind == "value"]
    joint = track.joint_labels and answer.kind == "value"
    mask: NDArray[np.bool_] = np.logical_and.reduce(
        [np.isfinite(video.targets[name]) for name in (names if joint else [answer.name])]
    )
    return mask


def _value_sums(members: Sequence[Member], track: TrackSpec, answer: Answer) -> Callable[[Array], metrics.Sums]:
    columns, label = _columns(members, track, answer)
    x, n = np.stack(columns), len(label)
    if not n:
        return lambda weights: np.zeros(6)
    means, mean = x.mean(1), label.mean()
    dx, dy = x - means[:, None], label - mean
    among, towards, own = dx @ dx.T, dx @ dy, dy @ dy
    return lambda w: np.array([n, w @ means, mean, max(w @ among @ w, 0.0), own, w @ towards])


def _decided_sums(members: Sequence[Member], track: TrackSpec, answer: Answer) -> Callable[[Array], metrics.Sums]:
    columns, label = _columns(members, track, answer)

    def sums(weights: Array) -> metrics.Sums:
        p = sum((w * x for w, x in zip(weights, columns, strict=True) if w > 0), np.zeros_like(columns[0]))
        decided = p.argmax(1) if answer.kind == "class" else p >= 0.5
        return metrics.confusion(decided, label, len(answer.classes) if answer.kind == "class" else 2)

    return sums
