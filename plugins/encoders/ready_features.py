"""Features that somebody else extracted: one file a video in a folder, with a manifest that says what they are.

``face=features:DIR`` reads ``DIR/features.toml``:

    name = "what they are"            # wanted
    width = 512                       # numbers a row; wanted
    rate = "frame"                    # one row a video frame, or a number: rows a second
    start = 0.0                       # of a number: seconds of the first row from the first video frame
    file = "sub/{video}.npy"          # default: {video} with .npy, .npz, .parquet or .safetensors
    key = "features"                  # the array in an .npz or .safetensors that holds several
    missing = "absent"                # a video without file has no features; default "error"
    license = "", source = "", citation = "", saw = ["AffectNet"]    # for the record

A video has the name that the harness gives it (``5-60-1920x1080-1_left``). An array is (rows, width), float or whole
numbers; of a .parquet all columns in their order. A row with a NaN is an absent frame. With one row a frame, one row
more than frames is left out and one fewer is the last one again (counters of frames differ by one, as do annotations);
other counts are an error. Of rows by the second, a frame's features lie linearly between its two neighbours; beyond
the first and the last row, and next to an absent one, the nearer row counts up to half a step away.

Nothing is learned, so it is read once and kept as the cache keeps all features, in float16.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from plugins.encoders._feature_files import MANIFEST, read_array, read_manifest
from zoo.api import VectorInput
from zoo.errors import UserError
from zoo.files import file_sha256
from zoo.modules import Encoder
from zoo.readers import Source


class ReadyFeatures(Encoder):
    """(B, T, width) -> the same: what the files hold. Raises UserError where the manifest does not say it."""

    def __init__(self, stream: str, argument: str | None) -> None:
        self.manifest = read_manifest(argument)
        super().__init__(dim=self.manifest.width, input=VectorInput(self.manifest.width))

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, T, width) -> (B, T, width)."""
        return vectors

    def describe(self) -> dict[str, Any]:
        """What the manifest says, for a run's record; its own digest, not that of the files."""
        known = self.manifest
        return {
            "name": known.name,
            "file": MANIFEST,
            "sha256": file_sha256(known.folder / MANIFEST),
            "license": known.license,
            "source": known.source,
            "citation": known.citation,
            "saw": list(known.saw),
            "rate": known.rate,
            "width": known.width,
            "precision": "float32",
        }


class FeatureReader:
    """The features of one video, a row a frame; opened by the harness instead of the stream's own reader."""

    def __init__(self, source: Source, argument: str | None) -> None:
        self.source = source
        self.manifest = read_manifest(argument)
        self.file = self.manifest.find(source.name)

    @cached_property
    def rows(self) -> np.ndarray:
        """(n_frames, width) float32, rows of absent frames NaN."""
        known, n = self.manifest, self.source.n_frames
        if self.file is None:
            return np.full((n, known.width), np.nan, np.float32)
        array = read_array(self.file, known.key, known.width)
        if known.rate == "frame":
            if abs(len(array) - n) > 1 or not len(array):
                raise UserError(
                    f"{self.file} has {len(array)} rows, but the video {self.source.name} has {n} frames: extract one "
                    f"row a frame, or give rows a second as rate in {MANIFEST}"
                )
            return array[np.minimum(np.arange(n), len(array) - 1)]
        return between(array, (self.source.times() - known.start) * float(known.rate))

    def present(self) -> np.ndarray:
        """(n_frames,) bool: rows without NaN."""
        found: np.ndarray = ~np.isnan(self.rows).any(1)
        return found

    def vectors(self) -> np.ndarray:
        """(n_frames, width) float32, zeros where absent."""
        return np.where(self.present()[:, None], self.rows, np.float32(0))

    def fingerprint(self) -> str:
        """The file's and the manifest's content; of rows by the second the frames' times too."""
        content = file_sha256(self.file) if self.file else "none"
        parts = ["features", content, file_sha256(self.manifest.folder / MANIFEST), str(self.source.n_frames)]
        if self.manifest.rate != "frame":
            parts.append(self.source.times().astype(np.float64).tobytes().hex())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def between(rows: np.ndarray, position: np.ndarray) -> np.ndarray:
    """rows (R, D) at real-valued positions (n,) -> (n, D): linear between neighbours; where one is absent (NaN, or
    beyond the ends) the other up to half a row away, else NaN."""
    padded = np.concatenate([np.full((1, rows.shape[1]), np.nan, np.float32), rows, np.full_like(rows[:1], np.nan)])
    if not len(rows):
        return np.full((len(position), rows.shape[1]), np.nan, np.float32)
    position = np.clip(position, -1, len(rows)) + 1  # in padded
    low = np.minimum(np.floor(position).astype(int), len(padded) - 2)
    share = (position - low)[:, None].astype(np.float32)
    left, right = padded[low], padded[low + 1]
    mixed = np.where(share == 0, left, left * (1 - share) + right * share)
    nearer = np.where(share <= 0.5, left, right)
    gone = np.isnan(left).any(1) | np.isnan(right).any(1)
    return np.where(gone[:, None], nearer, mixed).astype(np.float32)
