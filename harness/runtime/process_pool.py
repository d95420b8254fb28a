"""Process many files in worker processes: one bad file stops nothing, and workers end with their parent."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from harness.runtime.launchers import Failure, failure_of
from harness.runtime.launchers.local import Pool, report
from harness.runtime.progress import Bar
from zoo.errors import FullDiskError, UserError
from zoo.files import is_full, reason_of

Result = TypeVar("Result")
Tick = Callable[[float], None]
"""Called by a task with the share of its file that is done, from 0 to 1."""

STEP = 0.002  # smallest share of a file that a worker reports

log = logging.getLogger(__name__)


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
    """Yield (index in ``items``, result or Failure) as they are done.

    ``paths``: each item's file, named in failures; ``sizes``: its share of the work in ``unit``, which the bar counts.
    With more than one job, ``task`` and items must be picklable. The largest items are begun first, so that all cores
    end together. A process that dies loses only its own file, which is tried once more. A full disk stops everything
    (UserError).
    """
    with Bar(total=sum(sizes), desc=label, unit=unit, smoothing=0.05, shown=progress and bool(items)) as bar:
        bar.set_postfix_str(f"0/{len(items)} files")
        begin = _in_turn if jobs <= 1 else functools.partial(_in_workers, jobs)
        outcomes = begin(task, list(zip(paths, items, strict=True)), _Progress(bar, sizes))
        for done, (place, outcome) in enumerate(outcomes, start=1):
            bar.set_postfix_str(f"{done}/{len(items)} files")
            if isinstance(outcome, UserError):
                raise outcome
            yield place, _named(outcome, paths[place]) if isinstance(outcome, Failure) else outcome


def _named(failure: Failure, path: Path) -> Failure:
    """Return a Failure that names its file, which the Failure of a process that died does not."""
    if failure.trace:
        log.warning("%s: unexpected error\n%s", path, failure.trace.rstrip())
    return failure if failure.item else replace(failure, reason=f"{path}: {failure}", item=str(path))


class _Progress:
    """A progress bar that counts the shares of all files, reported in any order."""

    def __init__(self, bar: Bar, sizes: Sequence[int]) -> None:
        self.bar, self.sizes = bar, sizes
        self.done = [0.0] * len(sizes)
        self.total = 0.0

    def __call__(self, place: int, share: float) -> None:
        """Report the share of a file; it may fall back to 0 if the file is tried again."""
        self.total += (share - self.done[place]) * self.sizes[place]
        self.done[place] = share
        self.bar.update(int(self.total) - self.bar.n)


File = tuple[Path, Any]  # a path, and the item that the task takes


def _in_turn(task: Callable[[Any, Tick], Any], files: Sequence[File], progress: _Progress) -> Iterator[tuple[int, Any]]:
    for place, file in enumerate(files):
        outcome = _do(task, file, functools.partial(progress, place))
        progress(place, 1.0)
        yield place, outcome


def _in_workers(
    jobs: int, task: Callable[[Any, Tick], Any], files: Sequence[File], progress: _Progress
) -> Iterator[tuple[int, Any]]:
    order = sorted(range(len(files)), key=lambda place: -progress.sizes[place])
    pool = Pool(min(jobs, len(files)))
    try:
        work = functools.partial(_work, task)
        for rank, outcome in pool(work, [files[place] for place in order], lambda n, done: progress(order[n], done)):
            progress(order[rank], 1.0)
            yield order[rank], outcome
    finally:  # also after Ctrl-C or if the iterator is abandoned: nothing more is begun, running tasks are ended
        pool.close()


def _work(task: Callable[[Any, Tick], Any], file: File) -> Any:
    """Do one item in a worker."""
    import cv2

    cv2.setNumThreads(1)
    told = 0.0

    def tick(share: float) -> None:
        nonlocal told
        if share - told > STEP:
            report(share)
            told = share

    return _do(task, file, tick)


def _do(task: Callable[[Any, Tick], Any], file: File, tick: Tick) -> Any:
    """Return the task's result, a Failure that names the file, or the UserError that ends the work on all files."""
    path, item = file
    try:
        return task(item, tick)
    except FullDiskError as error:
        return error
    except Exception as error:
        if isinstance(error, OSError) and is_full(error):
            return UserError("disk-full", file=path, reason=reason_of(error))
        failure = failure_of(error)
        reason = f"{path}: {failure}" if failure.trace else failure.reason
        return replace(failure, reason=reason, item=str(path))
