"""Use one slot's own prediction at frames at which it is confident."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.api import Answer, VideoAnswers
from zoo.errors import UserError

THRESHOLDS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3)
"""Thresholds tried by ``fit``, highest first; with 1 no prediction is replaced. HSEmotion's is 0.7."""


class ConfidenceGate:
    """Post-processor for class answers that uses one slot's own prediction at frames at which it is confident.

    The slot's prediction replaces the model's if its greatest probability exceeds a threshold. HSEmotion
    (sb-ai-lab/EmotiEffLib, ABAW notebooks) uses its frozen face model in this way, which was trained on another data
    set. Here the second prediction is that of one slot, ``extra["slot.SLOT.ANSWER"]`` (n, classes) of VideoAnswers. The
    harness fills it if the model predicts per slot. Only frames at which the slot is present are replaced; elsewhere
    its prediction has no input. Put this post-processor before ``smooth``.

    ``slot``: name of the slot; None: the first with predictions in the first video. ``threshold``: in [0, 1]; None:
    ``fit`` chooses the one with the best score, the highest of equals. Before ``fit`` it is 1 and nothing is replaced.
    """

    def __init__(self, answers: tuple[Answer, ...], slot: str | None = None, threshold: float | None = None) -> None:
        self.names = [answer.name for answer in answers]
        self.slot = slot
        self.chosen = threshold is None
        self.threshold = 1.0 if threshold is None else threshold
        if not 0 <= self.threshold <= 1:
            raise UserError(f"post-processor confidence_gate: threshold is {threshold}; give 0 to 1")

    def fit(self, videos: list[VideoAnswers], score: Callable[[Iterable[VideoAnswers]], float]) -> None:
        """Determine the slot if none was given, and choose the threshold with the best score."""
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
        """Return the video with the slot's prediction at frames at which it is confident."""
        slot = self._slot(video)
        values = dict(video.values)
        for name in self.names:
            second = np.asarray(video.extra[f"slot.{slot}.{name}"])
            sure = second.max(-1) > self.threshold
            if slot in video.present:
                sure &= video.present[slot]
            values[name] = np.where(sure[:, None], second, values[name])
        return replace(video, values=values)

    def settled(self, video: VideoAnswers) -> int:
        """Return the number of frames: each frame is replaced or kept alone."""
        return len(video.times)

    def state(self) -> dict[str, Any]:
        """Return slot and threshold; passed to the constructor, they make the same gate."""
        return {"slot": self.slot, "threshold": self.threshold}

    def _slot(self, video: VideoAnswers) -> str:
        """Return the slot whose predictions are used. Raise UserError if the video has none of it."""
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
    """Return the slots, in order, for which the video has predictions of all ``names``."""
    ends = [f".{name}" for name in names]
    keys = [key for key in video.extra if key.startswith("slot.") and key.endswith(ends[0])]
    slots = [key.removeprefix("slot.").removesuffix(ends[0]) for key in keys]
    return [slot for slot in slots if all(f"slot.{slot}{end}" in video.extra for end in ends)]
