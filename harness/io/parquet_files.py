"""Read parquet files of any origin.

The declared size is checked before reading, because one value may stand for a billion rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from zoo.files import open_file
from zoo.limits import CELL, check_parquet


def read_parquet(path: Path, choose: Sequence[str] | None = None, prefix: str | None = None) -> pa.Table:
    """Return the table of a file.

    Only the columns in ``choose`` and those that begin with ``prefix`` are read; all columns if the file has none of
    these, or if ``choose`` is None.

    Raises:
        UserError: It declares more than a file of its size may.
        pa.ArrowException, OSError, ValueError: It is damaged, or is not a table of numbers and texts.
    """
    with open_file(path) as content:  # opened here: Arrow takes a relative path with a colon for a URI
        there = parquet.read_schema(content)
        wanted = [n for n in there.names if choose is None or n in choose or (prefix and n.startswith(prefix))]
        wanted = wanted or there.names
        texts = [field.name for field in there if _is_text(field.type)]
        content.seek(0)
        return _read(path, content, wanted, texts)


def _read(path: Path, content: IO[bytes], names: list[str], texts: list[str]) -> pa.Table:
    """Read texts as dictionary indices first, so that a long text that is in every row is held once."""
    file = parquet.ParquetFile(content, page_checksum_verification=True, read_dictionary=texts)
    check_parquet(path, file, names)
    table = file.read(columns=names)
    for at, name in enumerate(table.column_names):
        if pa.types.is_dictionary(table.field(at).type):
            _check_texts(table.column(at), name)
        if name in texts:
            table = table.set_column(at, name, table.column(at).cast(pa.string()))
    return table


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)


def _check_texts(column: pa.ChunkedArray, name: str) -> None:
    for chunk in column.chunks:
        if _is_text(chunk.dictionary.type) and (pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0) > CELL:
            raise pa.ArrowInvalid(f"the column {name} has a text of more than {CELL} bytes")
