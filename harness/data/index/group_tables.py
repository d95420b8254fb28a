"""groups.csv: a user's own word on which videos belong together."""

from __future__ import annotations

import csv
from pathlib import Path

from harness.data.decoding.containers import VIDEO_SUFFIXES
from harness.io.text_files import read_text
from zoo.errors import UserError
from zoo.files import name_key

TABLE = "groups.csv"


def _bare(name: str) -> str:
    """A video's name as it is elsewhere; the table may name its file."""
    stem, dot, ending = name.rpartition(".")
    return name_key(stem if stem and f"{dot}{ending}".lower() in VIDEO_SUFFIXES else name)


def read_groups(root: Path) -> dict[str, str]:
    """The optional ``groups.csv`` of a data folder, columns ``video,group``: name -> group; {} where there is none."""
    path = root / TABLE
    if not path.is_file():
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
