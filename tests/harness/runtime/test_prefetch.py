"""Threads that read ahead: order, room, turns, errors, and an end in every case."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial

import pytest

from harness.runtime.prefetch import prefetch

NOTE: ContextVar[list[int] | None] = ContextVar("NOTE", default=None)


def counted(source: int, n: int) -> Iterator[tuple[int, int]]:
    for i in range(n):
        yield source, i


@pytest.mark.parametrize("in_turn", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
def test_everything_comes_once_and_each_source_in_its_order(threads: int, in_turn: bool) -> None:
    lengths = [5, 0, 17, 1, 40, 3]
    sources = [partial(counted, k, n) for k, n in enumerate(lengths)]
    got = list(prefetch(sources, threads=threads, depth=2, in_turn=in_turn))
    assert len(got) == sum(lengths)
    for k, n in enumerate(lengths):
        assert [i for source, i in got if source == k] == list(range(n))


@pytest.mark.parametrize("in_turn", [False, True])
def test_sources_are_read_at_the_same_time(in_turn: bool) -> None:
    """Each of two sources waits for the other; one after the other they would wait for ever."""
    both = threading.Barrier(2, timeout=20)

    def meeting() -> Iterator[int]:
        both.wait()
        yield 1

    assert list(prefetch([meeting, meeting], threads=2, depth=1, in_turn=in_turn)) == [1, 1]


def test_no_more_lies_ready_than_was_said() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    items = prefetch([source], threads=1, depth=3)
    next(items)
    time.sleep(0.5)
    assert len(made) <= 1 + 3 + 1, "one used, three ready, one that waits for room"
    items.close()  # type: ignore[attr-defined]


def test_in_turn_nothing_is_begun_while_something_is_used() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for i in range(100):
            time.sleep(0.005)
            made.append(i)
            yield i

    items = prefetch([source, source], threads=2, depth=10, in_turn=True)
    for turn in (1, 2, 3):
        next(items)
        time.sleep(0.3)
        assert len(made) == 20 * turn, "nothing beyond the turn"
        assert [next(items) for _ in range(19)]
    items.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("in_turn", [False, True])
def test_an_error_is_raised_where_the_items_are_used(in_turn: bool) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("no room")

    before = threading.active_count()
    with pytest.raises(OSError, match="no room"):
        list(prefetch([broken, partial(counted, 0, 10**9)], threads=2, depth=2, in_turn=in_turn))  # type: ignore[list-item]
    assert threading.active_count() == before


@pytest.mark.parametrize("in_turn", [False, True])
def test_whoever_stops_early_leaves_no_thread(in_turn: bool) -> None:
    before = threading.active_count()
    items = prefetch([partial(counted, k, 10**9) for k in range(5)], threads=3, depth=2, in_turn=in_turn)
    assert [next(items)[1], next(items)[1]]
    items.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_the_threads_have_the_callers_context() -> None:
    """What is noted for a record (harness.runtime.memory.halvings) reaches it from a thread too."""
    noted: list[int] = []
    token = NOTE.set(noted)

    def source() -> Iterator[int]:
        found = NOTE.get()
        assert found is not None
        found.append(7)
        yield 1

    try:
        assert list(prefetch([source, source], threads=2, depth=1)) == [1, 1]
    finally:
        NOTE.reset(token)
    assert noted == [7, 7]
