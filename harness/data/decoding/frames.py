"""What frame readers make of a video: decoded once for all of them, in the sizes that they want."""

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
    """At each of ``n`` frames the picture of each frame reader (zoo.readers), in its size in pixels; None where it has
    none. ``threads``: of the decoder, 0 for one a core; nothing is decoded where no reader uses the video."""
    wanted = [(reader, size, frame_size(reader, size)) for reader, size in readers]
    kinds = list(dict.fromkeys(kind for reader, _, kind in wanted if reader.uses_video))
    frames = read_pictures(video, kinds, threads=threads) if kinds and video else iter(())
    for i in range(n):
        frame = dict(zip(kinds, next(frames, ()), strict=False))  # empty where the annotation is longer than the video
        yield [
            None if reader.uses_video and not frame else reader.image(i, frame.get(kind), size)
            for reader, size, kind in wanted
        ]


def frame_size(reader: Any, size: int) -> Size | None:
    """In which size a reader wants the frames of the video for its pictures of ``size`` pixels; None: as they are."""
    return (size, size) if getattr(reader, "squeezed", False) else None
