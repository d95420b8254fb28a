"""Answers brought into the range that a submission admits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.api import Answer, VideoAnswers


class Clip:
    """Values into [low, high]; probabilities of 1 into [0, 1]; class probabilities without negatives, sum 1 (uniform
    where nothing is left)."""

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        self.answers = answers

    def fit(self, videos: list[VideoAnswers], score: Callable[[Iterable[VideoAnswers]], float]) -> None:
        """Nothing is fitted."""

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        """The video with its answers in range."""
        clipped = {answer.name: _clip(answer, np.asarray(video.values[answer.name])) for answer in self.answers}
        return replace(video, values={**video.values, **clipped})

    def state(self) -> dict[str, Any]:
        """Nothing was fitted."""
        return {}


def _clip(answer: Answer, values: np.ndarray) -> np.ndarray:
    if answer.kind == "value":
        return np.clip(values, answer.low, answer.high)
    if answer.kind == "binary":
        return np.clip(values, 0, 1)
    kept = np.clip(values, 0, None)
    total = kept.sum(-1, keepdims=True)
    return np.where(total > 0, kept / np.where(total > 0, total, 1), 1 / values.shape[-1])
