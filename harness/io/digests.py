"""Digests of files: everything that is read back is compared with the digest taken when it was written.

| file | its digest | if it differs | written by 0.1, without a digest |
|---|---|---|---|
| packed files | a CRC a row, a sha256 of the rest | set aside; the source is read | compared as a whole |
| features, sound, memos in the cache | sha256 in the entry | computed again | sound and memos: computed again |
| checkpoints | sha256 at the file's end | error | read, with a warning |
| boxes, predictions | CRC a page; predictions also sha256 in the record | error | read; predictions with a warning |
| weights of a run | sha256 in the record | error | read, with a warning |
| record.json | sha256 of the result, and of the whole | error | only the result is compared |
| manifests, the ledger, scores of an evaluation | sha256 in the object or line | error; left out; made again | read |
| features.csv | sha256 in its last row | error | read |

A file is compared once per process as long as its size, times and inode stay the same and it is not so new that a
change might not show in them (``zoo.files``). A row is compared each time it is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from zoo.errors import UserError
from zoo.files import State, file_sha256, open_file, state_of

DAMAGED = ".damaged"
"""Suffix of damaged files that are set aside."""
SEAL = "seal"
"""Key of a JSON object under which the digest of its other content is stored."""

_END = b"abaw-zoo"  # the last bytes of a file with an appended digest, after the digest
_TAIL = 32 + len(_END)
_BLOCK = 1 << 20

_set_aside: set[tuple[Path, State]] = set()  # damaged files that could not be renamed
_turn = Lock()


def checksum(data: bytes | memoryview) -> int:
    """Return the CRC-32 of a row; at some gigabytes a second it costs far less than decoding the row."""
    return zlib.crc32(data)


def text_sha256(tree: Mapping[str, Any]) -> str:
    """Return the sha256 of plain values, independent of the order of their keys."""
    return hashlib.sha256(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sealed(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with its own digest added."""
    return {**tree, SEAL: text_sha256(tree)}


def opened(tree: Any, *, strict: bool = False) -> dict[str, Any]:
    """Return the object that ``sealed`` was given.

    An object without a digest, as version 0.1 wrote, is returned as it is. With ``strict`` it is refused, for callers
    that can make it again.

    Raises:
        ValueError: It is not a JSON object, or not the one that was written.
    """
    if not isinstance(tree, dict):
        raise ValueError("no JSON object")
    rest = {key: value for key, value in tree.items() if key != SEAL}
    if (strict or SEAL in tree) and tree.get(SEAL) != text_sha256(rest):
        raise ValueError("not what was written: its sha256 differs")
    return rest


def append_digest(path: Path) -> None:
    """Append to a file the sha256 of its content."""
    with open_file(path) as file:
        sha256 = hashlib.file_digest(file, "sha256").digest()
    with path.open("ab") as file:
        file.write(sha256 + _END)


def check_appended(path: Path) -> bool:
    """Compare a file with its appended digest; return False if it has none, as version 0.1 wrote.

    Raises:
        ValueError: The content differs from what was written.
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    sha256 = hashlib.sha256()
    with open_file(path) as file:
        file.seek(max(0, size - _TAIL))
        tail = file.read()
        if not _is_tail(tail):
            return False
        file.seek(0)
        left = size - _TAIL
        while left > 0 and (block := file.read(min(_BLOCK, left))):
            sha256.update(block)
            left -= len(block)
    if tail != sha256.digest() + _END:
        raise ValueError("not what was written: its sha256 differs")
    return True


def _is_tail(tail: bytes) -> bool:
    """Return True if a file's last bytes are those of a digest; up to two bytes of its mark may be damaged."""
    return len(tail) == _TAIL and sum(a != b for a, b in zip(tail[-len(_END) :], _END, strict=True)) <= 2


def set_aside(path: Path, reason: str, instead: str) -> None:
    """Rename a damaged file that can be made again, and warn.

    If it cannot be renamed, it is remembered in this process (``is_set_aside``). ``instead``: the remedy for the
    warning, such as "its source is read".
    """
    with _turn:
        if is_set_aside(path) or not path.exists():
            return  # another thread or process did it
        with suppress(OSError):
            _set_aside.add((Path(os.path.abspath(path)), state_of(path)))
        with suppress(OSError):
            os.replace(path, path.with_name(path.name + DAMAGED))
    warnings.warn(f"{path}: {reason}; it is set aside as {path.name}{DAMAGED}, and {instead}", stacklevel=2)


def is_set_aside(path: Path) -> bool:
    """Return True if an existing file proved damaged in this process."""
    try:
        return (Path(os.path.abspath(path)), state_of(path)) in _set_aside
    except OSError:
        return False


def warn_unverified(path: Path, remedy: str) -> None:
    """Warn that a file of an older version has no digest; ``remedy`` says what writes one."""
    warnings.warn(f"{path}: unverified, an older version wrote no digest of it; {remedy}", stacklevel=3)


def check_file(path: Path, sha256: str | None, remedy: str) -> None:
    """Compare a file that cannot be made again at once with its recorded digest; without a digest, warn.

    Raises:
        UserError: The file is another one, or cannot be read.
    """
    if sha256 is None:
        warn_unverified(path, remedy)
        return
    try:
        found = file_sha256(path)
    except OSError as error:
        raise UserError("file-unreadable", file=path, strerror=error.strerror) from None
    if found != sha256:
        raise UserError("file-changed", file=path, found=found[:12], recorded=sha256[:12], remedy=remedy)
