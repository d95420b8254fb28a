"""Add a fitted bias to the log-probability of each class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.api import Answer, VideoAnswers

TAUS = tuple(round(0.1 * k, 1) for k in range(31))
"""Temperatures tried for ``form=prior``, those of Menon et al. and of CPRL."""

PASSES = 10
"""Most passes over the classes for ``form=classes``. Five are enough in practice: a pass without a gain is the last."""

_EQUAL = 1e-9  # gaps that differ by rounding alone
_TINY = 1e-12  # a probability of 0 has a logarithm too


class ClassBias:
    """Post-processor that adds a bias b to the log-probabilities of the classes: argmax(log p + b) is predicted.

    A model that was trained on few examples of a class predicts it too seldom for macro F1, which weighs all classes
    equally. ``fit`` chooses b by the macro F1 over all labelled frames; ``apply`` gives p exp(b), normalised.

    ``form``:

    - classes: one number for each class (HSEmotion of ABAW 11, Savchenko 2026). There a grid of 41 steps is tried for
      one class after the other. Here each step finds the best bias of a class exactly, among all that make a
      difference, and the middle of those that decide equally. The search begins both at 0 and at log(n_max / n_c), and
      takes the better end.
    - prior: b = -tau log(share of the class), one number in all (logit adjustment, Menon et al. 2021,
      arXiv:2007.07314). CPRL takes the shares from training labels. Here they are those of the labelled frames that
      tau is chosen on, to which a share of one frame is added, so that a class without frames has a logarithm too.

    ``bias``: the form of ``state``; None: fitted. Before ``fit`` b is 0.
    """

    def __init__(
        self,
        answers: tuple[Answer, ...],
        form: str = "classes",
        bias: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self.form, self.chosen = form, bias is None
        self.bias = {a.name: np.zeros(len(a.classes)) for a in answers}
        self.bias |= {name: np.asarray(values, np.float64) for name, values in (bias or {}).items()}

    def fit(self, videos: list[VideoAnswers], score: Callable[[Iterable[VideoAnswers]], float]) -> None:
        """Choose the biases of each answer with the greatest macro F1 over all labelled frames."""
        if not self.chosen:
            return
        for name, zero in self.bias.items():
            p = np.concatenate([np.asarray(v.values[name]) for v in videos] or [np.zeros((0, len(zero)))])
            target = np.concatenate([np.asarray(v.targets[name]) for v in videos] or [np.zeros(0)])
            labelled = ~np.isnan(target)
            if labelled.any():
                logits, classes = _log(p[labelled]), target[labelled].astype(np.int64)
                self.bias[name] = self._best(logits, classes)

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        """Return the video with the biases in its class probabilities."""
        values = dict(video.values)
        for name, bias in self.bias.items():
            given = np.asarray(values[name])
            if bias.any():
                p = given * np.exp(bias - bias.max())
                total = p.sum(-1, keepdims=True)
                values[name] = np.where(total > 0, p / np.where(total > 0, total, 1), given).astype(given.dtype)
        return replace(video, values=values)

    def settled(self, video: VideoAnswers) -> int:
        """Return the number of frames: each frame is shifted alone."""
        return len(video.times)

    def state(self) -> dict[str, Any]:
        """Return the biases by answer; passed to the constructor, they make the same post-processor."""
        return {"bias": {name: bias.tolist() for name, bias in self.bias.items()}}

    def _best(self, logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
        counts = np.bincount(classes, minlength=logits.shape[1])
        if self.form == "prior":
            prior = -np.log((counts + 1) / (counts + 1).sum())
            scores = [macro_f1(logits + tau * prior, classes) for tau in TAUS]
            return TAUS[int(np.argmax(scores))] * prior
        starts = (np.zeros(len(counts)), np.log(counts.max() / np.maximum(counts, 1)))
        ends = [climb(logits, classes, start) for start in starts]
        return max(ends, key=lambda bias: macro_f1(logits + bias, classes))  # of equals, that from 0


def climb(logits: np.ndarray, classes: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the biases (C,) that no change of a single one improves, reached from ``start``.

    Args:
        logits: (n, C) log-probabilities.
        classes: (n,) int, the labels.
        start: (C,).
    """
    bias = start.astype(np.float64)
    best = macro_f1(logits + bias, classes)
    for _ in range(PASSES):
        before = best
        for c in range(len(bias)):
            value, f1 = best_of_class(logits + bias, classes, c)
            if f1 > best + 1e-12:
                bias[c] += value
                best = f1
        if best == before:
            break
    return bias - bias.mean()  # a constant in all changes nothing


def best_of_class(logits: np.ndarray, classes: np.ndarray, c: int) -> tuple[float, float]:
    """Return the number whose addition to class c gives the greatest macro F1, and this F1.

    Raising class c takes frames over from the best of the other classes, one after the other in the order of the gap.
    Sums over this order give the F1 of every class after each frame, so all numbers are compared exactly.
    """
    n, width = logits.shape
    others = np.delete(np.arange(width), c)
    rival = others[np.argmax(logits[:, others], axis=1)]
    gap = logits[np.arange(n), rival] - logits[:, c]  # class c is predicted if the number is greater
    order = np.argsort(gap, kind="stable")
    gap, rival, truth = gap[order], rival[order], classes[order]
    real = np.bincount(classes, minlength=width)
    f1 = np.zeros(n + 1)  # after the first k frames are taken over, k = 0 ... n
    for k in range(width):
        moves = np.ones(n, np.int64) if k == c else -(rival == k).astype(np.int64)
        hits = np.where(truth == k, moves, 0)
        predicted = np.concatenate([[0], np.cumsum(moves)]) + (0 if k == c else (rival == k).sum())
        right = np.concatenate([[0], np.cumsum(hits)]) + (0 if k == c else ((rival == k) & (truth == k)).sum())
        f1 += 2 * right / np.maximum(predicted + real[k], 1)
    f1 /= width
    edges = np.concatenate([[gap[0] - 1], gap, [gap[-1] + 1]])
    possible = np.append(True, np.append(np.diff(gap) > _EQUAL, True))  # equal gaps are taken over together
    k = int(np.flatnonzero(possible)[np.argmax(f1[possible])])
    return float((edges[k] + edges[k + 1]) / 2), float(f1[k])


def macro_f1(logits: np.ndarray, classes: np.ndarray) -> float:
    """Return the mean F1 over all C classes of argmax(logits (n, C)) for labels (n,); 0 for a class without either."""
    width = logits.shape[1]
    predicted = logits.argmax(1)
    right = np.bincount(classes[predicted == classes], minlength=width)
    both = np.bincount(predicted, minlength=width) + np.bincount(classes, minlength=width)
    return float((2 * right / np.maximum(both, 1)).mean())


def _log(p: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(p.astype(np.float64), _TINY))
