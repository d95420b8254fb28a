"""Features that were extracted elsewhere: a folder with one file per video and a manifest that describes them.

``face=features:DIR`` reads ``DIR/features.toml``:

    name = "what they are"            # required
    width = 512                       # numbers per row; required
    rate = "frame"                    # required: one row per video frame; a number: rows per second; or "segment"
    start = 0.0                       # with a number: seconds from the first video frame to the first row
    overlap = "mean"                  # with "segment": what counts where segments overlap; or "nearest"
    file = "sub/{video}.npy"          # default: {video} with .npy, .npz, .parquet or .safetensors
    key = "features"                  # the array to read from an .npz or .safetensors with several
    missing = "absent"                # a video without a file has no features; default "error"
    license = "", source = "", citation = "", trained_on = ["AffectNet"]  # for the record

A video has the name that the harness gives it (``5-60-1920x1080-1_left``). An array is (rows, width), of floats or
integers; in a .parquet all columns are read in their order. A row with a NaN is an absent frame.

With one row per frame, one extra row is ignored and one missing row is a copy of the last one, because frame counters
differ by one, as do annotations. Other counts are an error. With rows per second, a frame's features are interpolated
linearly between its two neighbours. Beyond the first and the last row, and next to an absent one, the nearer row is
used up to half a step away. Rows that end long after the video (by a tenth of it and a second), or cover less than a
quarter of it, are an error, because they were made at another rate. Rows of NaN stand for what has no features.

With segments (embeddings of a vision-language model of windows of 4 s every 2 s, say), every row has a start and an end
in seconds from the first video frame: arrays (rows,) of these names in an .npz or .safetensors, columns of these names
in a .parquet, the first two columns of an .npy. A frame gets the mean of the segments with start <= time < end, or,
with ``overlap = "nearest"``, the one of them whose centre is nearest. A frame in no segment is absent. Rows are sorted
by start and may end half a second after the video, no later.

``face=features:RUN`` reads the predictions of a finished run with folds instead: see
plugins/encoders/_run_predictions.py for the files and harness/runs/stages.py for what is checked.

Nothing is trained, so the files are read once and the features are cached like all features, in float16.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from plugins.encoders._feature_files import read_array, read_segments
from plugins.encoders._feature_manifest import MANIFEST, Manifest, read_manifest
from plugins.encoders._run_predictions import RECORD, RunPredictions
from plugins.encoders._segments import duration
from zoo.api import VectorInput
from zoo.errors import UserError
from zoo.files import file_sha256
from zoo.modules import Encoder
from zoo.readers import Source


def open_folder(argument: str | None) -> Manifest | RunPredictions:
    """Open a folder of features or a finished run; raise UserError if it is neither, or invalid."""
    folder = Path(argument).expanduser() if argument else None
    if folder is not None and (folder / RECORD).is_file() and not (folder / MANIFEST).is_file():
        return RunPredictions(folder)
    return read_manifest(argument)


class ReadyFeatures(Encoder):
    """Identity on the files' features (B, T, width). Raises UserError if the manifest is missing or invalid."""

    def __init__(self, stream: str, argument: str | None) -> None:
        self.folder = open_folder(argument)
        super().__init__(dim=self.folder.width, input=VectorInput(self.folder.width))

    def forward(self, vectors: Tensor) -> Tensor:
        """Return vectors (B, T, width) unchanged."""
        return vectors

    def describe(self) -> dict[str, Any]:
        """Describe the features for a run's record, from the manifest. The digest is that of the manifest."""
        known = self.folder
        if isinstance(known, RunPredictions):
            return known.describe()
        return {
            "name": known.name,
            "file": MANIFEST,
            "sha256": file_sha256(known.folder / MANIFEST),
            "license": known.license,
            "source": known.source,
            "citation": known.citation,
            "saw": list(known.trained_on),
            "rate": known.rate,
            "width": known.width,
            "precision": "float32",
        }


class FeatureReader:
    """Reader of one video's features, one row per frame. The harness opens it instead of the stream's own reader."""

    def __init__(self, source: Source, argument: str | None) -> None:
        self.source = source
        self.folder = open_folder(argument)
        self.file = None if isinstance(self.folder, RunPredictions) else self.folder.find(source.name)

    @cached_property
    def rows(self) -> np.ndarray:
        """The features (n_frames, width) float32; rows of absent frames are NaN."""
        known, n = self.folder, self.source.n_frames
        if isinstance(known, RunPredictions):
            return known.rows(self.source.name, n)
        if self.file is None:
            return np.full((n, known.width), np.nan, np.float32)
        if known.rate == "segment":
            segments, times = read_segments(self.file, known.key, known.width), self.source.times()
            segments.check(self.source.name, times)
            return segments.at(times, known.overlap)
        array = read_array(self.file, known.key, known.width)
        if known.rate == "frame":
            if abs(len(array) - n) > 1 or not len(array):
                raise UserError(
                    f"{self.file} has {len(array)} rows, but the video {self.source.name} has {n} frames: extract one "
                    f"row per frame, or give rows per second as rate in {MANIFEST}"
                )
            return array[np.minimum(np.arange(n), len(array) - 1)]
        times = self.source.times()
        check_span(self.file, len(array), known, times)
        return between(array, (times - known.start) * float(known.rate))

    def present(self) -> np.ndarray:
        """Return a mask (n_frames,) bool of the rows without NaN."""
        found: np.ndarray = ~np.isnan(self.rows).any(1)
        return found

    def vectors(self) -> np.ndarray:
        """Return the features (n_frames, width) float32, with zeros at absent frames."""
        return np.where(self.present()[:, None], self.rows, np.float32(0))

    def fingerprint(self) -> str:
        """Return a digest of the file, the manifest and, unless there is a row per frame, the frames' times."""
        known = self.folder
        if isinstance(known, RunPredictions):
            values = np.ascontiguousarray(self.rows).tobytes()
            return hashlib.sha256(f"run {known.digest} {known.columns} ".encode() + values).hexdigest()
        content = file_sha256(self.file) if self.file else "none"
        parts = ["features", content, file_sha256(known.folder / MANIFEST), str(self.source.n_frames)]
        if known.rate != "frame":
            parts.append(self.source.times().astype(np.float64).tobytes().hex())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def check_span(file: Path, rows: int, known: Manifest, times: np.ndarray) -> None:
    """Raise UserError if rows by the second end long after a video with frames at ``times`` (n,), or cover little."""
    rate, video = float(known.rate), duration(times)
    end = known.start + rows / rate
    covered = min(end, video) - max(known.start - 1 / rate, 0.0)
    if end - 1 / rate > 1.1 * video + 1 or covered < video / 4:
        raise UserError(
            f"{file} has {rows} rows, from {known.start:g} s to {end:g} s at {rate:g} a second, but the video lasts "
            f"{video:g} s: correct rate or start in {MANIFEST}, or write rows of NaN where features are absent"
        )


def between(rows: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Interpolate rows (R, D) linearly at real-valued positions (n,); return (n, D).

    If one of the two neighbours is absent (NaN, or beyond the ends), the other is used up to half a row away; further
    away the result is NaN.
    """
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
