"""The demo set: a small synthetic data folder in Aff-Wild2's layout, with videos, sound and labels of all four tracks.

Everything is drawn from a seed and is the same each time, byte for byte. `latents.py` has the equations. `oracle.py`
computes how well they can be inverted, so that scores on the set have a known ceiling. The scores say nothing about
real people.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.data.synthetic.standard import DEMO_VERSION, STANDARD_FRAMES, STANDARD_VIDEOS

__all__ = ["DEMO_VERSION", "STANDARD_FRAMES", "STANDARD_VIDEOS", "make_demo"]


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
    """Make the demo set in `out`; return at once if the same set is there already.

    The set is made next to `out` and renamed at the end.

    Args:
        out: The folder to make.
        seed: Seed of all random numbers, at least 0.
        shares: Slot (face, context, body, audio) -> how much of the labels it shows, from 0 to 1. With 1, the default,
            the slot follows the equations; with 0 it shows the emotions of an unrelated person.
        videos: Number of raw videos in (train, val, test).
        frames: Length of each video.
        jobs: Number of videos drawn in parallel, one per core by default. The bytes do not depend on it.
        progress: Show a progress bar.

    Raises:
        UserError: An argument is out of range, or `out` holds anything else.
    """
    from harness.data.synthetic.build import make

    make(out, seed=seed, shares=shares or {}, videos=videos, frames=frames, jobs=jobs, progress=progress)
