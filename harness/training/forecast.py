"""What is said of a training before it ends and after: how long it will take, and whether it was long enough."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from harness.training.state import EpochRow

STEEP = 1 / 8
"""A share of the loss's fall in the last quarter of the learning from which on a training was too short: half of what
a straight line would have. A loss that nears its end by exp(-k x) has so much at k = 1.5, 79 % of the way."""
WARM, TIMED = 2, 10  # steps before the clock is started, and steps that are timed


class Forecast:
    """The time that a number of steps will take, by the first of them; validation is not counted."""

    def __init__(self, steps: int) -> None:
        self.steps, self.done, self.started = steps, 0, 0.0

    def step(self) -> str:
        """Count a step; the forecast once it can be made, else nothing."""
        self.done += 1
        if self.done == WARM:
            self.started = time.perf_counter()
        if self.done != WARM + TIMED or self.steps <= 2 * self.done:
            return ""
        each = (time.perf_counter() - self.started) / TIMED
        return f"training will take about {spoken(each * (self.steps - self.done))}, without validation"


def spoken(seconds: float) -> str:
    """Return a length of time as a person says it."""
    for size, name in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{max(1, round(seconds))} s"


def late_fall(history: Sequence[EpochRow]) -> float | None:
    """Return the share of the training loss's fall that came in the last quarter of the learning; None where there are
    fewer than eight epochs or the loss did not fall.

    Learning is measured by steps times learning rate: under a schedule that ends at 0 any loss is flat at the end by
    the epoch. An epoch's loss, a mean over its steps, stands in the middle of its stretch; beyond the first and the
    last middle the loss is held.
    """
    if len(history) < 8:
        return None
    losses = np.array([row["loss"] for row in history])
    steps = np.diff([0, *(row["step"] for row in history)])
    # A row has the rate of the step after it: an epoch's mean rate is about that of its two ends.
    ends = [history[0]["lr"], *(row["lr"] for row in history)]
    learning = steps * np.array([(a + b) / 2 for a, b in pairwise(ends)])
    after = np.cumsum(learning)
    middle = (after - learning / 2) / after[-1]
    fall = losses[0] - losses[-1]
    if not np.isfinite(losses).all() or fall <= 0.01 * abs(losses[0]):
        return None
    return float((np.interp(0.75, middle, losses) - losses[-1]) / fall)
