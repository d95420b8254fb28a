"""Parquet files that carry the digest of their columns: pages have checksums of their own, the file's end has none."""

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
    with path.open("wb") as file:  # opened here: Arrow takes a relative path with a colon for an address
        pq.write_table(table, file, write_page_checksum=True)


def read_sealed(path: Path) -> tuple[pa.Table, bool]:
    """Return a table, and whether it was compared: tables of 0.1 have no digest.

    Raises:
        ValueError: It is not what was written.
        OSError, pa.ArrowException: It cannot be read.
    """
    table = read_parquet(path)
    said = dict(table.schema.metadata or {})
    written = said.pop(_DIGEST, None)
    if written is not None and written != _digest(table, said):
        raise ValueError("not what was written: its sha256 differs")
    return table, written is not None


def _digest(table: pa.Table, said: dict[bytes, bytes]) -> bytes:
    """sha256 over names and values of the columns and what the file says of itself but for Arrow's own."""
    own = sorted((key, value) for key, value in said.items() if not key.startswith(b"ARROW:"))
    sha256 = hashlib.sha256(repr(own).encode())
    for name in table.column_names:
        column = table.column(name)
        sha256.update(f"{name} {column.type} {len(column)}".encode())
        sha256.update(column.to_numpy().tobytes())
    return sha256.hexdigest().encode()
