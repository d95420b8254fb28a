"""Packed files as they are read: memory-mapped, any row at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from harness.data.decoding.jpeg import decode_into
from harness.data.packed.metadata import Label, arrow_path, read_label
from zoo.errors import UserError, first_line

COLUMNS = {"jpeg": pa.large_binary(), "samples": pa.int16()}


class Pictures:
    """A packed stream of pictures. ``boxes`` (rows, 4) float32 where it has them, else None."""

    def __init__(self, pack: Path, label: Label) -> None:
        self.label = label
        self.path = arrow_path(pack, label.stream, label.name)
        self._bytes, batches = _mapped(self.path, "jpeg")
        starts, ends, boxes = [], [], []
        for batch in batches:
            column = batch.column("jpeg")
            _, offsets, data = column.buffers()
            edges = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
            place = 0 if data is None else data.address - self._bytes.ctypes.data
            starts.append(edges[:-1] + place)
            ends.append(edges[1:] + place)
            if "x0" in batch.schema.names:
                boxes.append(np.stack([np.from_dlpack(batch.column(c)) for c in ("x0", "y0", "x1", "y1")], axis=1))
        self._turned = label.stream == "face" and bool(label.settings.get("turned", True))
        self._starts = np.concatenate([np.zeros(0, np.int64), *starts])
        self._ends = np.concatenate([np.zeros(0, np.int64), *ends])
        self.boxes = np.concatenate(boxes) if boxes else None

    def present(self, n: int) -> np.ndarray:
        """(n,) bool: which of the first n frames have a picture."""
        out = np.zeros(n, bool)
        there = self._ends[:n] > self._starts[:n]
        out[: len(there)] = there
        return out

    def has(self, index: int) -> bool:
        """Whether a frame has a picture."""
        return index < len(self._starts) and bool(self._ends[index] > self._starts[index])

    def jpeg(self, index: int) -> np.ndarray:
        """The bytes of a picture, (k,) uint8; none where there is none."""
        return self._bytes[self._starts[index] : self._ends[index]]

    def fill(
        self, frames: np.ndarray, places: Sequence[np.ndarray], black: Sequence[Sequence[int]] | None = None
    ) -> None:
        """Put the pictures of some frames that are present into an array (H, W, 3) each, uint8 RGB, resized to it.
        ``black``: a rectangle to blacken in each: left, top, right, bottom. UserError where a picture is damaged."""
        # Little is done between two decodings: threads that decode side by side take turns at whatever Python does.
        edges = zip(self._starts[frames].tolist(), self._ends[frames].tolist(), places, strict=True)
        for k, (start, end, place) in enumerate(edges):
            if not decode_into(self._bytes[start:end], place, turned=self._turned):
                raise UserError("pack-picture-damaged", path=self.path, frame=frames[k] + 1)
            if black is not None:  # at once, while the picture is in the processor's cache
                left, top, right, bottom = black[k]
                place[top:bottom, left:right] = 0


class Samples:
    """A packed sound track: ``samples`` int16, memory-mapped; ``rate`` Hz; ``start`` seconds from the first frame."""

    def __init__(self, pack: Path, label: Label) -> None:
        self.label = label
        _, batches = _mapped(arrow_path(pack, label.stream, label.name), "samples")
        self.samples = batches[0].column("samples").to_numpy() if batches else np.zeros(0, np.int16)
        self.rate, self.start = int(label.settings["rate"]), float(label.settings["start"])


def find(pack: Path | None, stream: str, name: str, source: str) -> Label | None:
    """The label of a packed file made of this very source; None without a pack, or where the source has changed."""
    label = read_label(pack, stream, name) if pack else None
    return label if label and label.source == source else None


def _mapped(path: Path, column: str) -> tuple[np.ndarray, list[pa.RecordBatch]]:
    """A file's bytes and its batches, neither of them copied; UserError where it cannot be read or lacks the column."""
    try:
        whole = pa.memory_map(str(path)).read_buffer()
        reader = pa.ipc.open_file(whole)
        batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        if (kind := reader.schema.field(column).type) != COLUMNS[column]:
            raise pa.ArrowTypeError(f"column {column} of {kind}")
        if column == "samples" and any(batch.column(column).null_count for batch in batches):
            raise pa.ArrowTypeError(f"column {column} has gaps")
    except (OSError, KeyError, pa.ArrowException) as error:
        raise UserError("pack-unreadable", file=path, reason=first_line(error)) from error
    return np.frombuffer(whole, np.uint8), batches
