"""Lock files, which the system frees when their holder ends or is killed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from zoo.errors import FullDiskError, UserError
from zoo.files import is_full, locked, reason_of

T = TypeVar("T")

NAME = ".lock"
PLAN = ".plan.lock"
"""In a folder of runs: held while a sweep looks for its runs and makes the missing ones, so that two sweeps of the same
combinations share them."""
BOARD = ".leaderboard.lock"
"""In a folder of runs: held from reading the records until the tables are written, so that no run is left out."""


def lock_of(path: Path) -> Path:
    """Return the lock file that guards ``path``."""
    return path.with_name(f".{path.name}.lock")


@contextmanager
def file_lock(lock: Path, busy: str | None = None) -> Iterator[None]:
    """Hold a lock file while the body runs.

    ``busy``: the message of the UserError to raise if another process holds the lock; without it, wait. UserError is
    also raised if the lock file cannot be made.
    """
    from filelock import Timeout

    with ExitStack() as held:
        try:
            held.enter_context(locked(lock, wait=busy is None))
        except Timeout:
            raise UserError("busy", message=str(busy)) from None
        except OSError as error:
            # Work on many files must stop at a full disk instead of continuing with the next file.
            kind = FullDiskError if is_full(error) else UserError
            raise kind("folder-not-writable", parent=lock.parent, strerror=reason_of(error)) from None
        yield


class LazyLock:
    """A lock file that is taken when first needed, and held until ``release``.

    It is for caches, which are read far more often than written: a reader that finds everything never waits. If the
    lock file cannot be made, no process can write there either, and nothing is locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held = ExitStack()
        self._taken = False

    def take(self) -> None:
        """Wait until no other process or thread holds the lock, and take it."""
        if not self._taken:
            self._taken = True
            with suppress(UserError):
                self._held.enter_context(file_lock(self.path))

    def release(self) -> None:
        """Release the lock."""
        self._held.close()
        self._taken = False


class OneAtATime:
    """A function call shared by threads: those that ask for the same key at the same time share one computation."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running: dict[Hashable, Future[Any]] = {}

    def __call__(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the result of ``compute``, or of another thread that is computing the same key.

        An exception is shared in the same way.
        """
        with self._lock:
            known = self._running.get(key)
            mine = self._running[key] = known or Future()
        if known is None:
            try:
                mine.set_result(compute())
            except BaseException as error:
                mine.set_exception(error)
            finally:
                with self._lock:
                    del self._running[key]
        result: T = mine.result()
        return result
