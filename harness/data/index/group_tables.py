"""Read groups.csv, the user's own grouping of videos."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from harness.data.decoding.containers import VIDEO_SUFFIXES
from harness.io.text_files import read_text
from zoo.errors import UserError
from zoo.files import name_key

TABLE = "groups.csv"


def _bare(name: str) -> str:
    """Return a video's name in the form used elsewhere: the table may give its file name."""
    stem, dot, ending = name.rpartition(".")
    return name_key(stem if stem and f"{dot}{ending}".lower() in VIDEO_SUFFIXES else name)


def read_groups(root: Path) -> dict[str, str]:
    """Read the optional ``groups.csv`` (columns ``video,group``) of a data folder as name -> group; {} if absent.

    Raise UserError, with the line, if a row does not have two fields or gives a video a second group.
    """
    path = root / TABLE
    if not os.path.lexists(path):  # a pipe or a broken link of this name is an error, not a set without groups
        return {}
    table: dict[str, str] = {}
    reader = csv.reader(read_text(path).split("\n"), strict=True)
    try:
        for row in reader:
            fields = [field.strip() for field in row]
            if not any(fields) or (reader.line_num == 1 and fields == ["video", "group"]):
                continue
            at = f"{path}, line {reader.line_num}"
            if len(fields) != 2 or not all(fields):
                raise UserError("groups-field-count", at=at, got=",".join(row)[:80])
            name = _bare(fields[0])
            if table.setdefault(name, name_key(fields[1])) != name_key(fields[1]):
                raise UserError("groups-two-groups", at=at, first=fields[0])
    except csv.Error as error:
        raise UserError("groups-invalid", file=path, line=reader.line_num, error=error) from None
    return table
