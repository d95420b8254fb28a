"""A cache of arrays read from files, kept between commands, so that a file is read again only if it has changed.

A file counts as unchanged as long as its size, times, inode and device are the same; if they differ, its sha256
decides. If a file was changed so shortly before it was read that another change might not show in its times, it is
hashed the next time.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from harness.io.atomic import atomic, clear_parts_of
from harness.io.locks import LazyLock, lock_of
from zoo.files import State, file_sha256, is_settled, state_of

Arrays = Mapping[str, np.ndarray]

_VERSION = 1  # of the file's format
_DIGEST, _LENGTH = 32, 8  # bytes of the sha256 at the beginning, and of the header's length after it


@dataclass(frozen=True)
class _Array:
    """One compressed array."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes | memoryview

    @staticmethod
    def of(array: np.ndarray) -> _Array:
        plain = np.ascontiguousarray(array)
        return _Array(plain.dtype.str, array.shape, pa.compress(plain.tobytes(), "lz4", asbytes=True))

    def array(self) -> np.ndarray:
        """Return the array, read-only."""
        dtype = np.dtype(self.dtype)
        size = dtype.itemsize * int(np.prod(self.shape))
        array = np.frombuffer(pa.decompress(self.data, size, "lz4"), dtype).reshape(self.shape)
        array.flags.writeable = False
        return array


@dataclass(frozen=True)
class _Entry:
    state: State
    settled: bool
    sha256: str  # "" if the content was not hashed
    arrays: Mapping[str, _Array]

    def holds(self, state: State) -> bool:
        """Return True if a file in this state need not be read."""
        return self.settled and self.state == state

    def unpacked(self) -> Arrays:
        """Return the arrays, read-only."""
        return {name: array.array() for name, array in self.arrays.items()}


class ReadCache:
    """Arrays read from files, keyed by the file's path and by ``what`` was read; the file ``path`` keeps them.

    The file consists of the sha256 of the rest, the length of a JSON header, the header, and the arrays' compressed
    bytes. A file whose digest does not match, or of another version, counts as empty: its content is read again.

    The first lookup that misses takes ``lock`` (default: one of this memo's own) until ``save``, and the file is read
    once more under it, so that of several processes and threads that miss the same thing only one computes it. Memos
    that are used together must share a lock, or two processes could wait for each other.
    """

    def __init__(self, path: Path, lock: LazyLock | None = None) -> None:
        self.path = path
        self._own = lock is None
        self._lock = lock or LazyLock(lock_of(path))
        self._fresh = False  # True once the file was read under the lock
        self._entries = _load(path)
        self._used: set[tuple[str, str]] = set()
        self._changed = False

    def read(self, path: Path, what: str, compute: Callable[[], Arrays], *, hashed: bool = True) -> Arrays:
        """Return the arrays that ``compute`` reads from a file, read-only.

        ``hashed`` False: the file is not hashed, because ``compute`` costs no more than hashing would. An exception of
        ``compute`` is raised and not remembered.
        """
        key = (os.path.abspath(path), what)
        now = time.time_ns()
        try:
            state = state_of(path)
        except OSError:
            return compute()  # which raises the error
        self._used.add(key)
        known = self._entries.get(key)
        if not (known and known.holds(state)):
            self._look_again()
            known = self._entries.get(key)
        if known and known.holds(state):
            return known.unpacked()
        try:
            sha256 = file_sha256(path) if hashed else ""
        except OSError:
            return compute()  # which raises the error
        if known and hashed and known.sha256 == sha256:
            packed, arrays = known.arrays, known.unpacked()
        else:
            arrays = dict(compute())
            packed = {name: _Array.of(array) for name, array in arrays.items()}
            for array in arrays.values():
                array.flags.writeable = False
        if _state_now(path) == state:  # if not, the file was changed or removed while it was read
            self._entries[key] = _Entry(state, is_settled(max(state[1:3]), now), sha256, packed)
            self._changed = True
        return arrays

    def save(self) -> None:
        """Store what was read, and keep older entries whose files still exist.

        Raises UserError if the memo cannot be written.
        """
        try:
            if self._changed:
                self._entries = {k: e for k, e in self._entries.items() if k in self._used or os.path.exists(k[0])}
                if self._fresh:  # under the lock: any other writer of this file is dead
                    clear_parts_of(self.path)
                atomic(self.path, self._write)
                self._changed = False
        finally:
            self.release()

    def release(self) -> None:
        """Release the lock without saving."""
        self._fresh = False
        if self._own:
            self._lock.release()

    def _look_again(self) -> None:
        """Take the lock and read the file again: another process or thread may have stored the missing entry."""
        if not self._fresh:
            self._lock.take()
            self._entries, self._fresh = _load(self.path), True

    def _write(self, path: Path) -> None:
        header, blobs = [], []
        for (source, what), entry in self._entries.items():
            arrays = [(name, a.dtype, a.shape, len(a.data)) for name, a in entry.arrays.items()]
            header.append((source, what, entry.state, entry.settled, entry.sha256, arrays))
            blobs += [a.data for a in entry.arrays.values()]
        text = json.dumps({"version": _VERSION, "entries": header}).encode()
        sha = hashlib.sha256()
        parts = [len(text).to_bytes(_LENGTH, "little"), text, *blobs]
        for part in parts:
            sha.update(part)
        with path.open("wb") as file:
            file.writelines([sha.digest(), *parts])


def _state_now(path: Path) -> object:
    """Return the state of a file; None if it is gone."""
    try:
        return state_of(path)
    except OSError:
        return None


def _load(path: Path) -> dict[tuple[str, str], _Entry]:
    """Return the entries in a memo's file; empty if it is absent, damaged or of another version."""
    try:
        content = memoryview(path.read_bytes())
    except OSError:
        return {}
    body = content[_DIGEST:]
    if hashlib.sha256(body).digest() != content[:_DIGEST]:
        return {}
    at = _LENGTH + int.from_bytes(body[:_LENGTH], "little")
    header = json.loads(bytes(body[_LENGTH:at]))
    if header["version"] != _VERSION:
        return {}
    entries: dict[tuple[str, str], _Entry] = {}
    for source, what, state, settled, sha256, listed in header["entries"]:
        arrays = {}
        for name, dtype, shape, length in listed:
            arrays[name] = _Array(dtype, tuple(shape), body[at : at + length])
            at += length
        entries[source, what] = _Entry(tuple(state), settled, sha256, arrays)
    return entries
