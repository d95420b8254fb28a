"""One slot's own answer, where it is sure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.api import Answer, VideoAnswers
from zoo.errors import UserError

THRESHOLDS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3)
"""Tried by ``fit``, the shyest first; 1: the second answer never wins. HSEmotion's is 0.7."""


class ConfidenceGate:
    """At frames where the greatest probability of a slot's own answer exceeds a threshold, it replaces the answer.

    HSEmotion (sb-ai-lab/EmotiEffLib, ABAW notebooks) trusts its frozen face model so, which was trained on another
    data set; here the second answer is that of one slot, ``extra["slot.SLOT.ANSWER"]`` (n, classes) of VideoAnswers,
    which the harness fills where the model makes such answers. Put it before ``smooth``. Only frames at which the slot
    is present are replaced: elsewhere its answer is a guess without input. For answers that are classes.

    ``slot``: whose answer; None: the first of those in the first video. ``threshold`` in [0, 1]; None: ``fit`` chooses
    by the score, of equals the highest; not fitted it is 1 and nothing is replaced.
    """

    def __init__(self, answers: tuple[Answer, ...], slot: str | None = None, threshold: float | None = None) -> None:
        self.names = [answer.name for answer in answers]
        self.slot = slot
        self.chosen = threshold is None
        self.threshold = 1.0 if threshold is None else threshold
        if not 0 <= self.threshold <= 1:
            raise UserError(f"post-processor confidence_gate: threshold is {threshold}; give 0 to 1")

    def fit(self, videos: list[VideoAnswers], score: Callable[[Iterable[VideoAnswers]], float]) -> None:
        """Settle the slot, and choose the threshold by the score."""
        if videos and self.slot is None:
            self.slot = self._slot(videos[0])
        if not self.chosen:
            return
        scores = []
        for threshold in THRESHOLDS:
            self.threshold = threshold
            scores.append(score(self.apply(video) for video in videos))
        self.threshold = THRESHOLDS[int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))]

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        """The video with the slot's answer where it is sure."""
        slot = self._slot(video)
        values = dict(video.values)
        for name in self.names:
            second = np.asarray(video.extra[f"slot.{slot}.{name}"])
            sure = second.max(-1) > self.threshold
            if slot in video.present:
                sure &= video.present[slot]
            values[name] = np.where(sure[:, None], second, values[name])
        return replace(video, values=values)

    def state(self) -> dict[str, Any]:
        """Slot and threshold; given to the constructor they make the same gate."""
        return {"slot": self.slot, "threshold": self.threshold}

    def _slot(self, video: VideoAnswers) -> str:
        """The slot whose answers are taken; UserError where the video has none of it."""
        have = slots_with_answers(video, self.names)
        slot = self.slot if self.slot is not None else next(iter(have), None)
        if slot is None or slot not in have:
            wanted = f"of slot {slot!r}" if slot else "of single slots"
            raise UserError(
                f"post-processor confidence_gate: {video.video} has no answers {wanted}, only of "
                f"{', '.join(have) or 'none'}; the fusion must give them: --fusion late, or "
                f"--set fusion.per_slot=0.3 with any other, and --set post.confidence_gate.slot=SLOT"
            )
        return slot


def slots_with_answers(video: VideoAnswers, names: Sequence[str]) -> list[str]:
    """The slots whose own answers to all these the video has, in order."""
    ends = [f".{name}" for name in names]
    keys = [key for key in video.extra if key.startswith("slot.") and key.endswith(ends[0])]
    slots = [key.removeprefix("slot.").removesuffix(ends[0]) for key in keys]
    return [slot for slot in slots if all(f"slot.{slot}{end}" in video.extra for end in ends)]
