"""groups.csv: a user's own word on which videos belong together."""

from __future__ import annotations

import csv
from pathlib import Path

from harness.io.text_files import read_text
from zoo.errors import UserError

TABLE = "groups.csv"


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
                raise UserError(f"{at}: expected two fields, video,group; found {','.join(row)[:80]!r}")
            if table.setdefault(fields[0], fields[1]) != fields[1]:
                raise UserError(f"{at}: {fields[0]} is in two groups; keep one of its lines")
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}; a line is video,group") from None
    return table
