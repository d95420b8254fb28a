"""What a stream's reader is given and gives. A reader is opened on one video; the harness drives it.

A video is decoded once for all the slots that want its pictures: the harness hands every decoded frame to each
frame reader in turn, which cuts out what its stream looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Source:
    """One annotated video as a reader sees it.

    ``n_frames``: rows of everything; frame k of the annotation is index k - 1. ``times``: (n_frames,) seconds of each
    frame from the first frame's presentation time stamp. ``video``: the raw file, ``crops``: the folder of face
    crops ``00001.jpg``..., None where there is none. ``boxes()``: the person's boxes (n_frames, 4) in pixels of the
    raw video, NaN where unknown; raises UserError where they were never made. ``size()``: width and height of the raw
    video's frames in pixels, as displayed. ``pack``: a folder of streams that `harness data pack` has cut out already,
    for readers that know it.
    """

    name: str
    root: Path
    n_frames: int
    times: Callable[[], np.ndarray]
    video: Path | None = None
    crops: Path | None = None
    boxes: Callable[[], np.ndarray] | None = None
    pack: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    size: Callable[[], tuple[int, int]] | None = None


@dataclass(frozen=True)
class Sound:
    """A video's sound track: ``samples`` (S,) float32 mono at ``rate`` Hz; ``start``: seconds of samples[0] from the
    first video frame's presentation time stamp (negative or positive)."""

    samples: np.ndarray
    rate: int
    start: float


class Reader(Protocol):
    """What every reader has."""

    def present(self) -> np.ndarray:
        """(n_frames,) bool: where the stream is expected to have data, known without decoding."""

    def fingerprint(self) -> str:
        """A digest of the source's content and of the reader's version and options, for the feature cache."""


class FrameReader(Reader, Protocol):
    """A reader of pictures. ``uses_video``: it wants the decoded frames of the raw video. A reader that looks at whole
    frames in a square may have an attribute ``squeezed`` that is True: the frames it is given are then squeezed to
    the size of its pictures while they are decoded, which is far faster than to shrink them afterwards."""

    uses_video: bool

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """The slot's picture at a frame, uint8 RGB (size, size, 3), None where there is none; ``frame`` is the raw
        video's frame, uint8 RGB (H, W, 3), (size, size, 3) where it is ``squeezed``, not to be written to; None for
        readers that do not use it."""


class SoundReader(Reader, Protocol):
    """A reader of sound."""

    def sound(self, rate: int) -> Sound | None:
        """The whole sound track at ``rate`` Hz, None where there is none."""


@dataclass(frozen=True)
class FrameView:
    """One frame of a video that is read once, from its first frame to its last, and for one person in it.

    ``frame``: as ``FrameReader.image`` is given it, None for readers that use no video; ``crop``: the person's aligned
    face as JPEG, None where there is none; ``box``: (4,) float32 the person's box in pixels of the raw video, NaN where
    it is unknown; ``size``: width and height of the raw video's frames, as displayed.

    A class of frame readers whose picture depends on nothing but this may have a static method ``picture(view, size)``
    that returns what ``image`` does: `harness predict` then needs no folder of crops and boxes.
    """

    frame: np.ndarray | None
    crop: bytes | None
    box: np.ndarray
    size: tuple[int, int]


class VectorReader(Reader, Protocol):
    """A reader that already gives a vector a frame."""

    def vectors(self) -> np.ndarray:
        """(n_frames, D) float32; rows where the slot is absent are ignored."""
