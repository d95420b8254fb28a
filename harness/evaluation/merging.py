"""Merge the predictions of several members for the same frames: by mean, by vote, or by CCC centring.

``mean``: values and probabilities are averaged by weight.

``vote``: each member decides (for the largest probability; for 1 at 0.5 or more), and the decision with the most weight
wins. A tie is decided by the average probability. The merged prediction is the share of votes, moved by ``NUDGE``
towards the average, which matters only in a tie. Values cannot be voted on and are averaged.

``ccc``: for values. The average of members that differ varies less than each of them, to the extent that they are
noise, and CCC penalises a spread that is too small and a mean that has moved. So each member i, over all frames given,
is brought from its own mean m_i and spread s_i to common ones, and the average is given the common spread again:

    a_i = mean over j of ccc(x_i, x_j), at least 0      agreement of a member with the others
    w_i = a_i / sum a                                   (equal weights if no members agree)
    z   = sum w_i (x_i - m_i) / s_i
    y   = sum w_i m_i + (sum w_i s_i) z / std(z), cut at the answer's bounds

The agreement, the weights and the common mean are the "CCC centring" of the AVEC 2016 gold standard, by which Zhang et
al. (arXiv:2107.01175; sucv/ABAW3, generate_result.py and base/utils.py) merge six folds. They do it video by video,
average the centred members without weights and leave the spread of the average as it is. Here mean and spread are those
of all frames given, because the score pools them too (the spread of one still video would be the spread of its noise);
the weights count in the average too; and the spread is common. No label is used, so test predictions are merged in the
same way. The method helps if members are spread as widely as the labels, as a CCC loss makes them, and can do harm if
they are spread wider (tests/harness/evaluation/test_merging.py measures both). Probabilities are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from zoo.api import Answer, TrackSpec, VideoAnswers
from zoo.errors import UserError
from zoo.metrics.scores import ccc

Array = NDArray[np.float64]
Weights = Sequence[float] | Mapping[str, Sequence[float]]
"""One weight per member; or kind of answer, or answer -> one weight per member."""

METHODS = ("mean", "vote", "ccc")
NUDGE = 1e-6
ROUNDING = 1e-9
"""A spread of standardised members below this is that of rounding."""


def merge(
    members: Sequence[Sequence[VideoAnswers]],
    track: TrackSpec,
    *,
    method: str = "mean",
    weights: Weights | None = None,
    names: Sequence[str] = (),
) -> list[VideoAnswers]:
    """Return the merged predictions, with the videos in the first member's order.

    A slot is present if it is present for any member. Extra predictions are kept if all members have them; those of
    slots, and of encoders by themselves, are averaged.

    Args:
        members: the predictions of each member for the same videos.
        track: the track that is predicted.
        method: one of ``METHODS``.
        weights: 0 or more, in the order of ``members``; they need not add to 1. With ``ccc`` they replace the
            agreement.
        names: of the members, for errors.

    Raises:
        UserError: members differ in videos, frames or labels, or a prediction is not a finite number.
    """
    if method not in METHODS:
        raise UserError("merge-method-unknown", method=method, names=", ".join(METHODS))
    names = [names[i] if i < len(names) else f"member {i + 1}" for i in range(len(members))]
    aligned = _aligned(members, track, names)
    share = {answer.name: shares(weights, answer, len(members)) for answer in track.answers}
    given = weights is not None
    merged = {
        a.name: _centred(aligned, a, share[a.name] if given else None)
        if method == "ccc" and a.kind == "value"
        else [_joined([v.values[a.name] for v in those], a, share[a.name], method) for those in aligned]
        for a in track.answers
    }
    return [_together(those, {n: merged[n][i] for n in merged}, track, share) for i, those in enumerate(aligned)]


def mean(members: Sequence[VideoAnswers], track: TrackSpec, weights: Sequence[float]) -> VideoAnswers:
    """Return the weighted mean of several predictions of one video in float32, as a network gives them."""
    (merged,) = merge([[member] for member in members], track, weights=weights)
    values = {name: array.astype(np.float32) for name, array in merged.values.items()}
    extra = {k: v.astype(np.float32) if k.startswith(("slot.", "own.")) else v for k, v in merged.extra.items()}
    return replace(merged, values=values, extra=extra)


def shares(weights: Weights | None, answer: Answer, n: int) -> Array:
    """Return the weights (n,) for an answer, adding to 1: its own, else those of its kind.

    Raises UserError if there is not one weight for each member, or if one is negative or all are 0.
    """
    own = weights.get(answer.name, weights.get(answer.kind)) if isinstance(weights, Mapping) else weights
    given = np.ones(n) if own is None else np.asarray(own, np.float64)
    if given.shape != (n,) or not np.isfinite(given).all() or (given < 0).any() or not given.any():
        shown = ", ".join(f"{w:g}" for w in given.ravel())
        raise UserError("merge-weights", shown=shown, n=n)
    return given / given.sum()


def agreement(columns: Sequence[Array]) -> Array:
    """Return (members,) mean CCC of each (n,) member with every other, at least 0; 1 for a single member."""
    n = len(columns)
    if n < 2:
        return np.ones(n)
    pairs = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            pairs[i, j] = pairs[j, i] = ccc(columns[i], columns[j])
    return np.maximum(pairs.sum(1) / (n - 1), 0)


def centred(columns: Sequence[Array], weights: Array | None = None) -> Array:
    """Return (n,) the members' values merged by ``ccc`` of the module's docstring, not yet cut at the bounds.

    ``weights`` are used instead of w_i.
    """
    if weights is None:
        agreed = agreement(columns)
        weights = agreed / agreed.sum() if agreed.any() else np.full(len(columns), 1 / len(columns))
    wide = [np.asarray(x, np.float64) for x in columns]
    means = np.array([x.mean() for x in wide])
    # Rounding gives equal values a spread of about 1e-17, and divided by it they would not be constant 0.
    spreads = np.array([x.std() if np.ptp(x) else 0.0 for x in wide])
    z = np.zeros(len(wide[0]))
    for x, w, mean, spread in zip(wide, weights, means, spreads, strict=True):
        z += w * (x - mean) / spread if spread > 0 else 0.0
    apart = z.std()
    out: Array = weights @ means + (weights @ spreads * z / apart if apart > ROUNDING else np.zeros_like(z))
    return out.astype(columns[0].dtype, copy=False)


def _centred(aligned: Sequence[Sequence[VideoAnswers]], answer: Answer, weights: Array | None) -> list[Array]:
    columns = [np.concatenate([member.values[answer.name] for member in one]) for one in zip(*aligned, strict=True)]
    if not columns:
        return []
    out = np.clip(centred(columns, weights), answer.low, answer.high)
    return np.split(out, np.cumsum([len(those[0].times) for those in aligned])[:-1])


def _joined(parts: Sequence[Array], answer: Answer, weights: Array, method: str) -> Array:
    """Merge the members' (n,) or (n, classes) predictions for one video."""
    mean = _mean(parts, weights)
    if method != "vote" or answer.kind == "value":
        return mean
    if answer.kind == "class":
        votes = _mean([np.eye(mean.shape[1])[part.argmax(1)] for part in parts], weights)
    else:
        votes = _mean([(part >= 0.5).astype(np.float64) for part in parts], weights)
    votes = np.round(votes, 9)  # a tie must be exact, although 0.1 + 0.2 != 0.3
    return votes + NUDGE * (mean - votes)


