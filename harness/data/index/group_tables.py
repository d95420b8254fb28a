"""Read groups.csv, the user's own grouping of videos."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from harness.data.decoding.containers import without_ending
from harness.io.text_files import read_text
from zoo.errors import UserError
from zoo.files import name_key
from zoo.registry.suggestions import did_you_mean
from zoo.text import visible

TABLE = "groups.csv"


UNKNOWN = f"{TABLE} has entries that name no video"
"""Beginning of the note on such entries."""
_MOST = 5  # entries that a note names


def _bare(name: str) -> str:
    """Return a video's name in the form used elsewhere: the table may give the path of its file."""
    return name_key(without_ending(name.replace("\\", "/").rpartition("/")[2]))


def unknown_note(entries: Iterable[str], known: Collection[str]) -> str:
    """Return a note on the entries of the table that name no known video, with the names that are near; "" if none."""
    unknown = sorted(set(entries) - set(known))
    if not unknown:
        return ""
    nearest = ((name, did_you_mean(name, known).rstrip("? ")) for name in unknown[:_MOST])
    named = ", ".join(f"{name} ({near}?)" if near else name for name, near in nearest)
    more = f" and {len(unknown) - _MOST} more" if len(unknown) > _MOST else ""
    return f"{UNKNOWN}: {named}{more}; correct or remove them, or those videos keep their own groups"


def read_groups(root: Path) -> dict[str, str]:
    """Read the optional ``groups.csv`` (columns ``video,group``) of a data folder as name -> group; {} if absent.

    Raise UserError, with the line, if a row does not have two fields, has invisible characters, or gives a video a
    second group.
    """
    path = root / TABLE
    if not os.path.lexists(path):  # a pipe or a broken link of this name is an error, not a set without groups
        return {}
    table: dict[str, str] = {}
    reader = csv.reader(read_text(path).split("\n"), strict=True)
    try:
        for row in reader:
            fields = [field.strip() for field in row]
            header = reader.line_num == 1 and [field.lower() for field in fields] == ["video", "group"]
            if header or not any(fields):
                continue
            at = f"{path}, line {reader.line_num}"
            if len(fields) != 2 or not all(fields):
                raise UserError("groups-field-count", at=at, got=",".join(row)[:80])
            if any(visible(field) != field for field in fields):
                raise UserError("groups-unprintable", at=at, got=ascii(",".join(fields))[:80])
            name = _bare(fields[0])
            if table.setdefault(name, name_key(fields[1])) != name_key(fields[1]):
                raise UserError("groups-two-groups", at=at, first=fields[0])
    except csv.Error as error:
        raise UserError("groups-invalid", file=path, line=reader.line_num, error=error) from None
    return table
