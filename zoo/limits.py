"""How much memory a file may ask for: what it declares is compared before anything is made of it.

A few kilobytes can declare gigabytes: zeros compress a thousandfold, a table repeats one value a billion times, a
picture's header is four numbers. So whoever reads a file that somebody else made asks here first, with the size that
the file has on the disk. A file that is truly large may declare much; a small one may not.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from zoo.errors import UserError

FREE = 64 << 20
"""Bytes that any file may declare: every machine has them, and absent features are zeros, which compress well."""

TABLE = 512 << 20
"""The same of a table, whose constant columns take no space: one answer to all 2.8 million frames of Aff-Wild2 is an
honest baseline, 20 columns of 8 bytes each."""

RATIO = 32
"""Bytes that a file may declare for each that it has: features with nine zeros in ten are compressed to a tenth, and a
pickle's smallest objects take some twenty times their instructions."""

PIXELS = 1 << 26
"""Of one picture: twice those of 8K video, 200 MB as RGB."""

CELL = 4096
"""Bytes of one text in a table: names of videos have 255 at most."""


def check_inflation(file: str | os.PathLike[str], what: str, declared: int, stored: int, *, free: int = FREE) -> None:
    """Compare the bytes that a part of a file would take in memory with the bytes that are stored for it.

    Raises:
        UserError: It declares more than ``free`` and more than RATIO times what is stored.
    """
    limit = max(free, RATIO * stored)
    if declared > limit:
        raise UserError("memory-inflated", file=file, what=what, declared=_shown(declared), limit=limit)


def check_stored(file: str | os.PathLike[str], what: str, declared: int, stored: int) -> None:
    """Compare the same where nothing is compressed: not a byte more than the file has.

    Raises:
        UserError: It declares more.
    """
    if declared > stored:
        raise UserError("memory-beyond-file", file=file, what=what, declared=_shown(declared), limit=stored)


@dataclass
class Allowance:
    """What is made of a file bit by bit, against check_inflation. ``spent``: bytes in memory so far."""

    file: str | os.PathLike[str]
    what: str
    stored: int
    spent: int = 0

    def spend(self, count: int) -> None:
        """Count some bytes that are about to be made.

        Raises:
            UserError: They are too many for a file of its size.
        """
        self.spent += count
        check_inflation(self.file, self.what, self.spent, self.stored)


def check_picture(file: str | os.PathLike[str], width: int, height: int) -> None:
    """Compare a picture's size with PIXELS.

    Raises:
        UserError: It has more.
    """
    if width * height > PIXELS:
        raise UserError("memory-picture", file=file, width=width, height=height, limit=PIXELS)


def read_member(file: str | os.PathLike[str], archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the content of one part of a zip file.

    Raises:
        UserError: It declares too many bytes.
        KeyError, zipfile.BadZipFile: There is none of that name, or it is damaged.
    """
    with open_member(file, archive, name) as part:
        return part.read(archive.getinfo(name).file_size)


def open_member(file: str | os.PathLike[str], archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open one part of a zip file, to be read with a number of bytes: without one, zipfile unpacks what it finds
    before it looks at what is declared. Other compressions than deflate are always unpacked so, a thousand times finer.

    Raises:
        UserError: It declares too many bytes.
        KeyError, zipfile.BadZipFile: There is none of that name, or it is damaged or compressed in another way.
    """
    entry = archive.getinfo(name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"{name} is compressed by method {entry.compress_type}")
    # What is declared as stored may be as wrong: no part has more than the file.
    stored = min(entry.compress_size, Path(file).stat().st_size)
    check_inflation(file, name, entry.file_size, stored)
    return archive.open(entry)


def check_parquet(
    file: str | os.PathLike[str], parquet: Any, names: list[str] | None = None, *, free: int = TABLE
) -> None:
    """Compare what the footer of an open ``pyarrow.parquet.ParquetFile`` declares of the columns ``names`` (default:
    all), unpacked and as rows in memory: one value may stand for all rows.

    Raises:
        UserError: It declares too many bytes.
        ValueError: A column holds lists or wide fixed values, of which rows tell no size.
    """
    stored, schema, rows = Path(file).stat().st_size, parquet.schema, parquet.metadata.num_rows
    chosen = [i for i in range(len(schema)) if names is None or schema.column(i).path.split(".")[0] in names]
    row = sum(_width(schema.column(i)) for i in chosen)
    groups = [parquet.metadata.row_group(g) for g in range(parquet.metadata.num_row_groups)]
    pages = sum(group.column(i).total_uncompressed_size for group in groups for i in chosen)
    check_inflation(file, f"its {rows:,} rows", rows * row, stored, free=free)
    check_inflation(file, "its columns", pages, stored, free=free)


def _width(column: Any) -> int:
    """Bytes a row of a parquet column; of a text those of its number in a dictionary."""
    if column.max_repetition_level or column.length > 16:
        raise ValueError(f"the column {column.path} holds no single numbers or texts")
    widths = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "BYTE_ARRAY": 4, "INT96": 12, "FIXED_LEN_BYTE_ARRAY": column.length}
    return widths.get(column.physical_type, 8)


def _shown(declared: int) -> int:
    """A number that can be written: a file may declare one of a million digits."""
    return min(declared, 1 << 63)
