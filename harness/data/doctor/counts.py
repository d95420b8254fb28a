"""Count the videos and frames of an index."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.data.affwild2.build import build_index
from zoo.tracks import EditionSpec, TrackSpec

COLUMNS = ("track", "edition", "annotations", "train", "val", "test", "frames", "labelled", "with crop", "raw videos")
"""Columns of ``count``'s row.

train, val, test: videos per split. frames, labelled, with crop: frames to predict, frames with labels, frames with a
face crop. raw videos: names that have a raw video.
"""


def count(root: Path, edition: EditionSpec, track: TrackSpec) -> tuple[list[str | int], tuple[str, ...]]:
    """Return a row of COLUMNS for one track of a data folder, and the notes of its index.

    Raise UserError as ``build_index`` does.
    """
    index = build_index(root, edition, track)
    splits = [len(index.split(split)) for split in ("train", "val", "test")]
    frames = sum(int(video.rows.sum()) for video in index.videos)
    labelled = sum(int(np.isfinite(video.labels).any(axis=1).sum()) for video in index.videos)
    crops = sum(int(video.crop_frames.sum()) for video in index.videos)
    raw = sum(video.video is not None for video in index.videos)
    return [track.name, edition.name, index.variant, *splits, frames, labelled, crops, raw], index.notes
