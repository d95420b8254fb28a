"""Files written whole or not at all, by any number of processes and threads at the same time. Light."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TICK = 2_000_000_000
"""ns; no file system's clock is coarser."""

State = tuple[int, ...]
_known: dict[Path, tuple[State, str]] = {}  # digests of files in this process


def state_of(path: Path) -> State:
    """Size, times (ns) of change and of status, inode and device: what tells a changed file without reading it."""
    stat = os.stat(path)
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev)


def is_settled(changed: int, now: int) -> bool:
    """Whether a file whose newest time was ``changed`` (ns) when it was looked at, at ``now``, would show another
    change: one that was changed a moment before may be changed again within one tick of its clock."""
    return now - changed > TICK


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, 64 hex digits; read again in this process only where the file may have changed.

    Raises:
        OSError: The file cannot be read.
    """
    now, state, place = time.time_ns(), state_of(path), Path(os.path.abspath(path))
    known = _known.get(place)
    if known and known[0] == state:
        return known[1]
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if is_settled(max(state[1:3]), now):
        _known[place] = state, sha256
    return sha256


def part_name(path: Path) -> Path:
    """Return a hidden name beside ``path`` that no other writer has, whatever its process or thread.

    A process number is not enough: two threads of one process may write the same file.
    """
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file under a name of its own, then give it the name ``path``.

    Readers see the old file or the new one, never half of it; of several writers the last one stays. On any error the
    old file stays and the half-written one goes.

    Raises:
        OSError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_name(path)
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        with suppress(OSError):  # not there, or its folder is none
            part.unlink()


@contextmanager
def locked(lock: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file while the body runs; the system frees it if its holder is killed. No file is left.

    Threads of one process exclude each other too.

    Raises:
        filelock.Timeout: Somebody else holds it, and ``wait`` is false.
        OSError: It cannot be made.
    """
    from filelock import FileLock

    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock, timeout=-1 if wait else 0)
    held.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # while it is held: whoever waits for it finds that it is gone, and makes a new one
            lock.unlink()
        held.release()
