"""Manifests of samples: images or rows of videos by name, as lists name them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np


@dataclass(frozen=True, eq=False)
class Images:
    """Rows that each name an image, ``<video>/00001.jpg``. ``videos`` in order of first appearance.

    ``row_video`` (R,) int32: index into ``videos``; ``row_frame`` (R,) int32: frame from 1.
    """

    videos: tuple[str, ...]
    row_video: np.ndarray
    row_frame: np.ndarray


@dataclass(frozen=True, eq=False)
class TestList:
    """An official test list. ``rows``: it names every image to be answered, in the order to be kept; ``names``: it
    names videos only, and ``row_video``, ``row_frame`` (see Images) are empty."""

    __test__ = False  # no test class, whatever pytest may think of the name

    path: Path
    kind: Literal["rows", "names"]
    videos: tuple[str, ...]
    row_video: np.ndarray
    row_frame: np.ndarray
