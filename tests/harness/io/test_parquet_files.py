"""Tables whose rows are repetitions of one value take memory only as far as an honest one would."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from harness.io.parquet_files import read_parquet
from tests.support.bombs import read_in_child
from tests.support.refusals import refused

CHILD = subprocess


def constant(path: Path, rows: int, columns: int) -> Path:
    """``rows`` of one value each, written a tenth at a time."""
    part = pa.table({f"c{i}": np.zeros(rows // 10) for i in range(columns)})
    with parquet.ParquetWriter(path, part.schema) as writer:
        for _ in range(10):
            writer.write_table(part)
    return path


def test_a_billion_zeros_are_refused_in_little_memory(tmp_path: Path) -> None:
    path = constant(tmp_path / "a.parquet", 100_000_000, 1)
    assert path.stat().st_size < 1_000_000
    found = read_in_child("harness.io.parquet_files:read_parquet", [path])["a.parquet"]
    assert found.code == "memory-inflated"
    assert found.grown < 100
    with refused("memory-inflated", file=path, what="its 100,000,000 rows", declared=800_000_000):
        read_parquet(path)


def test_a_long_text_in_every_row_is_refused(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"video": pa.array(["x" * 5000] * 1000)}), tmp_path / "a.parquet")
    with pytest.raises(pa.ArrowInvalid, match="the column video has a text of more than 4096 bytes"):
        read_parquet(tmp_path / "a.parquet")


def test_lists_are_refused(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a": [[1, 2], [3]]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="holds no single numbers or texts"):
        read_parquet(tmp_path / "a.parquet")


def test_one_answer_to_every_frame_of_a_data_set_is_read(tmp_path: Path) -> None:
    table = pa.table({"video": pa.array(["v"] * 300_000), "frame": np.arange(300_000), "expr": np.zeros(300_000)})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert read_parquet(tmp_path / "a.parquet").equals(table)
    assert read_parquet(tmp_path / "a.parquet", ["expr"]).column_names == ["expr"]
    assert read_parquet(tmp_path / "a.parquet", ["nothing"]).column_names == table.column_names
