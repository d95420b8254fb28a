"""The same work on many files, in processes: one bad file stops nothing, and a dead parent leaves no orphan."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from zoo.errors import FullDiskError, UserError

Result = TypeVar("Result")
Tick = Callable[[float], None]
"""Called by a task with the share of its file that is done, from 0 to 1."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """A file that could not be worked on, and why in one line."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return self.reason


def run_jobs(
    task: Callable[[Any, Tick], Result],
    items: Sequence[Any],
    paths: Sequence[Path],
    sizes: Sequence[int],
    *,
    jobs: int,
    label: str,
    unit: str = "frame",
    progress: bool = True,
) -> Iterator[tuple[int, Result | Failure]]:
    """Yield (place in ``items``, result or Failure) as they are done.

    ``paths``: each item's file, named in failures; ``sizes``: its share of the work in ``unit``, which the bar counts.
    With more than one job, ``task`` and items must be picklable. A process that dies takes the files under way with
    it: those are tried again one by one, so that only the culprit fails. A full disk stops everything (UserError).
    """
    quiet = None if progress and items else True  # None: on a terminal only
    with tqdm(total=sum(sizes), desc=label, unit=unit, smoothing=0.05, disable=quiet, leave=False) as bar:
        outcomes = _alone(task, items, sizes, bar) if jobs <= 1 else _spread(task, items, sizes, jobs, bar)
        bar.set_postfix_str(f"0/{len(items)} files")
        for done, (place, outcome) in enumerate(outcomes, start=1):
            bar.set_postfix_str(f"{done}/{len(items)} files")
            yield place, _failure(paths[place], outcome) if isinstance(outcome, Exception) else outcome


def _failure(path: Path, error: Exception) -> Failure:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise UserError("disk-full", file=path)
    if isinstance(error, FullDiskError):
        raise error
    if isinstance(error, UserError):
        return Failure(path, str(error))
    if isinstance(error, BrokenProcessPool):
        return Failure(path, f"{path}: the process that worked on it died, out of memory or by a fault of a decoder")
    log.warning("%s: unexpected error", path, exc_info=error)
    return Failure(path, f"{path}: {type(error).__name__}: {error}".replace("\n", " "))


def _alone(
    task: Callable[[Any, Tick], Result], items: Sequence[Any], sizes: Sequence[int], bar: tqdm[Any]
) -> Iterator[tuple[int, Result | Exception]]:
    for place, item in enumerate(items):
        before = sum(sizes[:place])

        def tick(share: float, before: int = before, size: int = sizes[place]) -> None:
            bar.update(before + int(share * size) - bar.n)

        try:
            outcome: Result | Exception = task(item, tick)
        except Exception as error:  # becomes a Failure with its reason
            outcome = error
        tick(1.0)
        yield place, outcome


def _spread(
    task: Callable[[Any, Tick], Result], items: Sequence[Any], sizes: Sequence[int], jobs: int, bar: tqdm[Any]
) -> Iterator[tuple[int, Result | Exception]]:
    lost = []
    for place, outcome in _pooled(task, items, sizes, range(len(items)), jobs, bar):
        if isinstance(outcome, BrokenProcessPool):
            lost.append(place)
        else:
            yield place, outcome
    for suspect in lost:
        yield from _pooled(task, items, sizes, [suspect], 1, bar)


def _pooled(
    task: Callable[[Any, Tick], Result],
    items: Sequence[Any],
    sizes: Sequence[int],
    places: Sequence[int],
    jobs: int,
    bar: tqdm[Any],
) -> Iterator[tuple[int, Result | Exception]]:
    # Spawned, not forked: the parent may hold the threads of PyTorch and OpenCV.
    context = multiprocessing.get_context("spawn")
    counter = context.Value("d", 0.0)
    stop = context.Event()
    shown = bar.n
    with ProcessPoolExecutor(
        min(jobs, len(places)) or 1, mp_context=context, initializer=_begin, initargs=(task, counter, stop)
    ) as pool:
        try:
            largest_first = sorted(places, key=lambda place: -sizes[place])  # so that all cores end together
            waiting: dict[Future[Result], int] = {}
            for place in largest_first:
                try:
                    waiting[pool.submit(_work, items[place], sizes[place])] = place
                except BrokenProcessPool as broken:  # the first workers are dead already
                    yield place, broken
            while waiting:
                finished, _ = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                bar.update(shown + int(counter.value) - bar.n)
                for future in finished:
                    error = future.exception()
                    if error is not None and not isinstance(error, Exception):
                        raise error
                    yield waiting.pop(future), future.result() if error is None else error
        except BaseException:  # Ctrl-C or an abandoned iterator: nothing more is begun, what runs is left unfinished
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_task: Callable[[Any, Tick], Any]
_counter: Any
_stop: Any


def _begin(task: Callable[[Any, Tick], Any], counter: Any, stop: Any) -> None:
    """Once in every worker."""
    global _task, _counter, _stop
    _task, _counter, _stop = task, counter, stop
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    import cv2

    cv2.setNumThreads(1)


def _leave_with_parent() -> None:
    """A killed parent cannot tell its workers; without this they would wait for ever, or write into its next run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _work(item: Any, size: int) -> Any:
    told = 0.0

    def tick(share: float) -> None:
        nonlocal told
        if share - told > 0.002:
            if _stop.is_set():
                raise KeyboardInterrupt
            with _counter.get_lock():
                _counter.value += (share - told) * size
            told = share

    try:
        return _task(item, tick)
    finally:
        with _counter.get_lock():
            _counter.value += (1 - told) * size
