"""Worker processes on this machine, kept for many items; the death of a worker affects only its item."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any, cast

from harness.runtime.launchers.outcomes import Failure, Outcome, attempt, failure_of
from harness.runtime.machine import cores
from harness.runtime.terminal import open_streams

TRIES = 2
GRACE = 20.0  # seconds for workers to save their work


Progress = Callable[[int, float], None]
"""Called with the index of an item and the share of it that is done, from 0 to 1."""


class Pool:
    """A pool of up to ``workers`` processes, started when there is work for them."""

    remote = False

    def __init__(self, workers: int, devices: Sequence[str] = ()) -> None:
        self.workers, self.devices = workers, devices
        self._all: list[_Worker] = []
        self._idle: list[_Worker] = []

    def __call__(
        self, task: Callable[[Any], Any], items: Sequence[Any], progress: Progress | None = None
    ) -> Iterator[Outcome]:
        """Yield (index, result or Failure) as they finish; ``progress`` receives what tasks ``report``."""
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
                except (EOFError, OSError):  # the worker is dead
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
        """Ask the workers to stop, wait until they have saved their work, and kill those that do not stop."""
        for worker in self._all:
            if worker not in self._idle:
                worker.process.terminate()  # a training saves before it ends
            worker.pipe.close()  # an idle worker ends when its pipe is closed
        end = time.monotonic() + GRACE
        for worker in self._all:
            worker.process.join(max(0.0, end - time.monotonic()))
            worker.end()
        self._all, self._idle = [], []

    def _give(self, task: Callable[[Any], Any], item: Any, sharing: int) -> _Worker:
        """Give an item to a worker and return the worker; one that died while idle is replaced."""
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
        with suppress(OSError):  # if it is dead already, the end of its pipe shows it
            worker.send(task, item)
        return worker

    def _settings(self, number: int, sharing: int) -> dict[str, str]:
        """Return the environment of a worker: its share of the cores, and its GPU."""
        found = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(max(1, cores() // sharing))}
        if len(self.devices) > 1:
            found["CUDA_VISIBLE_DEVICES"] = self.devices[number % len(self.devices)]
        return found


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, number: int, environment: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("spawn")  # not forked: PyTorch may run threads in the parent
        self.number = number
        self.task: Callable[[Any], Any] | None = None
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=False)
        with _environment(environment), _without_main():
            self.process.start()
        theirs.close()

    def send(self, task: Callable[[Any], Any], item: Any) -> None:
        """Send an item to the worker.

        A task is sent once, so that what it keeps (a detector, say) is built once.
        """
        self.pipe.send((None if task is self.task else task, item))
        self.task = task

    def end(self) -> int:
        """End the process if it lives; return its exit code, which is negative for a signal."""
        self.process.join(1)  # it ends soon after its pipe is closed
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()
        return self.process.exitcode or 0


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide the main module while a process starts, which would run it again: a script without ``if __name__ ...``."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables while a process starts: OpenMP reads them when it is loaded."""
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
    """A worker's message about the share of its item that is done."""

    done: float


_pipe: Connection | None = None


def report(done: float) -> None:
    """Report, from a worker to its parent, the share of the current item that is done."""
    if _pipe is not None:
        _pipe.send(_Share(done))


def _serve(pipe: Connection) -> None:
    """Run a worker until its pipe is closed.

    It is in a process group of its own: Ctrl-C in the terminal reaches only the parent, which stops its workers.
    """
    global _pipe
    _pipe = pipe
    if hasattr(os, "setpgrp"):  # not on Windows
        os.setpgrp()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # raises, so that half-written files are removed
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
            except Exception as error:  # the result cannot be sent
                pipe.send(failure_of(error))
    except (EOFError, OSError, KeyboardInterrupt):  # the parent has closed the pipe, or stops this worker
        return


def _leave_with_parent() -> None:
    """End this worker when its parent ends.

    A killed parent cannot stop its workers, which would otherwise still run when it is started again.
    """
    # A signal that is delivered to this thread would not wake the main thread, which has to act on it.
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
