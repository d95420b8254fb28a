"""Write packed files: batches go to a temporary file, which is renamed when it is complete."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from harness.data.packed.metadata import (
    Label,
    PackSettings,
    arrow_path,
    label_path,
    read_label,
    table_sha256,
    write_label,
)
from harness.io.digests import DAMAGED, checksum
from harness.io.locks import file_lock, lock_of
from zoo.errors import UserError
from zoo.files import file_sha256, part_name

_PICTURE = [("jpeg", pa.large_binary()), ("crc", pa.uint32())]
PICTURES = pa.schema(_PICTURE)
BOXED = pa.schema([*_PICTURE, *((name, pa.float32()) for name in ("x0", "y0", "x1", "y1"))])
SAMPLES = pa.schema([("samples", pa.int16())])

_BATCH = 256  # rows buffered in memory


class Writer:
    """Writer of one packed file. Used as a context manager, it leaves nothing behind unless ``finish`` was called."""

    def __init__(self, pack: Path, stream: str, name: str, schema: pa.Schema) -> None:
        self.pack, self.stream, self.name, self.schema = pack, stream, name, schema
        self.path = arrow_path(pack, stream, name)
        self.part = part_name(self.path)
        self.rows = 0
        self._waiting: list[tuple[Any, ...]] = []
        self._table: list[tuple[Any, ...]] = []  # for each row: length and checksum of the picture, and the box
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._sink = pa.OSFile(str(self.part), "wb")
        self._writer = pa.ipc.new_file(self._sink, schema)

    def add(self, picture: bytes | None, *box: float) -> None:
        """Add one row: a picture's bytes, or None, and the person's box if the file has boxes."""
        crc = checksum(picture or b"")
        self._waiting.append((picture, crc, *box))
        self._table.append((len(picture or b""), crc, *box))
        if len(self._waiting) == _BATCH:
            self._flush()

    def add_array(self, values: np.ndarray) -> None:
        """Write all rows of a file that has a single column of numbers, as one batch."""
        self._writer.write_batch(pa.record_batch([pa.array(values, self.schema.field(0).type)], self.schema))
        self.rows += len(values)

    def finish(self, source: str, settings: PackSettings) -> Label:
        """Move the file into its place, then write and return its label."""
        self._flush()
        self._writer.close()
        self._sink.close()
        with self.part.open("rb+") as file:
            os.fsync(file.fileno())
        label = Label(
            self.stream,
            self.name,
            source,
            self.rows,
            self.part.stat().st_size,
            file_sha256(self.part),
            settings,
            table=self._table_sha256(),
        )
        with file_lock(lock_of(self.path)):  # so that file and label come from the same writer
            # Another writer may have packed the same meanwhile. Keep its file, so that readers never miss it.
            if read_label(self.pack, self.stream, self.name) == label and file_sha256(self.path) == label.sha256:
                return label
            label_path(self.pack, self.stream, self.name).unlink(missing_ok=True)  # the label of the replaced file
            os.replace(self.part, self.path)
            write_label(self.pack, label)
            for path in (self.path, label_path(self.pack, self.stream, self.name)):
                path.with_name(path.name + DAMAGED).unlink(missing_ok=True)
        return label

    def _table_sha256(self) -> str:
        """Return the ``table_sha256`` of pictures; "" for sound, which is checked as a whole."""
        if "crc" not in self.schema.names:
            return ""
        columns = list(zip(*self._table, strict=True)) or [()] * len(self.schema)
        lengths, checksums, *box = (np.array(column) for column in columns)
        return table_sha256(lengths, checksums, np.stack(box, axis=1) if box else None)

    def _flush(self) -> None:
        if self._waiting:
            columns = zip(*self._waiting, strict=True)
            arrays = [pa.array(c, field.type) for c, field in zip(columns, self.schema, strict=True)]
            self._writer.write_batch(pa.record_batch(arrays, self.schema))
            self.rows += len(self._waiting)
            self._waiting.clear()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError, pa.ArrowException):  # the disk may be full
            self._sink.close()
        with suppress(OSError):
            self.part.unlink()


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """Encode uint8 RGB (H, W, 3) as JPEG with full colour resolution.

    At 112 pixels the usual halved colour resolution changes features more than quality 85 instead of 95 does.
    """
    full = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, full]
    done, data = cv2.imencode(".jpg", image[..., ::-1], options)
    if not done:
        raise UserError("jpeg-not-encoded")
    return data.tobytes()
