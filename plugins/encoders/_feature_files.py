"""Arrays of ``features:DIR`` in four formats, of rows by frame, by second or by segment."""

from __future__ import annotations

import math
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from plugins.encoders._feature_manifest import MANIFEST
from plugins.encoders._segments import Segments
from zoo.errors import UserError, first_line
from zoo.files import open_file
from zoo.limits import FREE, check_parquet, check_stored, open_member

TIMES = ("start", "end")


def read_array(path: Path, key: str, width: int) -> np.ndarray:
    """Read the (rows, width) float32 array of a file. Raise UserError if its format or width is wrong."""
    return _checked(path, _tables(path, key, timed=False)[0], width)


def read_segments(path: Path, key: str, width: int) -> Segments:
    """Read the rows of a file with their starts and ends in seconds.

    These are the columns ``start`` and ``end`` of a .parquet, the arrays (rows,) of these names in an .npz or
    .safetensors, and the first two columns of an .npy. Raise UserError if they are missing or the format is wrong.
    """
    array, times = _tables(path, key, timed=True)
    if times is None:
        array, times = _split_off_times(path, array, width)
    rows = _checked(path, array, width)
    for name, column in zip(TIMES, times, strict=True):
        if column.shape != (len(rows),) or column.dtype.kind not in "fiu":
            raise UserError(
                f"{path}: {name} holds {column.dtype} of shape {column.shape}; it must be a number for each of the "
                f"{len(rows)} rows"
            )
    return Segments(path, rows, *(np.asarray(column, np.float64) for column in times))


def _split_off_times(path: Path, array: np.ndarray, width: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    if array.ndim != 2 or array.shape[1] != width + 2:
        raise UserError(
            f'{path} has the shape {array.shape}; with rate = "segment" an .npy must have 2 + {width} columns: start, '
            "end and the features"
        )
    return array[:, 2:], (array[:, 0], array[:, 1])


def _checked(path: Path, array: np.ndarray, width: int) -> np.ndarray:
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise UserError(f"{path} holds {array.dtype} of shape {array.shape}, not rows of {width} numbers")
    if array.shape[1] != width:
        raise UserError(f"{path} has {array.shape[1]} numbers a row, but {MANIFEST} says width = {width}")
    with np.errstate(over="ignore"):
        rows = array.astype(np.float32)
    if (wrong := np.isinf(rows).any(1)).any():
        raise UserError(f"{path}, row {int(wrong.argmax()) + 1} holds an infinite number, or one too large for float32")
    return rows


Times = tuple[np.ndarray, np.ndarray]


def _tables(path: Path, key: str, *, timed: bool) -> tuple[np.ndarray, Times | None]:
    """Read the array of a file and, if it is ``timed`` and keeps them apart, the starts and ends of its rows."""
    read = _READERS[path.suffix.lower()]
    try:
        return read(path, key, timed)
    except UserError:
        raise
    except Exception as error:  # four libraries raise about ten types for a damaged file
        raise UserError(f"{path} cannot be read: {type(error).__name__}: {first_line(error)[:120]}") from error


def _npy(path: Path, key: str, timed: bool) -> tuple[np.ndarray, Times | None]:
    with open_file(path) as file:
        return _array(path, file, path.stat().st_size), None


def _npz(path: Path, key: str, timed: bool) -> tuple[np.ndarray, Times | None]:
    with zipfile.ZipFile(path) as archive:
        names = {name.removesuffix(".npy"): name for name in archive.namelist()}

        def read(name: str) -> np.ndarray:
            with open_member(path, archive, names[name]) as part:
                return _array(path, part, archive.getinfo(names[name]).file_size)

        return _named(path, key, list(names), read, timed)


def _array(path: Path, file: IO[bytes], size: int) -> np.ndarray:
    """Read the array of an open .npy file of ``size`` bytes.

    The header is checked first, because NumPy allocates the declared size before it reads the first number.
    """
    version = np.lib.format.read_magic(file)
    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, _, dtype = header(file)
    check_stored(path, f"an array of shape {shape}", math.prod(shape) * dtype.itemsize, size)
    file.seek(0)
    return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _safetensors(path: Path, key: str, timed: bool) -> tuple[np.ndarray, Times | None]:
    from safetensors import safe_open

    with safe_open(path, "numpy") as arrays:
        return _named(path, key, list(arrays.keys()), arrays.get_tensor, timed)


def _named(
    path: Path, key: str, names: list[str], read: Callable[[str], np.ndarray], timed: bool
) -> tuple[np.ndarray, Times | None]:
    """Read the array and, if the file is ``timed``, its starts and ends from a file of named arrays."""
    if not timed:
        return read(_which(path, key, names)), None
    _need_times(path, names, "arrays")
    name = _which(path, key, [name for name in names if name not in TIMES])
    return read(name), (read("start"), read("end"))


def _need_times(path: Path, names: Sequence[str], what: str) -> None:
    if not set(TIMES) <= set(names):
        shown = ", ".join(list(names)[:8])
        raise UserError(f'{path}: rate = "segment" needs the {what} start and end, in seconds; it holds {shown}')


def _parquet(path: Path, key: str, timed: bool) -> tuple[np.ndarray, Times | None]:
    import pyarrow.parquet

    with open_file(path) as file:  # opened here: Arrow takes a relative path with a colon for an address
        parquet = pyarrow.parquet.ParquetFile(file, page_checksum_verification=True)
        if not all(
            pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) for kind in parquet.schema_arrow.types
        ):
            raise ValueError("a column holds something other than numbers")
        check_parquet(path, parquet, free=FREE)
        table = parquet.read()
    if twice := next((name for name, count in Counter(table.column_names).items() if count > 1), None):
        raise UserError(f"{path} has two columns named {twice!r}: give each column a name of its own")
    columns = {name: table.column(i).to_numpy() for i, name in enumerate(table.column_names)}
    if timed:
        _need_times(path, list(columns), "columns")
    times = (columns.pop("start"), columns.pop("end")) if timed else None
    return np.column_stack(list(columns.values())), times


def _which(path: Path, key: str, names: list[str]) -> str:
    if key in names:
        return key
    if not key and len(names) == 1:
        return names[0]
    said = f"which is not {key!r}" if key else "so write"
    raise UserError(f"{path} holds the arrays {', '.join(names) or '(none)'}, {said}: key = ... in {MANIFEST}")


_READERS = {
    ".npy": _npy,
    ".npz": _npz,
    ".parquet": _parquet,
    ".safetensors": _safetensors,
}
