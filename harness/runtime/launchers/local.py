"""Worker processes of this machine, kept for many items. Each death is one item's affair."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, cast

from harness.runtime.launchers import Failure, Outcome, attempt, failure_of
from harness.runtime.machine import cores
from harness.runtime.terminal import open_streams

TRIES = 2
GRACE = 20.0  # seconds that workers have to save what they are at


Progress = Callable[[int, float], None]
"""Called with the place of an item and the share of it that is done, from 0 to 1."""


class Pool:
    """Up to ``workers`` processes, begun when there is work for them."""

    remote = False

    def __init__(self, workers: int, devices: Sequence[str] = ()) -> None:
        self.workers, self.devices = workers, devices
        self._all: list[_Worker] = []
        self._idle: list[_Worker] = []

    def __call__(
        self, task: Callable[[Any], Any], items: Sequence[Any], progress: Progress | None = None
    ) -> Iterator[Outcome]:
        """Yield (place, result or Failure) as they finish. ``progress`` learns what tasks ``report``."""
        waiting = deque((place, 1) for place in range(len(items)))
        busy: dict[Connection, tuple[_Worker, int, int]] = {}
        while waiting or busy:
            while waiting and len(busy) < self.workers:
                place, tries = waiting.popleft()
                worker = self._give(task, items[place], min(self.workers, len(items)))
                busy[worker.pipe] = worker, place, tries
            for pipe in wait(list(busy)):
                worker, place, tries = busy.pop(cast(Connection, pipe))
                try:
                    outcome = worker.pipe.recv()
                    if isinstance(outcome, _Share):
                        busy[worker.pipe] = worker, place, tries
                        if progress is not None:
                            progress(place, outcome.done)
                        continue
                except (EOFError, OSError):  # it is dead
                    code = worker.end()
                    self._all.remove(worker)
                    if tries < TRIES:
                        waiting.append((place, tries + 1))
                        continue
                    outcome = Failure(f"the process that worked on it died {TRIES} times, {_cause(code)}")
                else:
                    self._idle.append(worker)
                yield place, outcome

    def close(self) -> None:
        """Tell the workers to stop, wait until they have saved what they are at, and end those that do not."""
        for worker in self._all:
            if worker not in self._idle:
                worker.process.terminate()  # training saves, and outlives this
            worker.pipe.close()  # by this a worker learns that there is no more work
        end = time.monotonic() + GRACE
        for worker in self._all:
            worker.process.join(max(0.0, end - time.monotonic()))
            worker.end()
        self._all, self._idle = [], []

    def _give(self, task: Callable[[Any], Any], item: Any, sharing: int) -> _Worker:
        """A worker that has taken the item; one that died while it was idle is replaced."""
        while self._idle:
            worker = self._idle.pop()
            try:
                worker.send(task, item)
            except OSError:
                worker.end()
                self._all.remove(worker)
                continue
            return worker
        taken = {worker.number for worker in self._all}
        number = next(n for n in range(self.workers) if n not in taken)
        worker = _Worker(number, self._settings(number, sharing))
        self._all.append(worker)
        with suppress(OSError):  # it is dead already, which the end of its pipe tells
            worker.send(task, item)
        return worker

    def _settings(self, number: int, sharing: int) -> dict[str, str]:
        """Environment of a worker: its share of the cores, and its GPU."""
        found = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(max(1, cores() // sharing))}
        if len(self.devices) > 1:
            found["CUDA_VISIBLE_DEVICES"] = self.devices[number % len(self.devices)]
        return found


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, number: int, environment: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("spawn")  # not forked: the parent may hold the threads of PyTorch
        self.number = number
        self.task: Callable[[Any], Any] | None = None
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=False)
        with _environment(environment):
            self.process.start()
        theirs.close()

    def send(self, task: Callable[[Any], Any], item: Any) -> None:
        """Have an item done. A task is sent once, so that what it keeps, a detector for one, is built once."""
        self.pipe.send((None if task is self.task else task, item))
        self.task = task

    def end(self) -> int:
        """End the process if it lives; its exit code, negative for a signal."""
        self.process.join(1)  # after the end of its pipe it has moments to live
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()
        return self.process.exitcode or 0


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Variables that a process begins with; set before it starts, as OpenMP reads them when it is loaded."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, old in before.items():
            os.environ.pop(name) if old is None else os.environ.update({name: old})


def _cause(code: int) -> str:
    if code == -signal.SIGKILL:
        return "killed (SIGKILL): was there not enough memory?"
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


@dataclass(frozen=True)
class _Share:
    """What a worker says while it is at an item."""

    done: float


_pipe: Connection | None = None


def report(done: float) -> None:
    """In a worker: tell the parent the share of the item under way that is done."""
    if _pipe is not None:
        _pipe.send(_Share(done))


def _serve(pipe: Connection) -> None:
    """A worker's life. In a group of its own: Ctrl-C in the terminal is for the parent, which tells its workers."""
    global _pipe
    _pipe = pipe
    if hasattr(os, "setpgrp"):  # not on Windows
        os.setpgrp()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is half written is cleared away
    open_streams()
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    kept: Any = None
    try:
        while True:
            task, item = pipe.recv()
            kept = kept if task is None else task
            outcome = attempt(kept, item)
            try:
                pipe.send(outcome)
            except OSError:
                return
            except Exception as error:  # a result that cannot be sent
                pipe.send(failure_of(error))
    except (EOFError, OSError, KeyboardInterrupt):  # the parent has closed its end, or stops this one
        return


def _leave_with_parent() -> None:
    """A killed parent cannot tell its workers; without this they would go on, beside its next run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
