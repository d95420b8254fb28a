"""Digests of files and crop folders, and results computed from folders; remembered so that nothing large is read twice.

Among the remembered results are the time lines of videos and summaries of folders with many files.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.io.atomic import atomic, clear_parts_of
from harness.io.locks import OneAtATime, file_lock, lock_of
from harness.io.read_cache import Arrays, ReadCache
from zoo.errors import UserError
from zoo.files import State, is_settled, open_file, reason_of, state_of
from zoo.weights.cards import cache_dir

PICTURES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp")
"""File name suffixes of pictures, in lower case."""

_shared = OneAtATime()
_CHECK = 16  # hex digits of a stored digest's own digest, which follow it


def digest(*parts: object) -> str:
    """Return the sha256 over the texts of some parts."""
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's name and content. Raise UserError if it cannot be read."""
    state = file_state(path)
    return _remembered(digest("file", path.resolve(), state), max(state[1:3]), lambda: _hash([path]))


def file_state(path: Path) -> State:
    """Return what reveals a change of a file without reading it. Raise UserError if it is gone."""
    try:
        return state_of(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def crops_digest(folder: Path) -> str:
    """Return the sha256 over names and content of the pictures of a folder.

    Raises UserError if one of them cannot be read, such as a link to a missing file.
    """
    states, newest = _states(folder, PICTURES)
    key = digest("crops", folder.resolve(), states)
    return _remembered(key, newest, lambda: _hash([folder / name for name, *_ in states]))


def of_folder(kind: str, folder: Path, ending: str, parts: Sequence[object], compute: Callable[[], Arrays]) -> Arrays:
    """Return the result of ``compute``, which is called again only if a file of the folder or ``parts`` changed.

    ``parts``: other inputs that the result depends on. An exception of ``compute`` is raised and not remembered.
    """
    states, newest = _states(folder, (ending,))
    if not is_settled(newest, time.time_ns()):
        return _shared(digest(kind, folder.resolve(), states, *parts), compute)
    key = digest(folder.resolve(), states, *parts)[:32]
    return kept(ReadCache(cache_dir() / kind / f"{key}.memo"), folder, kind, compute)


def _states(folder: Path, endings: tuple[str, ...]) -> tuple[list[tuple[str, int, int, int, int]], int]:
    """Return the state of a folder's files, and the newest of their times.

    The state is a list of name, size, times (ns) of change and of status change, and inode.
    """
    states = []
    for entry in os.scandir(folder):
        if entry.name.lower().endswith(endings):
            try:
                s = entry.stat()
            except OSError as error:
                raise _unreadable(Path(entry.path), error) from error
            states.append((entry.name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino))
    states.sort()
    return states, max((max(changed, status) for _, _, changed, status, _ in states), default=0)


def kept(memo: ReadCache, path: Path, what: str, compute: Callable[[], Arrays]) -> Arrays:
    """Return the content of a memo, computed if it is missing.

    Threads and processes that ask at the same time compute it once.
    """

    def read() -> Arrays:
        try:
            found = memo.read(path, what, compute, hashed=False)
            memo.save()
            return found
        finally:
            memo.release()

    return _shared(memo.path, read)


def _hash(paths: list[Path]) -> str:
    sha = hashlib.sha256()
    for path in paths:
        sha.update(path.name.encode())
        try:
            with open_file(path) as file:
                while block := file.read(1 << 20):
                    sha.update(block)
        except OSError as error:
            raise _unreadable(path, error) from error
    return sha.hexdigest()


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError("file-unreadable", file=path, strerror=reason_of(error))


def _remembered(key: str, changed: int, compute: Callable[[], str]) -> str:
    """Return a digest that is kept in a file, or compute and store it.

    ``changed``: the time (ns) of the newest change to the files. If that is so recent that another change might not
    show in the times, the digest is not stored, and the files are read again the next time.
    """
    memo = cache_dir() / "digests" / key[:2] / key
    if (known := _digest_in(memo)) is not None:
        return known
    if not is_settled(changed, time.time_ns()):
        return _shared(key, compute)
    with file_lock(lock_of(memo)):
        if (known := _digest_in(memo)) is not None:  # another process or thread has stored it
            return known
        value = compute()
        clear_parts_of(memo)
        atomic(memo, lambda part: part.write_text(value + digest(value)[:_CHECK]))
        return value


def _digest_in(memo: Path) -> str | None:
    """Return the digest that a file keeps; None if it is absent, damaged or of version 0.1, which wrote no check."""
    try:
        text = memo.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    value, check = text[:-_CHECK], text[-_CHECK:]
    return value if check == digest(value)[:_CHECK] else None