def _mean(parts: Sequence[Array], weights: Array) -> Array:
    """Return the weighted average.

    Values that all members share, and the values of a single member, are unchanged to the last digit.
    """
    # Start from one member and add weighted differences: a difference of 0 adds nothing, whereas a sum of weighted
    # values would round.
    heaviest = int(np.argmax(weights))
    first = np.asarray(parts[heaviest], np.float64)
    out = first.copy()
    for i, (part, weight) in enumerate(zip(parts, weights, strict=True)):
        if i != heaviest and weight > 0:
            out += weight * (part - first)
    return out


def _together(
    those: Sequence[VideoAnswers], values: Mapping[str, Array], track: TrackSpec, share: Mapping[str, Array]
) -> VideoAnswers:
    """Merge one video of all members."""
    first = those[0]
    slots = dict.fromkeys(slot for member in those for slot in member.present)
    seen = {s: np.logical_or.reduce([m.present[s] for m in those if s in m.present]) for s in slots}
    extra = {name: array for name, array in first.extra.items() if all(name in member.extra for member in those)}
    for answer in track.answers:
        for name in [n for n in extra if n.startswith(("slot.", "own.")) and n.endswith(f".{answer.name}")]:
            extra[name] = _mean([member.extra[name] for member in those], share[answer.name])
    return VideoAnswers(first.video, first.group, values, first.targets, seen, first.times, extra)


def _aligned(
    members: Sequence[Sequence[VideoAnswers]], track: TrackSpec, names: Sequence[str]
) -> list[list[VideoAnswers]]:
    """Return the predictions of every member video by video; raise UserError for the first difference."""
    if not members:
        raise UserError("merge-no-members")
    by_name = [{video.video: video for video in member} for member in members]
    for name, videos in zip(names, by_name, strict=True):
        for have, want, who in ((videos, by_name[0], name), (by_name[0], videos, names[0])):
            if missing := next((video for video in want if video not in have), None):
                raise UserError("merge-video-missing", who=who, missing=missing, other=_other(who, name, names))
    aligned = [[videos[video.video] for videos in by_name] for video in members[0]]
    for those in aligned:
        for name, member in zip(names, those, strict=True):
            _same(those[0], member, track, names[0], name)
    return aligned


def _other(who: str, name: str, names: Sequence[str]) -> str:
    return names[0] if who == name else name


def _same(first: VideoAnswers, other: VideoAnswers, track: TrackSpec, name: str, other_name: str) -> None:
    """Raise UserError if two members' predictions for a video cannot be merged."""
    where = f"video {first.video!r}"
    if len(first.times) != len(other.times):
        raise UserError(
            "merge-length",
            where=where,
            count=len(other.times),
            other_name=other_name,
            count2=len(first.times),
            name=name,
        )
    for answer in track.answers:
        values, a, b = other.values[answer.name], first.targets[answer.name], other.targets[answer.name]
        bad = ~np.isfinite(values) if values.ndim == 1 else ~np.isfinite(values).all(1)
        if bad.any():
            raise UserError(
                "merge-not-finite", where=where, frame=int(bad.argmax()) + 1, other_name=other_name, name=answer.name
            )
        if not np.array_equal(a, b, equal_nan=True):
            raise UserError("merge-labels-differ", where=where, name=answer.name, other_name=other_name, name2=name)
