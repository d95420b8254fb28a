"""A finished run as ready features: the predictions in its folder, one row per frame.

The tables are ``cv*.parquet``, out of fold, and ``rest.parquet`` and ``test.parquet``, of all folds together. A value
is a column, a class or an action unit its probability ``p_NAME``. Frames at which the run had no data are absent.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from zoo.errors import UserError, first_line
from zoo.files import file_sha256, open_file

RECORD = "record.json"
TABLES = ("cv*.parquet", "rest.parquet", "test.parquet")


class RunPredictions:
    """The predictions of a run; raises UserError if it has none or they cannot be read.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        found = [path for name in TABLES for path in sorted((folder / "predictions").glob(name))]
        self.tables = [path for path in found if not path.name.endswith(".post.parquet")]
        if not self.tables:
            raise UserError(f"features:{folder}: the run has no predictions of folds; train it with --folds")
        self.columns = self._columns(self.tables[0])

    @property
    def width(self) -> int:
        """The number of predicted quantities."""
        return len(self.columns)

    @cached_property
    def digest(self) -> str:
        """The sha256 of the tables."""
        return hashlib.sha256("\n".join(map(file_sha256, self.tables)).encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Describe the features for a run's record."""
        return {
            "name": f"predictions of the run {self.folder.resolve().name}",
            "file": RECORD,
            "sha256": self.digest,
            "license": "not stated",
            "source": "a finished run",
            "citation": "",
            "saw": [],
            "rate": "frame",
            "width": self.width,
            "precision": "float32",
        }

    def rows(self, video: str, n_frames: int) -> np.ndarray:
        """Return the predictions (n_frames, width) float32 for a video; NaN where no branch of the run had data."""
        for path in self.tables:
            table = self._read(path, video)
            if table.num_rows:
                break
        else:
            raise UserError(f"{self.folder} has no predictions for the video {video}: train it on the same data folder")
        order = np.argsort(table.column("frame").to_numpy())
        if len(order) != n_frames:
            raise UserError(f"{path} has {len(order)} rows of the video {video}, which has {n_frames} frames")
        rows = np.column_stack([table.column(name).to_numpy() for name in self.columns])[order].astype(np.float32)
        seen = [table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names if _is_mask(name)]
        return np.where(np.logical_or.reduce(seen)[order][:, None], rows, np.float32(np.nan)) if seen else rows

    def _columns(self, path: Path) -> list[str]:
        try:
            with open_file(path) as file:
                schema = parquet.read_schema(file)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {first_line(error)[:120]}") from None
        return [field.name for field in schema if pa.types.is_floating(field.type) and _is_prediction(field.name)]

    def _read(self, path: Path, video: str) -> pa.Table:
        try:
            with open_file(path) as file:
                masks = [name for name in parquet.read_schema(file).names if _is_mask(name)]
                file.seek(0)
                names = ["frame", *self.columns, *masks]
                return parquet.read_table(
                    file, columns=names, filters=[("video", "==", video)], page_checksum_verification=True
                )
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise UserError(f"{path} cannot be read: {first_line(error)[:120]}") from None


def _is_mask(name: str) -> bool:
    return name.startswith("present_")


def _is_prediction(name: str) -> bool:
    return name != "time" and not name.endswith("_true") and not name.startswith("extra_")
