"""Memory limits for files: compare the size a file declares with its size on disk, before allocating.

A few kilobytes can declare gigabytes: zeros compress a thousandfold, a table repeats one value a billion times, and an
image header is four numbers. Every reader of foreign files therefore checks here first. A file that is large on disk
may declare much; a small one may not.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from zoo.errors import UserError
from zoo.files import PART_BYTES, is_plain

FREE = 64 << 20
"""Bytes that any file may declare. Every machine has them, and absent features are zeros, which compress well."""

TABLE = 512 << 20
"""Bytes that any table may declare. Constant columns take no space on disk: one prediction for all 2.8 million frames
of Aff-Wild2 is a legitimate baseline, 20 columns of 8 bytes each.
"""

RATIO = 32
"""Declared bytes allowed per byte on disk. Features of which nine in ten are zero compress to a tenth, and a pickle's
smallest objects take some twenty times their instructions.
"""

PIXELS = 1 << 26
"""Pixels of one image: twice those of 8K video, 200 MB as RGB."""

NAME = 255
"""Bytes of a file's name, on all file systems in use."""

CELL = 4096
"""Bytes of one text in a table; names of videos have at most 255."""


def check_inflation(file: str | os.PathLike[str], what: str, declared: int, stored: int, *, free: int = FREE) -> None:
    """Compare the bytes that a part of a file would take in memory with the bytes stored for it.

    Raises:
        UserError: The part declares more than ``free`` and more than RATIO times the stored bytes.
    """
    limit = max(free, RATIO * stored)
    if declared > limit:
        raise UserError("memory-inflated", file=file, what=what, declared=_shown(declared), limit=limit)


def check_stored(file: str | os.PathLike[str], what: str, declared: int, stored: int) -> None:
    """Compare the bytes that an uncompressed part of a file declares with the bytes stored for it.

    Raises:
        UserError: The part declares more bytes than are stored.
    """
    if declared > stored:
        raise UserError("memory-beyond-file", file=file, what=what, declared=_shown(declared), limit=stored)


@dataclass
class Allowance:
    """A running memory budget for a file that is decoded step by step, checked by check_inflation.

    Attributes:
        file: The file.
        what: The part of it, for the message.
        stored: Bytes on disk.
        spent: Bytes in memory so far.
    """

    file: str | os.PathLike[str]
    what: str
    stored: int
    spent: int = 0

    def spend(self, count: int) -> None:
        """Count bytes that are about to be allocated.

        Raises:
            UserError: The total is too large for a file of this size.
        """
        self.spent += count
        check_inflation(self.file, self.what, self.spent, self.stored)


def check_picture(file: str | os.PathLike[str], width: int, height: int) -> None:
    """Compare the size of an image with PIXELS.

    Raises:
        UserError: The image has more pixels.
    """
    if width * height > PIXELS:
        raise UserError("memory-picture", file=file, width=width, height=height, limit=PIXELS)


def check_plain(name: object) -> None:
    """Raise UserError if a name or path cannot be written down; see ``zoo.files.is_plain``."""
    if not is_plain(str(name)):
        raise UserError("name-unprintable", name=ascii(str(name)))


def check_name(file: str | os.PathLike[str], output: str) -> None:
    """Compare the length of the name of an output with NAME, including what its temporary name adds.

    Args:
        file: The user's file from which the output has its name.
        output: The name of the output.

    Raises:
        UserError: The name is too long.
    """
    excess = len(os.fsencode(output)) + PART_BYTES - NAME
    if excess > 0:
        raise UserError("name-too-long", file=file, excess=excess)


def read_member(file: str | os.PathLike[str], archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the content of one member of a zip file.

    Raises:
        UserError: The member declares too many bytes.
        KeyError: There is no member of that name.
        zipfile.BadZipFile: The member is damaged.
    """
    with open_member(file, archive, name) as part:
        return part.read(archive.getinfo(name).file_size)


def open_member(file: str | os.PathLike[str], archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open one member of a zip file. Read it with a number of bytes.

    Without a number, zipfile decompresses everything before it compares with the declared size. Methods other than
    deflate are refused: zipfile always decompresses those in this way, and they compress a thousand times better.

    Raises:
        UserError: The member declares too many bytes.
        KeyError: There is no member of that name.
        zipfile.BadZipFile: The member is damaged, or compressed by another method.
    """
    entry = archive.getinfo(name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"{name} is compressed by method {entry.compress_type}")
    # The compressed size is also only a claim: no member is larger than the file.
    stored = min(entry.compress_size, Path(file).stat().st_size)
    check_inflation(file, name, entry.file_size, stored)
    return archive.open(entry)


def check_parquet(
    file: str | os.PathLike[str], parquet: Any, names: list[str] | None = None, *, free: int = TABLE
) -> None:
    """Compare the sizes that the footer of an open ``pyarrow.parquet.ParquetFile`` declares with the file's size.

    Both the decompressed columns and the rows in memory are checked, because one stored value may stand for all rows.

    Args:
        file: The file.
        parquet: The open file.
        names: The columns to check; None: all.
        free: Bytes that any table may declare.

    Raises:
        UserError: The footer declares too many bytes.
        ValueError: A column holds lists or wide fixed-size values, whose size does not follow from the rows.
    """
    stored, schema, rows = Path(file).stat().st_size, parquet.schema, parquet.metadata.num_rows
    chosen = [i for i in range(len(schema)) if names is None or schema.column(i).path.split(".")[0] in names]
    row = sum(_width(schema.column(i)) for i in chosen)
    check_inflation(file, f"its {rows:,} rows", rows * row, stored, free=free)
    # The sizes of whole row groups: Arrow ends the process where the metadata of one column, which would tell how much
    # of them is chosen, contradicts itself (its size statistics; seen in pyarrow 26.0).
    groups = [parquet.metadata.row_group(g) for g in range(parquet.metadata.num_row_groups)]
    check_inflation(file, "its columns", sum(group.total_byte_size for group in groups), stored, free=free)


def _width(column: Any) -> int:
    """Return the bytes per row of a parquet column; for texts those of the index into the dictionary."""
    if column.max_repetition_level or column.length > 16:
        raise ValueError(f"the column {column.path} holds no single numbers or texts")
    widths = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "BYTE_ARRAY": 4, "INT96": 12, "FIXED_LEN_BYTE_ARRAY": column.length}
    return widths.get(column.physical_type, 8)


def _shown(declared: int) -> int:
    """Return a number that can be printed: a file may declare one with a million digits."""
    return min(declared, 1 << 63)
