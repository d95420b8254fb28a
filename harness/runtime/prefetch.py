"""Prefetch items from slow sources in threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from typing import Generic, TypeVar

Item = TypeVar("Item")
Source = Callable[[], Iterator[Item]]
_WAKE = 0.1  # seconds between checks for the end


def prefetch(sources: Iterable[Source[Item]], *, threads: int, depth: int, in_turn: bool = False) -> Iterator[Item]:
    """Yield the items of some sources, prefetched by threads, each of which works through one source at a time.

    ``threads`` sources are read at the same time, and at most ``depth`` items per thread are kept ready. Items of one
    source keep their order. An exception in a thread is raised here.

    ``in_turn``: the threads rest while the ready items are used, and the consumer waits until all items are ready. This
    is for a consumer that computes on the same cores in threads that wait for the slowest of them, as networks on the
    CPU do. If a reader ran next to them, every second of one core that it takes would cost a second of all cores.
    Taking turns, the readers share all cores.
    """
    workers = _Workers(sources, threads, depth * threads, in_turn)
    try:
        yield from workers.alternate() if in_turn else workers.items()
    finally:
        workers.shutdown()


class _End:
    """A mark in the queue: a thread is done."""


class _Workers(Generic[Item]):
    def __init__(self, sources: Iterable[Source[Item]], threads: int, most: int, in_turn: bool) -> None:
        self.sources, self.most, self.in_turn = iter(sources), most, in_turn
        self.next_source, self.over = threading.Lock(), threading.Event()
        self.tickets = threading.Semaphore(0)  # with in_turn, one is needed to begin an item
        self.ready: queue.Queue[Item | _End | BaseException] = queue.Queue(most)
        self.threads = [
            threading.Thread(target=copy_context().run, args=[self._work], daemon=True) for _ in range(threads)
        ]
        self.working = threads
        for thread in self.threads:
            thread.start()

    # --- in the threads ---

    def _work(self) -> None:
        try:
            while (source := self._next()) is not None:
                items = source()
                while self._may_go_on():
                    try:
                        item = next(items)
                    except StopIteration:
                        self.tickets.release()  # give back the unused ticket
                        break
                    self._put(item)
            self._put(_End())
        except BaseException as error:  # passed on and raised in the consumer's thread
            self._put(error)

    def _next(self) -> Source[Item] | None:
        with self.next_source:
            return None if self.over.is_set() else next(self.sources, None)

    def _may_go_on(self) -> bool:
        if self.in_turn:
            self.tickets.acquire()
        return not self.over.is_set()

    def _put(self, item: Item | _End | BaseException) -> None:
        while not self.over.is_set():
            try:
                self.ready.put(item, timeout=_WAKE)
                return
            except queue.Full:
                continue

    # --- in the consumer's thread ---

    def items(self) -> Iterator[Item]:
        while self.working:
            yield from self._one()

    def alternate(self) -> Iterator[Item]:
        while self.working:
            self.tickets.release(self.most)
            got: list[Item] = []
            while self.working and len(got) < self.most:
                got += self._one()
            yield from got

    def _one(self) -> list[Item]:
        item = self.ready.get()
        if isinstance(item, BaseException):
            raise item
        if isinstance(item, _End):
            self.working -= 1
            return []
        return [item]

    def shutdown(self) -> None:
        self.over.set()
        self.tickets.release(len(self.threads))
        for thread in self.threads:
            thread.join()
