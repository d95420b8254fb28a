"""Sample manifests: images or videos by name, as read from lists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np


@dataclass(frozen=True, eq=False)
class Images:
    """Rows that each name an image, ``<video>/00001.jpg``.

    ``videos``: names in order of first appearance. ``row_video``: (R,) int32, index into ``videos``. ``row_frame``:
    (R,) int32, frame from 1.
    """

    videos: tuple[str, ...]
    row_video: np.ndarray
    row_frame: np.ndarray


@dataclass(frozen=True, eq=False)
class TestList:
    """An official test list.

    ``kind`` is "rows" if the list names every image to predict, in the order of the submission. It is "names" if the
    list names videos only; ``row_video`` and ``row_frame`` (see Images) are then empty.
    """

    __test__ = False  # pytest would take the name for a test class

    path: Path
    kind: Literal["rows", "names"]
    videos: tuple[str, ...]
    row_video: np.ndarray
    row_frame: np.ndarray
