"""Memory-mapped access to cached features."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from harness.features.cache.entry import FEATURES, PRESENT, Entry
from harness.features.cache.leases import Lease
from harness.features.cache.used import write_used
from harness.runtime import memory

Key = tuple[str, str]  # slot, video
MAPPED = 64 * 2**20  # bytes kept memory-mapped (LRU); more rarely helps, since the clips of a large set are random


class Features(Protocol):
    """A source of features to cut clips from."""

    def present(self, slot: str, video: str) -> np.ndarray:
        """Return the (n_frames,) bool mask of frames at which the slot has data."""

    def clip(self, slot: str, video: str, start: int, stop: int) -> np.ndarray:
        """Return (stop - start, D) as stored, with zeros where the slot is absent."""


class FeatureStore:
    """The cache entries of every slot and video of an index, and memory-mapped access to their features.

    At most ``MAPPED`` bytes stay mapped, the most recently used. This bounds both memory and open files for a set of
    any size.
    """

    def __init__(self) -> None:
        self.folders: dict[Key, Path] = {}
        self.lease = Lease()
        self.sources: dict[Key, str] = {}  # fingerprints of the data that the features were made from
        self.computed = 0
        self.damaged = 0  # entries that differed from what was written and were computed again
        self._masks: dict[Key, tuple[np.ndarray, np.ndarray]] = {}
        self._headers: dict[Key, tuple[np.dtype[Any], tuple[int, ...], int]] = {}
        self._maps: OrderedDict[Key, np.ndarray] = OrderedDict()
        self._mapped = 0
        self._turn = threading.Lock()  # several threads may read

    def found(self, entry: Entry) -> None:
        """Record that an entry exists and will be used."""
        entry.touch()
        meta = entry.meta()
        if meta.get("batch", 0) < meta.get("chunk", 0):
            memory.note(f"features of {meta['stream']}={meta['encoder']}", meta["batch"])

    def write(self, path: Path) -> None:
        """Write the list of entries in use, which `harness cache gc --keep` reads."""
        write_used(path, {key: folder.name for key, folder in self.folders.items()})

    def present(self, slot: str, video: str) -> np.ndarray:
        """Return the (n_frames,) bool mask of frames at which the slot has data."""
        return self._mask((slot, video))[0]

    def rows(self, slot: str, video: str) -> np.ndarray:
        """Return (present frames, D) float16 or float32, memory-mapped."""
        key = (slot, video)
        with self._turn:
            if key in self._maps:
                self._maps.move_to_end(key)
                return self._maps[key]
            rows = self._map(key)
            self._maps[key] = rows
            self._mapped += rows.nbytes
            while self._mapped > MAPPED and len(self._maps) > 1:
                self._mapped -= self._maps.popitem(last=False)[1].nbytes
            return rows

    def clip(self, slot: str, video: str, start: int, stop: int) -> np.ndarray:
        """Return (stop - start, D) as stored, with zeros where the slot is absent."""
        present, position = self._mask((slot, video))
        rows = self.rows(slot, video)
        seen = present[start:stop]
        out = np.zeros((len(seen), rows.shape[1]), rows.dtype)
        out[seen] = rows[position[start] : position[stop]]
        return out

    def _mask(self, key: Key) -> tuple[np.ndarray, np.ndarray]:
        """Return the mask (n,) of frames with data, and the number of such frames before each frame (n + 1,)."""
        if key not in self._masks:
            present = np.load(self.folders[key] / PRESENT)
            self._masks[key] = present, np.concatenate([[0], np.cumsum(present)]).astype(np.int32)
        return self._masks[key]

    def _map(self, key: Key) -> np.ndarray:
        file = self.folders[key] / FEATURES
        if key not in self._headers:
            rows = np.load(file, mmap_mode="r")
            self._headers[key] = rows.dtype, rows.shape, int(getattr(rows, "offset", 0))
            return rows
        dtype, shape, offset = self._headers[key]  # the header that np.load would read again, five times as fast
        return np.memmap(file, dtype, "r", offset, shape)
