"""Decode a video once for several frame readers, in the size that each needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.decoding.display import Size
from harness.data.decoding.video import read_pictures


def pictures(
    readers: Sequence[tuple[Any, int]], video: Path | None, n: int, *, threads: int = 0
) -> Iterator[list[np.ndarray | None]]:
    """Yield, for each of ``n`` frames, the picture of each frame reader (zoo.readers) in its size; None if absent.

    ``readers``: (reader, size in pixels). ``threads``: of the decoder, 0 for one per core. If no reader uses the video,
    it is not decoded.
    """
    wanted = [(reader, size, frame_size(reader, size)) for reader, size in readers]
    kinds = list(dict.fromkeys(kind for reader, _, kind in wanted if reader.uses_video))
    frames = read_pictures(video, kinds, threads=threads) if kinds and video else iter(())
    for i in range(n):
        frame = dict(zip(kinds, next(frames, ()), strict=False))  # empty if the annotation is longer than the video
        yield [
            None if reader.uses_video and not frame else reader.image(i, frame.get(kind), size)
            for reader, size, kind in wanted
        ]


def frame_size(reader: Any, size: int) -> Size | None:
    """Return the frame size that a reader needs to make pictures of ``size`` pixels; None for the video's own size."""
    return (size, size) if getattr(reader, "squeezed", False) else None
