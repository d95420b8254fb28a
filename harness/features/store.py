"""Where features lie."""

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
MAPPED = 64 * 2**20  # bytes of features that stay mapped: of random clips of a large set few meet a map that is there


class Features(Protocol):
    """What clips are cut from."""

    def present(self, slot: str, video: str) -> np.ndarray:
        """(n_frames,) bool."""

    def clip(self, slot: str, video: str, start: int, stop: int) -> np.ndarray:
        """(stop - start, D) as stored; zeros where absent."""


class FeatureStore:
    """Where the features of every slot and video of an index lie. Files are memory-mapped; of those looked at before
    only ``MAPPED`` bytes stay so, which bounds both memory and open files whatever the size of the set."""

    def __init__(self) -> None:
        self.folders: dict[Key, Path] = {}
        self.lease = Lease()
        self.sources: dict[Key, str] = {}  # fingerprints of what they are of
        self.computed = 0
        self.damaged = 0  # entries that were not what had been written, and were computed again
        self._masks: dict[Key, tuple[np.ndarray, np.ndarray]] = {}
        self._headers: dict[Key, tuple[np.dtype[Any], tuple[int, ...], int]] = {}
        self._maps: OrderedDict[Key, np.ndarray] = OrderedDict()
        self._mapped = 0
        self._turn = threading.Lock()  # several threads may read

    def found(self, entry: Entry) -> None:
        """An entry is there and will be used."""
        entry.touch()
        meta = entry.meta()
        if meta.get("batch", 0) < meta.get("chunk", 0):
            memory.note(f"features of {meta['stream']}={meta['encoder']}", meta["batch"])

    def write(self, path: Path) -> None:
        """The list of what is used: what `harness cache gc --keep` looks at."""
        write_used(path, {key: folder.name for key, folder in self.folders.items()})

    def present(self, slot: str, video: str) -> np.ndarray:
        """(n_frames,) bool."""
        return self._mask((slot, video))[0]

    def rows(self, slot: str, video: str) -> np.ndarray:
        """(present frames, D) float16 or float32, memory-mapped."""
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
        """(stop - start, D) as stored; zeros where absent."""
        present, position = self._mask((slot, video))
        rows = self.rows(slot, video)
        seen = present[start:stop]
        out = np.zeros((len(seen), rows.shape[1]), rows.dtype)
        out[seen] = rows[position[start] : position[stop]]
        return out

    def _mask(self, key: Key) -> tuple[np.ndarray, np.ndarray]:
        """Where a slot has data (n,), and how many frames before each do (n + 1,)."""
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
        dtype, shape, offset = self._headers[key]  # what np.load would find again, five times as fast
        return np.memmap(file, dtype, "r", offset, shape)
