"""Forecast how long training will take, and judge afterwards if it was long enough."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from harness.training.state import EpochRow

STEEP = 1 / 8
"""If this share of the loss's fall, or more, came in the last quarter of the learning, training was too short.

It is half the share of a straight line. A loss that approaches its limit as exp(-k x) has this share at k = 1.5, when
it has come 79 % of the way.
"""
WARM, TIMED = 2, 10  # steps before the clock starts, and steps that are timed


class Forecast:
    """An estimate of the time that a number of steps will take, without validation, from the first of them."""

    def __init__(self, steps: int) -> None:
        self.steps, self.done, self.started = steps, 0, 0.0

    def step(self) -> str:
        """Count a step; return the forecast once it can be made, else an empty string."""
        self.done += 1
        if self.done == WARM:
            self.started = time.perf_counter()
        if self.done != WARM + TIMED or self.steps <= 2 * self.done:
            return ""
        each = (time.perf_counter() - self.started) / TIMED
        return f"training will take about {spoken(each * (self.steps - self.done))}, without validation"


def spoken(seconds: float) -> str:
    """Return a duration as text, such as "1.5 h", "3.0 min" or "12 s"."""
    for size, name in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{max(1, round(seconds))} s"


def late_fall(history: Sequence[EpochRow]) -> float | None:
    """Return the share of the training loss's fall that came in the last quarter of the learning.

    None if there are fewer than eight epochs or the loss did not fall.

    Learning is measured as steps times learning rate: by epochs, any loss would look flat at the end of a schedule that
    ends at 0. The loss of an epoch is a mean over its steps, so it is placed in the middle of the epoch. Before the
    first and after the last middle the loss is held constant.
    """
    if len(history) < 8:
        return None
    losses = np.array([row["loss"] for row in history])
    steps = np.diff([0, *(row["step"] for row in history)])
    # A row holds the learning rate of the step after it, so the mean of an epoch is about the mean of its two ends.
    ends = [history[0]["lr"], *(row["lr"] for row in history)]
    learning = steps * np.array([(a + b) / 2 for a, b in pairwise(ends)])
    after = np.cumsum(learning)
    middle = (after - learning / 2) / after[-1]
    fall = losses[0] - losses[-1]
    if not np.isfinite(losses).all() or fall <= 0.01 * abs(losses[0]):
        return None
    return float((np.interp(0.75, middle, losses) - losses[-1]) / fall)
