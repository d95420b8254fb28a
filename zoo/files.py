"""Atomic writes, locks, digests and safe reading of files, by any number of processes and threads. No heavy imports."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

TOML_DEPTH = 20
"""Nesting levels of tables and lists allowed in a settings file; ours have three."""

SETTINGS = 1 << 20
"""Bytes allowed in a settings file, which is read whole; ours have some kilobytes."""

TEXT = 1 << 28
"""Bytes allowed in any other text file that is read whole; the longest list of test frames has some 30 MB."""

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*"""
_DOTTED = re.compile(rf"(?:^|[\[{{,])[ \t]*(?:{_PART}){{{TOML_DEPTH + 1}}}", re.MULTILINE)

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers for missing space: the disk, a quota, the largest size of a file."""
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota of the disk is used up",
    errno.EFBIG: "it is larger than a file may be here, see ulimit -f",
    errno.EROFS: "the file system is read-only",
}

TICK = 2_000_000_000
"""ns; no file system's clock is coarser."""

State = tuple[int, ...]
_known: dict[Path, tuple[State, str]] = {}  # digests of files in this process


def is_full(error: BaseException) -> bool:
    """Return True if an error means that there is no space left to write to."""
    return isinstance(error, OSError) and error.errno in FULL


def reason_of(error: OSError) -> str:
    """Return why a file cannot be written or read, in words for the user."""
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)


def state_of(path: Path) -> State:
    """Return size, times (ns) of change and of status, inode and device: they reveal a change without reading."""
    now = os.stat(path)
    return (now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino, now.st_dev)


def is_settled(changed: int, now: int) -> bool:
    """Return True if a later change of a file would show in its times.

    A file that was changed just before it was examined may change again within one tick of the file system's clock.

    Args:
        changed: The file's newest time, ns.
        now: The time at which it was examined, ns.
    """
    return now - changed > TICK


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, 64 hex digits. Within a process a file is read again only if it may have changed.

    Raises:
        OSError: The file cannot be read.
    """
    now, state, place = time.time_ns(), state_of(path), Path(os.path.abspath(path))
    known = _known.get(place)
    if known and known[0] == state:
        return known[1]
    with open_file(path) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if is_settled(max(state[1:3]), now):
        _known[place] = state, sha256
    return sha256


def part_name(path: Path) -> Path:
    """Return a hidden temporary name next to ``path`` that no other process or thread uses.

    The process id is not enough: two threads of one process may write the same file.
    """
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")


PART_BYTES = len("..1234567-01234567.part")
"""Bytes that a temporary name has beyond the name itself, at most: the number of a process has up to 7 digits."""


def absolute(path: str | os.PathLike[str]) -> str:
    """Return an absolute path, for libraries that take the text before a colon for a protocol.

    FFmpeg reads ``rec-12:30/x.mp4`` and ``pipe:0.mp4`` as addresses, but nothing that begins with a slash.
    """
    return os.path.abspath(path)


def name_key(name: str) -> str:
    """Return the canonical spelling of a name: Unicode's composed form (NFC).

    macOS and some archives write ``é`` as ``e`` and an accent, other systems as one letter; the files of one video may
    come from both. Compare names of videos by this key.
    """
    return unicodedata.normalize("NFC", name)


def is_plain(text: str) -> bool:
    """Return True if a name or setting can be written down and read back: Unicode without control characters.

    Bytes of a file name that are not UTF-8 reach Python as halves of surrogate pairs, which no text file can hold.
    """
    return text.isprintable() or not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text)


def open_file(path: Path) -> BufferedReader:
    """Open a file that a user names, to read its bytes.

    Raises:
        OSError: The file cannot be read, or is not a regular file: reading a named pipe may never end.
    """
    found = path.stat()
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return path.open("rb")


def read_bytes(path: Path, most: int = TEXT) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: The file cannot be read, is not a regular file, or has more than ``most`` bytes: a sparse file takes no
            space on disk, but all of the memory.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, and {most:,} are the most", str(path))
        return file.read()


class TooDeepError(ValueError):
    """A TOML file with tables and lists nested deeper than TOML_DEPTH."""


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tree of a TOML text.

    Raises:
        tomllib.TOMLDecodeError: The text is not TOML.
        TooDeepError: It is nested deeper than TOML_DEPTH. Dotted keys are counted before parsing, because Python's time
            is quadratic in their number: hours for a line of 200 kB.
    """
    import tomllib

    if _DOTTED.search(text):
        raise TooDeepError
    try:
        tree = tomllib.loads(text)
    except RecursionError:
        raise TooDeepError from None
    level: list[Any] = [tree]
    for _ in range(TOML_DEPTH + 1):
        inner = (item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list))
        level = [value for values in inner for value in values]
    if level:
        raise TooDeepError
    return tree


def spelled(path: Path) -> Path:
    """Return the path of the existing file or folder with this name in any Unicode form, else ``path``.

    Example:
        >>> spelled(Path("boxes/video1.parquet"))
        PosixPath('boxes/video1.parquet')
    """
    if path.name.isascii() or path.exists() or not path.parent.is_dir():
        return path
    wanted = name_key(path.name)
    return next((other for other in sorted(path.parent.iterdir()) if name_key(other.name) == wanted), path)


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file atomically: ``write`` makes it under a temporary name, then it is renamed to ``path``.

    Readers see the old file or the new one, never half of it; of several writers the last one wins. On any error the
    old file stays and the partial one is deleted.

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
        with suppress(OSError):  # it is not there, or its folder is not a folder
            part.unlink()


@contextmanager
def locked(lock: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file inside the context. The system releases it if its holder is killed. No file is left.

    Threads of one process exclude each other too.

    Raises:
        filelock.Timeout: Somebody else holds the lock, and ``wait`` is false.
        OSError: The lock file cannot be made.
    """
    from filelock import FileLock

    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock, timeout=-1 if wait else 0)
    held.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # deleted while it is held: a waiting process finds that it is gone and makes a new one
            lock.unlink()
        held.release()
