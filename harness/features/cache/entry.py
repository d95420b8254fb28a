"""One entry of the feature cache: written whole or not at all, and never used when it is not what was written."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypedDict, cast

import numpy as np

from harness.io.digests import opened, sealed
from zoo.files import file_sha256
from zoo.weights.cards import cache_dir

SCHEMA = 1
FEATURES, PRESENT, META = "features.npy", "present.npy", "meta.json"


class Versions(TypedDict):
    """What made the features: versions of the chunk layout, the stream's reader, the encoder, and PyTorch."""

    layout: int
    stream: int
    encoder: int
    torch: str


class FileMeta(TypedDict):
    """A file of an entry."""

    bytes: int
    sha256: str


class EntryMeta(TypedDict, total=False):
    """What an entry says of itself. ``error``: of features computed in bfloat16, as a share of their length; ``batch``:
    frames at once where memory allowed no more; ``present``: rows, ``frames``: of the video."""

    schema: int
    video: str
    stream: str
    encoder: str
    argument: str | None
    options: dict[str, Any]
    weights: str | None
    precision: str
    error: float | None
    device: str
    chunk: int
    batch: int
    versions: Versions
    frames: int
    present: int
    dim: int
    store: str
    made: str
    files: dict[str, FileMeta]


def features_folder() -> Path:
    """Where entries are."""
    return cache_dir() / "features"


@dataclass(frozen=True)
class Entry:
    """A folder of the cache, perhaps damaged or not there at all."""

    folder: Path

    @classmethod
    def of(cls, key: str) -> Entry:
        """The entry of a key, wherever the cache is now."""
        return cls(features_folder() / key[:2] / key)

    @property
    def key(self) -> str:
        """What it is addressed by: 64 hex digits."""
        return self.folder.name

    @property
    def lock(self) -> Path:
        """The file that is locked by who makes or removes the entry."""
        return self.folder.with_name(f"{self.key}.lock")

    @property
    def part(self) -> Path:
        """Where it is written."""
        return self.folder.with_name(f"{self.key}.part")

    def meta(self) -> EntryMeta:
        """What it says of itself; empty where that is missing or cannot be read."""
        try:
            content = opened(json.loads((self.folder / META).read_bytes()))
        except (OSError, ValueError):
            return {}
        return cast(EntryMeta, content) if content.get("schema") == SCHEMA else {}

    def check(self, *, content: bool = True) -> str | None:
        """What is wrong with it: "missing", or a sentence; None where it is whole.

        ``content``: the files' digests are compared too, once in this process while size and times stay the same.
        """
        if not self.folder.is_dir():
            return "missing"
        files = self.meta().get("files")
        if not isinstance(files, dict) or {FEATURES, PRESENT} - files.keys():
            return f"{META} is missing or damaged"
        for name in (FEATURES, PRESENT):
            if wrong := _wrong(self.folder / name, files[name], content):
                return wrong
        return None

    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.stat().st_size for file in self.folder.iterdir() if file.is_file())

    def used(self) -> float:
        """When it was last used, seconds since the epoch."""
        file = self.folder / META
        return (file if file.is_file() else self.folder).stat().st_mtime

    def touch(self) -> None:
        """Note that it is used now; a cache that cannot be written to is used all the same."""
        try:
            os.utime(self.folder / META)
        except OSError:
            return


def _wrong(path: Path, said: Any, content: bool) -> str | None:
    try:
        size = path.stat().st_size
        if size != said["bytes"]:
            return f"{path.name} has {size} bytes instead of {said['bytes']}"
        if content and file_sha256(path) != said["sha256"]:
            return f"{path.name} is not what was written: its sha256 differs"
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror}"
    except (KeyError, TypeError):
        return f"{META} is damaged"
    return None


def as_stored(rows: np.ndarray, dtype: Any) -> np.ndarray:
    """Features as an entry has them; what float16 cannot hold becomes its largest number."""
    limit = float(np.finfo(dtype).max)
    return np.clip(rows, -limit, limit).astype(dtype)


class Writer:
    """Rows of one video, written as they come: memory stays flat. For the holder of the entry's lock."""

    def __init__(self, entry: Entry, dim: int, dtype: str) -> None:
        self.entry, self.dim, self.dtype = entry, dim, np.dtype(dtype)
        self.rows = 0
        shutil.rmtree(entry.part, ignore_errors=True)
        entry.part.mkdir(parents=True)
        self._file: BinaryIO = (entry.part / FEATURES).open("wb")
        self._header()

    def _header(self) -> None:
        shape = (self.rows, self.dim)
        said = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, said)  # leaves room for the number of rows to grow

    def add(self, rows: np.ndarray) -> None:
        """Append rows (N, D)."""
        self._file.write(np.ascontiguousarray(as_stored(rows, self.dtype)).data)
        self.rows += len(rows)

    def finish(self, present: np.ndarray, meta: EntryMeta) -> None:
        """Put the entry in its place, over a damaged one."""
        if self.rows != int(present.sum()):
            raise ValueError(f"{self.rows} rows for {int(present.sum())} present frames")
        start = self._file.seek(0)
        self._header()
        header = self._file.tell() - start
        self._file.close()
        expected = header + self.rows * self.dim * self.dtype.itemsize
        part = self.entry.part
        if (part / FEATURES).stat().st_size != expected:
            raise OSError(f"{part / FEATURES} is not as long as what was written to it")
        np.save(part / PRESENT, present)
        files = {
            name: {"bytes": (part / name).stat().st_size, "sha256": file_sha256(part / name)}
            for name in (FEATURES, PRESENT)
        }
        said = {
            "schema": SCHEMA,
            **meta,
            "frames": len(present),
            "present": self.rows,
            "dim": self.dim,
            "store": self.dtype.name,
            "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "files": files,
        }
        plain = json.loads(json.dumps(said, default=str))  # as it will be read
        (part / META).write_text(json.dumps(sealed(plain), indent=1), encoding="utf-8")
        remove(self.entry.folder)
        os.rename(part, self.entry.folder)

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        shutil.rmtree(self.entry.part, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove a folder so that nobody sees half of it."""
    gone = folder.with_name(f"{folder.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    try:
        os.rename(folder, gone)
    except FileNotFoundError:
        return
    shutil.rmtree(gone)
