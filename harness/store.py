"""Where features lie, and a thread that keeps a slow iterator ahead of its user."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

Item = TypeVar("Item")


class FeatureStore:
    """Where the features of every slot and video of an index lie."""

    def __init__(self) -> None:
        self.folders: dict[tuple[str, str], Path] = {}
        self.computed = 0
        self._open: dict[tuple[str, str], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def present(self, slot: str, video: str) -> np.ndarray:
        """(n_frames,) bool."""
        return self._load(slot, video)[1]

    def rows(self, slot: str, video: str) -> np.ndarray:
        """(present frames, D) float16, memory-mapped."""
        return self._load(slot, video)[0]

    def clip(self, slot: str, video: str, start: int, stop: int) -> np.ndarray:
        """(stop - start, D) float16; zeros where absent."""
        rows, present, position = self._load(slot, video)
        seen = present[start:stop]
        out = np.zeros((len(seen), rows.shape[1]), np.float16)
        out[seen] = rows[position[start] : position[start] + int(seen.sum())]
        return out

    def _load(self, slot: str, video: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        key = (slot, video)
        if key not in self._open:
            folder = self.folders[key]
            present = np.load(folder / "present.npy")
            position = np.concatenate([[0], np.cumsum(present)])
            self._open[key] = (np.load(folder / "features.npy", mmap_mode="r"), present, position)
        return self._open[key]


def ahead(make: Callable[[], Iterator[Item]], depth: int) -> Iterator[Item]:
    """Run an iterator in a thread, ``depth`` items ahead. An exception in it is raised here."""
    items: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    stop = threading.Event()

    def put(kind: str, value: Any) -> None:
        while not stop.is_set():
            try:
                items.put((kind, value), timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in make():
                if stop.is_set():
                    return
                put("item", item)
            put("end", None)
        except BaseException as error:  # handed over, raised in the main thread
            put("error", error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = items.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        stop.set()
        thread.join()
