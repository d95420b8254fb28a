"""What is said of a training's length: how long it takes, and whether the loss was still falling."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.training import forecast
from harness.training.forecast import STEEP, Forecast, late_fall, spoken
from harness.training.state import EpochRow


def course(losses: list[float], rates: list[float] | None = None, steps: int = 10) -> list[EpochRow]:
    """A history: ``rates`` after each epoch; constant where not given."""
    rates = rates or [1e-3] * len(losses)
    return [
        {"epoch": i + 1, "step": steps * (i + 1), "loss": loss, "val": None, "lr": lr}
        for i, (loss, lr) in enumerate(zip(losses, rates, strict=True))
    ]


@given(st.integers(8, 60), st.floats(0.1, 10), st.floats(0.1, 5))
def test_a_line_has_its_share_of_the_distance_that_its_middles_span(epochs: int, start: float, fall: float) -> None:
    """Middles run from 1/2n to 1 - 1/2n, so of a straight line (1/4 - 1/2n) / (1 - 1/n) lies beyond 3/4."""
    losses = [start + fall * (1 - (i + 0.5) / epochs) for i in range(epochs)]
    found = late_fall(course(losses))
    if fall * (1 - 1 / epochs) <= 0.01 * losses[0] * (1 + 1e-9):
        return
    assert found == pytest.approx((0.25 - 0.5 / epochs) / (1 - 1 / epochs), rel=1e-6)


@pytest.mark.parametrize(("k", "steep"), [(0.5, True), (1.0, True), (2.0, False), (6.0, False)])
def test_an_exponential_is_steep_where_it_has_not_come_far(k: float, steep: bool) -> None:
    losses = [math.exp(-k * (i + 0.5) / 400) for i in range(400)]
    found = late_fall(course(losses))
    assert found == pytest.approx((math.exp(-0.75 * k) - math.exp(-k)) / (1 - math.exp(-k)), rel=0.02)
    assert (found >= STEEP) is steep


def test_a_schedule_that_ends_at_zero_does_not_hide_a_short_training() -> None:
    """The same straight line by learning, under half a cosine: by the epoch its end is flat."""
    n = 200
    rates = [0.5 * (1 + math.cos(math.pi * i / n)) for i in range(n + 1)]
    learning = np.array([(a + b) / 2 for a, b in zip([rates[1], *rates[1:-1]], rates[1:], strict=True)])
    middle = (np.cumsum(learning) - learning / 2) / learning.sum()
    losses = (1 - middle).tolist()
    assert losses[-n // 10] - losses[-1] < 0.02  # a tenth of the epochs, and hardly any fall
    assert late_fall(course(losses, rates[1:])) == pytest.approx(0.25, rel=0.02)


@pytest.mark.parametrize("losses", [[1.0] * 7, [1.0] * 20, [1.0] * 19 + [2.0], [1.0] * 19 + [float("nan")]])
def test_nothing_is_said_of_few_epochs_or_a_loss_that_did_not_fall(losses: list[float]) -> None:
    assert late_fall(course(losses)) is None


def test_the_forecast_is_made_once_of_steps_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 105.0])  # at the second step and ten steps later: half a second each
    monkeypatch.setattr(forecast.time, "perf_counter", lambda: next(clock))
    one = Forecast(132)
    said = [one.step() for _ in range(132)]
    assert [text for text in said if text] == ["training will take about 1.0 min, without validation"]
    assert said[11]
    assert not any(Forecast(20).step() for _ in range(20))  # a short one has ended before it is of use


def test_lengths_of_time_as_people_say_them() -> None:
    assert [spoken(s) for s in (0.2, 59, 90, 5400)] == ["1 s", "59 s", "1.5 min", "1.5 h"]
