"""Parquet files with a digest of their columns; parquet has checksums for pages but none for the file's end."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from harness.io.parquet_files import read_parquet

_DIGEST = b"content_sha256"


def write_sealed(table: pa.Table, path: Path) -> None:
    """Write a table with page checksums and the digest of its columns and metadata."""
    said = dict(table.schema.metadata or {})
    table = table.replace_schema_metadata({**said, _DIGEST: _digest(table, said)})
    with path.open("wb") as file:  # opened here: Arrow takes a relative path with a colon for a URI
        pq.write_table(table, file, write_page_checksum=True)


def read_sealed(path: Path) -> tuple[pa.Table, bool]:
    """Return a table, and whether it was compared: tables of version 0.1 have no digest.

    Raises:
        ValueError: The content differs from what was written.
        OSError, pa.ArrowException: The file cannot be read.
    """
    table = read_parquet(path)
    said = dict(table.schema.metadata or {})
    written = said.pop(_DIGEST, None)
    if written is not None and written != _digest(table, said):
        raise ValueError("not what was written: its sha256 differs")
    return table, written is not None


def _digest(table: pa.Table, said: dict[bytes, bytes]) -> bytes:
    """Return the sha256 over names and values of the columns and the file's metadata, except Arrow's own."""
    own = sorted((key, value) for key, value in said.items() if not key.startswith(b"ARROW:"))
    sha256 = hashlib.sha256(repr(own).encode())
    for name in table.column_names:
        column = table.column(name)
        sha256.update(f"{name} {column.type} {len(column)}".encode())
        sha256.update(column.to_numpy().tobytes())
    return sha256.hexdigest().encode()
