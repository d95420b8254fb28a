"""Measuring: what is counted, in which order, and the memory of a child."""

from __future__ import annotations

import time

import numpy as np
import pytest

from harness.benchmarks.measure import Rates, describe, in_child, interleaved, machine
from harness.runtime.memory import peak_mb


def test_candidates_are_run_in_turn_and_warm_rounds_are_not_counted() -> None:
    order: list[str] = []

    def work(name: str, seconds: float) -> tuple[float, float]:
        order.append(name)
        return 10.0, seconds + (100 if len(order) <= 2 else 0)  # the first round is slow

    got = interleaved({"a": lambda: work("a", 1), "b": lambda: work("b", 2)}, rounds=3)
    assert "".join(order) == "abbaabba"
    assert got["a"].rounds == (10, 10, 10)
    assert got["b"].rounds == (5, 5, 5)


def test_seconds_are_taken_where_the_work_does_not_say() -> None:
    def work() -> float:
        time.sleep(0.02)
        return 2.0

    (rate,) = interleaved({"a": work}, rounds=1, warmup=0)["a"].rounds
    assert 0 < rate <= 2 / 0.02


def test_ratios_are_taken_within_rounds() -> None:
    fast, slow = Rates((100.0, 10.0, 40.0)), Rates((50.0, 5.0, 10.0))  # the machine was slow in round two
    ratio = fast.over(slow)
    assert ratio.rounds == (2, 2, 4)
    assert (ratio.median, ratio.low, ratio.high) == (2, 2, 4)
    assert fast.median == 40
    assert fast.half_range == pytest.approx(45 / 40)


def fill(megabytes: int) -> int:
    """Called in a child."""
    return int(np.ones(megabytes << 20, np.uint8).nbytes)


def fail(reason: str) -> None:
    raise ValueError(reason)


def test_the_memory_of_a_child_is_its_own() -> None:
    here = np.ones(600 << 20, np.uint8)  # the parent's memory must not count
    small, large = in_child(f"{__name__}:fill", 1), in_child(f"{__name__}:fill", 300)
    assert here.nbytes
    assert peak_mb() > 600
    assert large.result == 300 << 20
    assert 290 < large.peak_mb - small.peak_mb < 320
    assert small.peak_mb < 500


def test_a_child_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="no such luck"):
        in_child(f"{__name__}:fail", "no such luck")


def test_the_machine_is_told_in_a_line() -> None:
    known = machine()
    line = describe(known)
    assert f"{known['cores']} cores" in line
    assert known["versions"]["torch"] in line
    assert known["date"] in line
    assert "\n" not in line
