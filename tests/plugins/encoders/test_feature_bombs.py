"""Files of features that declare more than they have are refused in little memory; what compresses well is read."""

from __future__ import annotations

import io
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from plugins.encoders._feature_files import read_array
from tests.support.bombs import read_in_child
from tests.support.refusals import refused

CHILD = subprocess
HUGE = 400_000_000


def header(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": kind, "fortran_order": False, "shape": shape})
    return out.getvalue()


def zipped(path: Path, how: int, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        archive.writestr("features.npy", content)
    return path


def short_npy(path: Path) -> Path:
    path.write_bytes(header((HUGE, 512)) + bytes(64))
    return path


def short_npz(path: Path) -> Path:
    return zipped(path, zipfile.ZIP_DEFLATED, header((HUGE, 512)) + bytes(64))


def zeros_npz(path: Path) -> Path:
    return zipped(path, zipfile.ZIP_DEFLATED, header((HUGE // 4, 1)) + bytes(HUGE))


def finer_npz(path: Path) -> Path:
    return zipped(path, zipfile.ZIP_LZMA, header((HUGE // 4, 1)) + bytes(HUGE))


def constant_parquet(path: Path) -> Path:
    table = pa.table({"a": np.zeros(HUGE // 8)})
    parquet.write_table(table, path, row_group_size=1 << 26)
    return path


def texts_parquet(path: Path) -> Path:
    parquet.write_table(pa.table({"a": pa.array(["x" * 1_000_000] * 500)}), path)
    return path


BOMBS = {
    short_npy: ("a.npy", "memory-beyond-file"),
    short_npz: ("b.npz", "memory-beyond-file"),
    zeros_npz: ("c.npz", "memory-inflated"),
    finer_npz: ("d.npz", "plugin-error"),
    constant_parquet: ("e.parquet", "memory-inflated"),
    texts_parquet: ("f.parquet", "plugin-error"),
}


def test_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    files = [make(tmp_path / name) for make, (name, _) in BOMBS.items()]
    assert all(file.stat().st_size < 3_000_000 for file in files)
    found = read_in_child("plugins.encoders._feature_files:read_array", files, {"key": "", "width": 1})
    assert {name: reading.code for name, reading in found.items()} == dict(BOMBS.values())
    assert not any("\n" in reading.text or "Memory" in reading.text for reading in found.values())
    assert max(reading.grown for reading in found.values()) < 150, found


def test_the_error_names_the_file(tmp_path: Path) -> None:
    with refused("memory-beyond-file", file=short_npy(tmp_path / "a.npy"), declared=4 * 512 * HUGE):
        read_array(tmp_path / "a.npy", "", 512)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.parquet"])
def test_zeros_of_a_long_video_are_read(tmp_path: Path, name: str) -> None:
    rows = np.zeros((20_000, 128), np.float32)
    if name.endswith(".npy"):
        np.save(tmp_path / name, rows)
    elif name.endswith(".npz"):
        np.savez_compressed(tmp_path / name, features=rows)
    else:
        parquet.write_table(pa.table({f"f{i}": column for i, column in enumerate(rows.T)}), tmp_path / name)
    assert np.array_equal(read_array(tmp_path / name, "", 128), rows)


def test_an_array_in_the_order_of_columns_is_read(tmp_path: Path) -> None:
    rows = np.asfortranarray(np.arange(12, dtype=np.float64).reshape(3, 4))
    np.savez(tmp_path / "a.npz", other=rows[0], features=rows)
    assert np.array_equal(read_array(tmp_path / "a.npz", "features", 4), rows)
