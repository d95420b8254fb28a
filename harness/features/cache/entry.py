"""One entry of the feature cache: written whole or not at all, and never used if it differs from what was written."""

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
    """Versions of the chunk layout, the stream's reader, the encoder and PyTorch that made the features."""

    layout: int
    stream: int
    encoder: int
    torch: str


class FileMeta(TypedDict):
    """Size and digest of one file of an entry."""

    bytes: int
    sha256: str


class EntryMeta(TypedDict, total=False):
    """Metadata of an entry.

    ``error``: the distance of bfloat16 from float32 features, as a share of their length; ``batch``: frames encoded at
    once, fewer than ``chunk`` if memory allowed no more; ``present``: number of rows; ``frames``: number of frames of
    the video.
    """

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
    """Return the folder of all entries."""
    return cache_dir() / "features"


@dataclass(frozen=True)
class Entry:
    """A folder of the cache, which may be damaged or missing."""

    folder: Path

    @classmethod
    def of(cls, key: str) -> Entry:
        """Return the entry of a key, in the present cache folder."""
        return cls(features_folder() / key[:2] / key)

    @property
    def key(self) -> str:
        """The key of the entry: 64 hex digits."""
        return self.folder.name

    @property
    def lock(self) -> Path:
        """The file that is locked while the entry is made or removed."""
        return self.folder.with_name(f"{self.key}.lock")

    @property
    def part(self) -> Path:
        """The folder that the entry is written to before it is complete."""
        return self.folder.with_name(f"{self.key}.part")

    def meta(self) -> EntryMeta:
        """Return the metadata; empty if it is missing or cannot be read."""
        try:
            content = opened(json.loads((self.folder / META).read_bytes()))
        except (OSError, ValueError):
            return {}
        return cast(EntryMeta, content) if content.get("schema") == SCHEMA else {}

    def check(self, *, content: bool = True) -> str | None:
        """Return the fault of the entry, "missing" or a sentence; None if it is whole.

        ``content``: compare the files' digests too, once a process as long as size and times stay the same.
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
        """Return the size of its files in bytes."""
        return sum(file.stat().st_size for file in self.folder.iterdir() if file.is_file())

    def used(self) -> float:
        """Return the time of its last use, in seconds since the epoch."""
        file = self.folder / META
        return (file if file.is_file() else self.folder).stat().st_mtime

    def touch(self) -> None:
        """Record that it is used now; a read-only cache is used all the same."""
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
    """Convert features to the type of an entry; what float16 cannot hold becomes its largest number."""
    limit = float(np.finfo(dtype).max)
    return np.clip(rows, -limit, limit).astype(dtype)


class Writer:
    """A writer of one video's rows as they come, so that memory stays flat; only for the holder of the entry's lock."""

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
        np.lib.format.write_array_header_1_0(self._file, said)  # padded: the number of rows may grow

    def add(self, rows: np.ndarray) -> None:
        """Append rows (N, D)."""
        self._file.write(np.ascontiguousarray(as_stored(rows, self.dtype)).data)
        self.rows += len(rows)

    def finish(self, present: np.ndarray, meta: EntryMeta) -> None:
        """Put the entry in its place, replacing a damaged one."""
        if self.rows != int(present.sum()):
            raise ValueError(f"{self.rows} rows for {int(present.sum())} present frames")

        # The header has the number of rows, which is known only now. Check the length before the digest is taken: the
        # digest of a file that was cut short would declare it whole.
        start = self._file.seek(0)
        self._header()
        header = self._file.tell() - start
        self._file.close()
        expected = header + self.rows * self.dim * self.dtype.itemsize
        part = self.entry.part
        if (part / FEATURES).stat().st_size != expected:
            raise OSError(f"{part / FEATURES} is not as long as what was written to it")

        # Write meta.json last, so that a folder that has it is complete, and rename the folder when all is written.
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
        plain = json.loads(json.dumps(said, default=str))  # the values as they will be read back
        (part / META).write_text(json.dumps(sealed(plain), indent=1), encoding="utf-8")
        remove(self.entry.folder)
        os.rename(part, self.entry.folder)

    def discard(self) -> None:
        """Delete what was written."""
        self._file.close()
        shutil.rmtree(self.entry.part, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove a folder so that no other process sees half of it."""
    gone = folder.with_name(f"{folder.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    try:
        os.rename(folder, gone)
    except FileNotFoundError:
        return
    shutil.rmtree(gone)
