"""Write files whole or not at all, and append whole lines."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.io.locks import NAME, file_lock, lock_of
from zoo.errors import FullDiskError, UserError, first_line
from zoo.files import is_full, reason_of, replace
from zoo.text import seen_json

_PROBE = 1 << 16


def atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name, then rename it; a kill or a full disk leaves the old file.

    Raises UserError if the file cannot be written, and FullDiskError if the disk is full.
    """

    def writing(part: Path) -> None:
        try:
            write(part)
        except RuntimeError as error:  # torch reports no errno
            _check_room(part)
            # torch's words if a file cannot grow: it names the write, or the position in the file after it.
            if any(said in str(error).lower() for said in ("writ", "unexpected pos")):
                raise OSError(first_line(error)) from None
            raise

    with disk_errors(path):
        replace(path, writing)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise UserError if a file cannot be written inside the context, and FullDiskError if the disk is full."""
    try:
        yield
    except OSError as error:
        kind = FullDiskError if is_full(error) else UserError
        raise kind("file-not-written", file=path, error=reason_of(error)) from None


def _check_room(part: Path) -> None:
    """Raise OSError if a file cannot grow.

    The library that failed to write it reported only that it failed.
    """
    with part.open("ab", buffering=0) as file:
        for _ in range(2):  # the first write may still fit in what is left
            file.write(bytes(_PROBE))


def append_line(path: Path, entry: Mapping[str, Any]) -> None:
    """Append an entry to a file of JSON lines.

    The line is written in one piece even if others write at the same time. If the last line was cut short, the entry
    begins a new one. Raises OSError if the file cannot be written.
    """
    line = seen_json(json.dumps(entry, ensure_ascii=False, sort_keys=True)).encode() + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(lock_of(path)), path.open("a+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def clear_parts_of(path: Path) -> None:
    """Remove what killed writers of a file left next to it; only for the holder of the writers' lock."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        part.unlink(missing_ok=True)


def clear_parts(folder: Path, *, deep: bool = True) -> None:
    """Remove what a killed process left half-written under temporary names; only for the sole process at work there.

    ``deep``: clear folders below too, except those with a lock of their own. The holder of such a lock may be writing,
    and the next holder clears the folder.
    """
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir() and not entry.is_symlink():
            if deep and not (entry / NAME).exists():
                clear_parts(entry)
        elif entry.name.startswith(".") and entry.name != NAME:
            entry.unlink(missing_ok=True)
