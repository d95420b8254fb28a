"""The demo set: a small, wholly synthetic Aff-Wild2-shaped folder with videos, sound and labels of all four tracks.

Everything is drawn from a seed, byte for byte the same each time. `latents.py` has the equations, `oracle.py` tells
how well they can be undone, so that scores on the set have a known ceiling. They mean nothing about people.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

DEMO_VERSION = "2"
"""Raised whenever any byte of the set changes; part of cache keys."""
STANDARD_VIDEOS = (24, 16, 8)
STANDARD_FRAMES = 120


def make_demo(
    out: Path,
    *,
    seed: int = 0,
    shares: Mapping[str, float] | None = None,
    videos: tuple[int, int, int] = STANDARD_VIDEOS,
    frames: int = STANDARD_FRAMES,
    jobs: int | None = None,
    progress: bool = True,
) -> None:
    """Make the demo set in `out`; return at once where the same one is there already.

    `videos` counts the raw videos of (train, val, test), `frames` is the length of each. `shares` maps slots (face,
    context, body, audio) to how much of the labels they show: 1, the default, as the equations have it; 0 nothing,
    the slot then shows a stranger's feelings. `jobs` videos are drawn side by side (default: one a core); the bytes
    do not depend on it. The set is made beside `out` and renamed at the end.

    Raises UserError for arguments out of range, or when `out` holds anything else.
    """
    from harness.data.synthetic.build import make

    make(out, seed=seed, shares=shares or {}, videos=videos, frames=frames, jobs=jobs, progress=progress)
