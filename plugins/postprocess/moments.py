"""Give predictions of a value the mean and spread of its labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.api import Answer, VideoAnswers
from zoo.errors import UserError

_FLAT = 1e-8  # a standard deviation below this one cannot be scaled


class Moments:
    """Post-processor that maps predictions of a value to the mean and standard deviation of its labels.

    y' = (y - mean(y)) std(labels) / std(y) + mean(labels), with one pair of numbers for each answer from all labelled
    frames that it is fitted on (CPRL's ``posthoc_calibrate.py``, ABAW 11). On these frames the CCC of y' is Pearson's
    correlation of y, and no other affine map has a greater CCC. Predictions of a trained network are nearer to the mean
    than labels are, which costs CCC. The labels of other videos have other moments, so a part of the way may be better.

    ``share``: the part of the way from y to y', in [0, 1]. ``scale``, ``shift``: the form of ``state``, y' = scale y +
    shift. Predictions without spread are not changed. Put `clip` after it.
    """

    def __init__(
        self,
        answers: tuple[Answer, ...],
        share: float = 1.0,
        scale: Mapping[str, float] | None = None,
        shift: Mapping[str, float] | None = None,
    ) -> None:
        if not 0 <= share <= 1:
            raise UserError(f"post-processor moments: share must be between 0 and 1, got {share}")
        names = [answer.name for answer in answers]
        self.share, self.chosen = share, scale is None
        self.scale = {name: float((scale or {}).get(name, 1.0)) for name in names}
        self.shift = {name: float((shift or {}).get(name, 0.0)) for name in names}

    def fit(self, videos: list[VideoAnswers], score: Callable[[Iterable[VideoAnswers]], float]) -> None:
        """Measure the moments of predictions and labels over all labelled frames."""
        if not self.chosen:
            return
        for name in self.scale:
            y = np.concatenate([np.asarray(video.values[name], np.float64) for video in videos] or [np.zeros(0)])
            target = np.concatenate([np.asarray(video.targets[name], np.float64) for video in videos] or [np.zeros(0)])
            labelled = ~np.isnan(target)
            y, target = y[labelled], target[labelled]
            if len(y) and y.std() > _FLAT and target.std() > _FLAT:
                scale = target.std() / y.std()
                self.scale[name] = float(1 + self.share * (scale - 1))
                self.shift[name] = float(self.share * (target.mean() - scale * y.mean()))

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        """Return the video with its values mapped."""
        values = dict(video.values)
        for name, scale in self.scale.items():
            given = np.asarray(values[name])
            values[name] = (given * scale + self.shift[name]).astype(given.dtype)
        return replace(video, values=values)

    def settled(self, video: VideoAnswers) -> int:
        """Return the number of frames: each frame is mapped alone."""
        return len(video.times)

    def state(self) -> dict[str, Any]:
        """Return scale and shift by answer; passed to the constructor, they make the same post-processor."""
        return {"scale": dict(self.scale), "shift": dict(self.shift)}
