"""Parquet files that carry their own digest."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.tracking.person_boxes import Boxes, read_boxes, write_boxes
from harness.io.sealed_tables import read_sealed, write_sealed
from tests.support.refusals import refused

TABLE = pa.table({"frame": np.arange(40, dtype=np.int32), "x0": np.float32([np.nan, *range(39)])})
TABLE = TABLE.replace_schema_metadata({b"detector": b"centerface", b"version": b"1"})


def test_a_table_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_sealed(TABLE, path)
    found, compared = read_sealed(path)
    assert compared
    assert found.schema.metadata[b"detector"] == b"centerface"
    for name in TABLE.column_names:
        np.testing.assert_array_equal(found.column(name).to_numpy(), TABLE.column(name).to_numpy())


@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_whatever_bit_flips_the_table_is_the_same_or_refused(
    tmp_path_factory: pytest.TempPathFactory, share: float, bit: int
) -> None:
    path = tmp_path_factory.mktemp("flip") / "table.parquet"
    write_sealed(TABLE, path)
    content = path.read_bytes()
    same_or_refused(path, content, int(len(content) * share), bit)


def test_no_byte_of_the_footer_ends_the_process(tmp_path: Path) -> None:
    """Arrow aborts where a column's metadata with contradicting size statistics is asked for."""
    path = tmp_path / "table.parquet"
    write_sealed(TABLE, path)
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    for at in range(footer, len(content)):
        same_or_refused(path, content, at, bit=0)


def same_or_refused(path: Path, content: bytes, at: int, bit: int) -> None:
    flipped = bytearray(content)
    flipped[at] ^= 1 << bit
    path.write_bytes(flipped)
    try:
        found, compared = read_sealed(path)
    except (ValueError, TypeError, KeyError, OSError, pa.ArrowException):
        return
    assert found.column_names == TABLE.column_names or not compared
    for name in TABLE.column_names if compared else ():
        np.testing.assert_array_equal(found.column(name).to_numpy(), TABLE.column(name).to_numpy())


def boxes() -> Boxes:
    rows = np.arange(20, dtype=np.float32).reshape(5, 4)
    return Boxes(rows, rows + 1, np.ones(5, np.float32), "centerface")


def test_boxes_of_0_1_are_read_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "boxes" / "v.parquet"
    write_boxes(path, boxes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_boxes(path)
    table = pq.read_table(path)
    said = {key: value for key, value in table.schema.metadata.items() if key in (b"detector", b"version")}
    pq.write_table(table.replace_schema_metadata(said), path)  # as 0.1 wrote
    with pytest.warns(UserWarning, match="boxes: unverified, an older version wrote no digest of it"):
        np.testing.assert_array_equal(read_boxes(path).person, boxes().person)


def test_damaged_boxes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "boxes" / "v.parquet"
    write_boxes(path, boxes())
    content = bytearray(path.read_bytes())
    content[content.index(np.float32(7).tobytes())] ^= 4
    path.write_bytes(content)
    with refused("boxes-invalid", file=path):
        read_boxes(path)
