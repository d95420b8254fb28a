"""Read packed files: memory-mapped, with random access to rows."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

import numpy as np
import pyarrow as pa

from harness.data.decoding.jpeg import decode_into
from harness.data.packed.metadata import AGAIN, Label, arrow_path, read_label, table_sha256
from harness.io.digests import checksum, set_aside
from zoo.errors import UserError, first_line
from zoo.files import file_sha256

COLUMNS = {"jpeg": pa.large_binary(), "samples": pa.int16()}
T = TypeVar("T")


class DamagedPackError(UserError):
    """A packed file that differs from what was written. It is set aside, so that a retry reads its source."""


def from_source(work: Callable[[], T]) -> T:
    """Call ``work``, which reads packed files, and call it again for each file that proves damaged."""
    while True:
        try:
            return work()
        except DamagedPackError:
            continue


class Pictures:
    """A packed stream of pictures. ``boxes``: (rows, 4) float32, or None if the file has none.

    Raises:
        DamagedPackError: The file differs from its label. Pictures are checked as they are read; a file of version
            0.1, which has no checksums of them, is checked here as a whole.
    """

    def __init__(self, pack: Path, label: Label) -> None:
        self.label = label
        self.path = arrow_path(pack, label.stream, label.name)
        self._bytes, batches = _mapped(self.path, "jpeg")
        try:
            self._read_table(batches)
        except (ValueError, TypeError, IndexError, pa.ArrowException) as error:
            raise _unreadable(self.path, first_line(error)) from error
        self._turned = label.stream == "face" and bool(label.settings.get("turned", True))
        self._check()

    def _read_table(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Read the place of each picture in the file, its checksum, and the person's box."""
        starts, ends, boxes, checksums = [], [], [], []
        for batch in batches:
            column = batch.column("jpeg")
            _, offsets, data = column.buffers()
            edges = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
            place = 0 if data is None else data.address - self._bytes.ctypes.data
            starts.append(edges[:-1] + place)
            ends.append(edges[1:] + place)
            if "crc" in batch.schema.names:
                checksums.append(batch.column("crc").to_numpy())
            if "x0" in batch.schema.names:
                boxes.append(np.stack([np.from_dlpack(batch.column(c)) for c in ("x0", "y0", "x1", "y1")], axis=1))
        self._starts = np.concatenate([np.zeros(0, np.int64), *starts])
        self._ends = np.concatenate([np.zeros(0, np.int64), *ends])
        self.boxes = np.concatenate(boxes) if boxes else None
        self._checksums = np.concatenate([np.zeros(0, np.uint32), *checksums])

    def _check(self) -> None:
        """Compare everything but the pictures with the label; the whole file if rows have no checksums."""
        if not self.label.table:
            _check_whole(self.path, self.label)
        elif self.label.table != table_sha256(self._ends - self._starts, self._checksums, self.boxes):
            raise _unreadable(self.path, "its table of rows differs from its label")

    def present(self, n: int) -> np.ndarray:
        """Return (n,) bool: those of the first n frames that have a picture."""
        out = np.zeros(n, bool)
        there = self._ends[:n] > self._starts[:n]
        out[: len(there)] = there
        return out

    def has(self, index: int) -> bool:
        """Return True if a frame has a picture."""
        return index < len(self._starts) and bool(self._ends[index] > self._starts[index])

    def jpeg(self, index: int) -> np.ndarray:
        """Return the bytes of a picture, (k,) uint8; k is 0 if there is no picture."""
        return self._bytes[self._starts[index] : self._ends[index]]

    def fill(
        self, frames: np.ndarray, places: Sequence[np.ndarray], black: Sequence[Sequence[int]] | None = None
    ) -> None:
        """Write the pictures of the given frames, all present, into one array (H, W, 3) uint8 RGB each, resized to it.

        ``black``: a rectangle (left, top, right, bottom) to black out in each picture. Raise DamagedPackError, a
        UserError, if a picture is damaged.
        """
        # Do little between two decodings: it holds the interpreter's lock, for which the decoding threads then wait.
        edges = zip(self._starts[frames].tolist(), self._ends[frames].tolist(), places, strict=True)
        for k, (start, end, place) in enumerate(edges):
            data = self._bytes[start:end]
            if self.label.table and checksum(data.data) != self._checksums[frames[k]]:
                self._refuse(int(frames[k]))
            if not decode_into(data, place, turned=self._turned):
                self._refuse(int(frames[k]))
            if black is not None:  # now, while the picture is still in the processor's cache
                left, top, right, bottom = black[k]
                place[top:bottom, left:right] = 0

    def _refuse(self, frame: int) -> NoReturn:
        kind = DamagedPackError
        error = kind("pack-picture-damaged", path=self.path, frame=frame + 1)
        set_aside(self.path, f"the picture of frame {frame + 1} differs from what was packed", AGAIN)
        raise error


