"""Clip predictions to the range that a submission allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.api import Answer, VideoAnswers


class Clip:
    """Post-processor that clips predictions.

    Values are clipped to [low, high] and binary probabilities to [0, 1]. Class probabilities are clipped at 0 and
    normalised to sum 1; they are uniform if nothing is left.
    """

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        self.answers = answers

    def fit(self, videos: list[VideoAnswers], score: Callable[[Iterable[VideoAnswers]], float]) -> None:
        """Do nothing: this post-processor has no parameters."""

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        """Return the video with its predictions clipped."""
        clipped = {answer.name: _clip(answer, np.asarray(video.values[answer.name])) for answer in self.answers}
        return replace(video, values={**video.values, **clipped})

    def settled(self, video: VideoAnswers) -> int:
        """Return the number of frames: each frame is clipped alone."""
        return len(video.times)

    def state(self) -> dict[str, Any]:
        """Return an empty state: nothing is fitted."""
        return {}


def _clip(answer: Answer, values: np.ndarray) -> np.ndarray:
    if answer.kind == "value":
        return np.clip(values, answer.low, answer.high)
    if answer.kind == "binary":
        return np.clip(values, 0, 1)
    kept = np.clip(values, 0, None)
    total = kept.sum(-1, keepdims=True)
    return np.where(total > 0, kept / np.where(total > 0, total, 1), 1 / values.shape[-1])
