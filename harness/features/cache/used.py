"""The features.csv of a run: the cache entries that it was made from. Entries that no run names may be removed."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.io.atomic import atomic
from zoo.errors import UserError
from zoo.text import inert

NAME = "features.csv"
_HEAD = ["slot", "video", "key"]
_SEAL = "sha256"
"""Name in the slot column of the last row, whose key is the digest of all the text before it."""


def write_used(path: Path, keys: Mapping[tuple[str, str], str]) -> None:
    """Write (slot, video) -> key as CSV with a last row that holds the digest of the rest.

    Raises UserError if the file cannot be written.
    """
    text = _rows([_HEAD, *([inert(slot), inert(video), key] for (slot, video), key in keys.items())])
    text += _rows([[_SEAL, "", _digest(text)]])
    atomic(path, lambda part: part.write_text(text, encoding="utf-8"))


def read_used(path: Path) -> set[str]:
    """Return the keys. A list of version 0.1 has no digest and is not checked.

    Raises:
        UserError: The content differs from what was written.
        OSError: The file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        rows = list(csv.reader(io.StringIO(text), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise UserError("features-list-damaged", file=path) from None
    if not rows or rows[0] != _HEAD or any(len(row) != len(_HEAD) for row in rows):
        raise UserError("features-list-damaged", file=path)
    body, last = rows[1:], rows[-1]
    if last[0] == _SEAL or not last[1]:  # no video has an empty name
        body.pop()
        if not text.endswith(seal := _rows([last])) or last != [_SEAL, "", _digest(text.removesuffix(seal))]:
            raise UserError("features-list-damaged", file=path)
    return {key for _, _, key in body}


def _rows(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