class Samples:
    """A packed sound track: ``samples`` int16, memory-mapped; ``rate`` Hz; ``start`` seconds from the first frame.

    Raises:
        DamagedPackError: The file differs from its label; sound is checked as a whole.
    """

    def __init__(self, pack: Path, label: Label) -> None:
        self.label = label
        path = arrow_path(pack, label.stream, label.name)
        _check_whole(path, label)
        _, batches = _mapped(path, "samples")
        self.samples = batches[0].column("samples").to_numpy() if batches else np.zeros(0, np.int16)
        self.rate, self.start = int(label.settings["rate"]), float(label.settings["start"])


def find(pack: Path | None, stream: str, name: str, source: str) -> Label | None:
    """Return the label of a packed file made from this source; None without a pack or if the source has changed."""
    label = read_label(pack, stream, name) if pack else None
    return label if label and label.source == source else None


def open_pictures(pack: Path | None, stream: str, name: str, source: str) -> Pictures | None:
    """Open the packed stream of pictures made from this source.

    Return None if there is none or if it is damaged; a damaged file is set aside.
    """
    label = find(pack, stream, name, source)
    return _opened(pack, label, Pictures) if pack and label else None


def open_samples(pack: Path | None, name: str, source: str) -> Samples | None:
    """Open the packed sound track made from this source; None if there is none or if it is damaged."""
    label = find(pack, "audio", name, source)
    return _opened(pack, label, Samples) if pack and label else None


def _opened(pack: Path, label: Label, kind: Callable[[Path, Label], T]) -> T | None:
    try:
        return kind(pack, label)
    except DamagedPackError as error:
        set_aside(arrow_path(pack, label.stream, label.name), str(error.fields["reason"]), AGAIN)
        return None


def _check_whole(path: Path, label: Label) -> None:
    try:
        found = file_sha256(path)
    except OSError as error:
        raise _unreadable(path, first_line(error)) from error
    if found != label.sha256:
        raise _unreadable(path, "its sha256 differs from its label")


def _unreadable(path: Path, reason: str) -> DamagedPackError:
    kind = DamagedPackError
    return kind("pack-unreadable", file=path, reason=reason)


def _mapped(path: Path, column: str) -> tuple[np.ndarray, list[pa.RecordBatch]]:
    """Return a file's bytes and its batches, without copying either.

    Raise DamagedPackError if the file cannot be read or lacks the column.
    """
    try:
        whole = pa.memory_map(str(path)).read_buffer()
        reader = pa.ipc.open_file(whole)
        _refuse_compressed(whole, reader.num_record_batches)
        batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        if (kind := reader.schema.field(column).type) != COLUMNS[column]:
            raise pa.ArrowTypeError(f"column {column} of {kind}")
        if column == "samples" and any(batch.column(column).null_count for batch in batches):
            raise pa.ArrowTypeError(f"column {column} has gaps")
    except (OSError, KeyError, struct.error, pa.ArrowException) as error:
        raise _unreadable(path, first_line(error)) from error
    return np.frombuffer(whole, np.uint8), batches


def _refuse_compressed(whole: pa.Buffer, batches: int) -> None:
    """Raise pa.ArrowInvalid if a batch's buffers are compressed.

    `writer` never compresses them, so that rows can be read in place. Arrow would allocate what a file says that they
    unpack to, before anything can be compared. pyarrow has no name for that field, hence the flatbuffer's own layout:
    Message.header is field 2, RecordBatch.compression is field 3 (Schema.fbs and Message.fbs of Apache Arrow).
    """
    source = pa.BufferReader(whole)
    source.seek(len(b"ARROW1\0\0"))
    while batches:
        message = pa.ipc.read_message(source)
        if message.type == "record batch":
            batches -= 1
            metadata = memoryview(message.metadata)
            (root,) = struct.unpack_from("<I", metadata)
            header = _field(metadata, root, 2)
            (to_batch,) = struct.unpack_from("<I", metadata, header)
            if _field(metadata, header + to_batch, 3):
                raise pa.ArrowInvalid("its rows are compressed")


def _field(metadata: memoryview, table: int, number: int) -> int:
    """Return the place of a field of a flatbuffer's table; 0 if the table lacks it."""
    (back,) = struct.unpack_from("<i", metadata, table)
    (size,) = struct.unpack_from("<H", metadata, table - back)
    slot = 4 + 2 * number  # after the vtable's own size and the table's, a uint16 each
    return (
        table + offset if slot < size and (offset := struct.unpack_from("<H", metadata, table - back + slot)[0]) else 0
    )
