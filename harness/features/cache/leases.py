"""Leases on cache entries in use: a lease is a file that its process keeps locked, so that it ends with the process."""

from __future__ import annotations

import json
import os
import platform
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from harness.features.cache.entry import Entry, features_folder
from harness.io.atomic import atomic


@contextmanager
def lease_lock(root: Path) -> Iterator[None]:
    """Hold the lock that keeps writing leases and removing entries apart."""
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / "guard.lock"):
        yield


def try_lock(path: Path) -> FileLock | None:
    """Acquire a lock file, for any thread to release; return None if another process or thread holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def unlock(lock: FileLock) -> None:
    """Release a lock and delete its file; a process that waits for it notices and makes the file anew."""
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


class Lease:
    """A lease that keeps entries from being removed while this process lives, or until ``release``."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self._pid = os.getpid()
        self._lock: FileLock | None = None
        self._file: Path | None = None

    def take(self, entries: Iterable[Entry]) -> None:
        """Lease entries, before they are looked up.

        Skipped for a read-only cache, from which nothing can be removed.
        """
        self.keys |= {entry.key for entry in entries}
        root = features_folder()
        if not _writable(root):
            return
        with lease_lock(root):
            if self._lock is None or self._file is None:
                self._file = root / "leases" / f"{uuid.uuid4().hex}.json"
                self._lock = try_lock(self._file.with_suffix(".lock"))
            said = {"host": platform.node(), "pid": os.getpid(), "keys": sorted(self.keys)}
            atomic(self._file, lambda part: part.write_text(json.dumps(said), encoding="utf-8"))

    def release(self) -> None:
        """Give up the lease."""
        if os.getpid() != self._pid:  # this is a fork: the lease belongs to its parent
            return
        if self._lock is not None and self._file is not None:
            self._file.unlink(missing_ok=True)
            unlock(self._lock)
        self._lock = self._file = None

    def __del__(self) -> None:
        try:
            self.release()
        except Exception:  # the program is ending: the lock ends with it, and `harness cache gc` removes the file
            return


def _writable(root: Path) -> bool:
    while not root.exists():
        root = root.parent
    return os.access(root, os.W_OK)


def leased(root: Path) -> set[str]:
    """Return the keys in use by living processes, and remove leases of dead ones; call it under ``lease_lock``."""
    keys: set[str] = set()
    for file in sorted((root / "leases").glob("*.lock")):
        said = file.with_suffix(".json")
        lock = try_lock(file)
        if lock is not None:
            said.unlink(missing_ok=True)
            unlock(lock)
            continue
        with suppress(FileNotFoundError):  # the lease was given up just now
            keys |= set(json.loads(said.read_text(encoding="utf-8"))["keys"])
    return keys
