"""One process at a time: lock files, which the system frees when their holder ends or is killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zoo.errors import UserError

NAME = ".lock"
PLAN = ".plan.lock"
"""In a folder of runs: held while a sweep looks for the runs it has there and makes those that it has not, so that two
sweeps of the same combinations share them."""
BOARD = ".leaderboard.lock"
"""In a folder of runs: held from reading the records to writing the tables, so that no run is left out of them."""


@contextmanager
def alone(lock: Path, busy: str | None = None) -> Iterator[None]:
    """Hold a lock file while the body runs. ``busy``: what to tell (UserError) where another process holds it; without
    it, wait. UserError too where the file cannot be made."""
    from filelock import FileLock, Timeout

    held = FileLock(lock, timeout=0 if busy else -1)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except Timeout:
        raise UserError(str(busy)) from None
    except OSError as error:
        raise UserError(
            f"{lock.parent}: cannot be written ({error.strerror}); make room, make it writable or choose another folder"
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # while it is held: whoever waits for it finds that it is gone, and makes a new one
            lock.unlink()
        held.release()


@contextmanager
def at_work(run: Path | None) -> Iterator[None]:
    """Be the only process that trains in a run's folder, which is cleared of what a killed one left half-written.
    UserError where another is at it. None: of several processes that share a training all but the first."""
    if run is None:
        yield
        return
    from harness.atomic import clear_parts

    busy = f"{run}: another process is at work on this run; wait for it, stop it, or give this one another --name"
    with alone(run / NAME, busy):
        clear_parts(run)
        yield
