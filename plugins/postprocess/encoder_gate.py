"""Use a frozen encoder's own class prediction at frames at which it is confident."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.api import Answer, VideoAnswers
from zoo.errors import UserError
from zoo.layers.validation import at_least, between

WIDTHS = (0.0, 0.8, 1.6, 3.2, 6.4)
"""Widths in seconds tried by ``fit``. HSEmotion's is 101 frames, 3.4 s at 30 frames per second."""
THRESHOLDS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3)
"""Thresholds tried by ``fit``, besides 1, with which no prediction is replaced. HSEmotion's are 0.7 to 0.9."""

_SLACK = 1e-6  # seconds, for rounded times


class EncoderGate:
    """Post-processor for class answers that uses a frozen encoder's own prediction at frames at which it is confident.

    HSEmotion's filter (sb-ai-lab/EmotiEffLib, notebooks of ABAW 8): the encoder's network was trained to predict
    classes on another data set, and its own classifier is kept. ``extra["own.SLOT.ANSWER"]`` (n, classes) are its
    probabilities, over all classes of the encoder. They are averaged over a window of ``width`` seconds around each
    frame, over the frames at which the slot is present. If the greatest probability then exceeds ``threshold``, they
    replace the model's prediction, scaled to sum 1. A class that the track lacks cannot be predicted, but lowers the
    confidence in the others; a class that the encoder lacks is never predicted by it. Frames without the slot are left
    as they are. In contrast, `confidence_gate` uses a slot's prediction that was trained in the run.

    Put it after ``smooth`` and ``class_bias``, because the model's prediction that it competes with is the final one.

    ``slot``: name of the slot; None: the first with predictions in the first video. ``threshold`` in [0, 1] and
    ``width`` in seconds: None: ``fit`` chooses those with the best score; of equals the highest threshold, then the
    narrowest window. Before ``fit`` the threshold is 1 and nothing is replaced.
    """

    def __init__(
        self,
        answers: tuple[Answer, ...],
        slot: str | None = None,
        threshold: float | None = None,
        width: float | None = None,
    ) -> None:
        self.names = [answer.name for answer in answers]
        self.slot = slot
        self.thresholds = THRESHOLDS if threshold is None else (threshold,)
        self.widths = WIDTHS if width is None else (width,)
        self.threshold = 1.0 if threshold is None else threshold
        self.width = 0.0 if width is None else width
        at_least("post-processor encoder_gate", 0, width=self.width)
        between("post-processor encoder_gate", 0, 1, threshold=self.threshold)

    def fit(self, videos: list[VideoAnswers], score: Callable[[Iterable[VideoAnswers]], float]) -> None:
        """Determine the slot if none was given, and choose threshold and width with the best score."""
        if videos and self.slot is None:
            self.slot = self._slot(videos[0])
        if len(self.thresholds) * len(self.widths) == 1:
            return
        found: dict[tuple[float, float], float] = {}
        if len(self.thresholds) > 1:
            found[1.0, self.widths[0]] = score(videos)  # nothing is replaced
        for width in self.widths:
            own = [self._smoothed(video, width) for video in videos]  # the slow part, once for all thresholds
            for threshold in self.thresholds:
                pairs = zip(videos, own, strict=True)
                found[threshold, width] = score(self._gated(video, p, threshold) for video, p in pairs)
        scored = {one: float(np.nan_to_num(value, nan=-np.inf)) for one, value in found.items()}
        self.threshold, self.width = max(scored, key=lambda one: (scored[one], one[0], -one[1]))

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        """Return the video with the encoder's own prediction at frames at which it is confident."""
        return self._gated(video, self._smoothed(video, self.width), self.threshold)

    def settled(self, video: VideoAnswers) -> int:
        """Return the number of frames whose windows end before the last frame."""
        reach = self.width / 2 + 2 * _SLACK if self.width else 0.0
        if not reach:
            return len(video.times)
        return int(np.searchsorted(video.times + reach, video.times[-1])) if len(video.times) else 0

    def state(self) -> dict[str, Any]:
        """Return slot, threshold and width; passed to the constructor, they make the same gate."""
        return {"slot": self.slot, "threshold": self.threshold, "width": self.width}

    def _smoothed(self, video: VideoAnswers, width: float) -> dict[str, np.ndarray]:
        """Return answer -> the encoder's probabilities (n, classes), 0 where the slot is absent."""
        slot = self._slot(video)
        seen = np.asarray(video.present.get(slot, np.ones(len(video.times), bool)))
        every = {name: np.asarray(video.extra[f"own.{slot}.{name}"], np.float64) for name in self.names}
        return {name: seen_mean(own, seen, video.times, width) * seen[:, None] for name, own in every.items()}

    def _gated(self, video: VideoAnswers, own: dict[str, np.ndarray], threshold: float) -> VideoAnswers:
        values = dict(video.values)
        for name, p in own.items():
            sure = p.max(-1) > threshold
            given = np.asarray(values[name])
            values[name] = given.copy()
            values[name][sure] = p[sure] / p[sure].sum(-1, keepdims=True)
        return replace(video, values=values)

    def _slot(self, video: VideoAnswers) -> str:
        """Return the slot whose predictions are used. Raise UserError if the video has none of it."""
        ends = [f".{name}" for name in self.names]
        keys = [key for key in video.extra if key.startswith("own.") and key.endswith(ends[0])]
        slots = [key.removeprefix("own.").removesuffix(ends[0]) for key in keys]
        have = [slot for slot in slots if all(f"own.{slot}{end}" in video.extra for end in ends)]
        slot = self.slot if self.slot is not None else next(iter(have), None)
        if slot is None or slot not in have:
            wanted = f"of slot {slot!r}" if slot else "of an encoder by itself"
            raise UserError(
                f"post-processor encoder_gate: {video.video} has no class scores {wanted}, only of "
                f"{', '.join(have) or 'none'}; make the run with --set encoder.SLOT.scores=true and this post-processor"
            )
        return slot


def seen_mean(values: np.ndarray, seen: np.ndarray, times: np.ndarray, width: float) -> np.ndarray:
    """Return the mean of values (n, C) over the seen frames at most ``width`` / 2 seconds away; 0 if there are none.

    ``seen``: (n,) bool; ``times``: (n,) increasing, in seconds. Windows are cut at the ends of the video.
    """
    if width <= 0:
        return values
    reach = width / 2 + _SLACK
    first, last = np.searchsorted(times, times - reach), np.searchsorted(times, times + reach, side="right")
    # Sums up to each frame: a window's sum is a difference of two, and frames that follow change none of them.
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values * seen[:, None], axis=0)])
    counts = np.concatenate([[0], np.cumsum(seen)])
    count = (counts[last] - counts[first])[:, None]
    out: np.ndarray = np.where(count > 0, (sums[last] - sums[first]) / np.maximum(count, 1), 0.0).clip(0)
    return out
