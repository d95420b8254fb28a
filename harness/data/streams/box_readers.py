"""Readers of the streams that cut the box of a person or a face out of the raw video, or black it out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.data.packed.metadata import VERSION
from harness.data.packed.reader import Pictures, open_pictures
from harness.data.streams.cutting import (
    blackened,
    cut_out,
    cut_square,
    squares_around,
    squeezed_rectangles,
    whole_pixels,
)
from harness.data.streams.readers import VideoReader, written
from harness.io.hashing import digest
from zoo.errors import UserError
from zoo.readers import FrameView, Source

MARGIN = 0.25
"""Margin of a portrait on each side of the face, as a share of its box's longer side."""


class _BoxReader(VideoReader):
    """Base of the readers that cut a box out or black it out: a frame is present if there are a raw video and a box.

    If the pack has this stream, made from the same video with the same boxes, its pictures are used. They are JPEGs of
    another size, so features differ a little; therefore the fingerprint differs too.
    """

    name = ""
    version = 1  # increase when the pictures change
    uses_video = True

    def __init__(self, source: Source) -> None:
        self.source = source
        n = source.n_frames
        self.box = np.full((n, 4), np.nan)
        boxes = self._boxes_of(source) if source.video is not None else None
        if boxes is not None:
            self.box[: len(boxes)] = boxes[:n]
        self._kept: dict[tuple[int, ...], np.ndarray] = {}  # sizes -> corners of all frames
        self.packed = self._find_packed()
        self.uses_video = self.packed is None

    @staticmethod
    def _boxes_of(source: Source) -> np.ndarray | None:
        """Return the boxes (n, 4) of what is shown."""
        return source.boxes() if source.boxes is not None else None

    def _find_packed(self) -> Pictures | None:
        source = self.source
        if source.pack is None or source.video is None:
            return None
        packed = open_pictures(source.pack, self.name, source.name, self._content)
        if packed is None or packed.boxes is None:
            return None
        rows = min(len(self.box), len(packed.boxes))
        same = np.array_equal(self.box[:rows].astype(np.float32), packed.boxes[:rows], equal_nan=True)
        return packed if same else None

    def present(self) -> np.ndarray:
        """Return (n_frames,) bool: frames with a known box. Frames that do not decode become absent when read."""
        if self.packed:
            return self.packed.present(self.source.n_frames)
        known: np.ndarray = np.isfinite(self.box).all(1)
        return known

    def fingerprint(self) -> str:
        """Return a digest of the video's content and the boxes, and of the storage settings if packed."""
        stored = ("packed", VERSION, sorted(self.packed.label.settings.items())) if self.packed else ()
        boxes = self.box.astype(np.float32).tobytes().hex()
        return digest(self.name, self.version, self._content, self.source.n_frames, boxes, *stored)

    def fill(self, frames: np.ndarray, places: Sequence[np.ndarray]) -> None:
        """Write the packed pictures of the given frames, all present, into one array (size, size, 3) each.

        Raise UserError if the pack stores them smaller than ``size``.
        """
        assert self.packed is not None
        stored, size = int(self.packed.label.settings["size"]), max(map(len, places), default=0)
        if size > stored:
            raise UserError("pack-pictures-too-small", path=self.packed.path, stored=stored, name=self.name, size=size)
        self.packed.fill(frames, places, self._black(frames, size))

    def _black(self, frames: np.ndarray, size: int) -> list[list[int]] | None:
        """Return a rectangle (left, top, right, bottom) to black out in each packed picture; None if there is none."""
        return None

    def _corners(self, width: int, height: int) -> np.ndarray:
        """Return boxes (n, 4) as left, top, right, bottom in whole pixels of frames of this size; 0 if outside."""
        if (width, height) not in self._kept:
            self._kept[width, height] = whole_pixels(self.box, width, height)
        return self._kept[width, height]


class BodyReader(_BoxReader):
    """Body stream: the person's box, its aspect ratio kept, padded with black to a square."""

    name = "body"

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """Return the person at a frame; None if the box is empty or the frame is missing."""
        if self.packed:
            return written(self, index, size) if self.packed.has(index) else None
        if frame is None:
            return None
        return cut_out(frame, self._corners(frame.shape[1], frame.shape[0])[index], size)

    @staticmethod
    def picture(view: FrameView, size: int) -> np.ndarray | None:
        """Return the person at a frame of a video that is read once."""
        if view.frame is None:
            return None
        height, width = view.frame.shape[:2]
        return cut_out(view.frame, whole_pixels(view.box[None].astype(np.float64), width, height)[0], size)


class PortraitReader(_BoxReader):
    """Portrait stream: the face with a margin, upright as in the raw video, black beyond its frame.

    The face is in the middle and as large in every frame; a random part of the picture is the face at another scale.
    """

    name = "portrait"

    @staticmethod
    def _boxes_of(source: Source) -> np.ndarray | None:
        return squares_around(source.faces().astype(np.float64), MARGIN) if source.faces is not None else None

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """Return the face at a frame; None if its box is unknown or the frame is missing."""
        if self.packed:
            return written(self, index, size) if self.packed.has(index) else None
        return None if frame is None else cut_square(frame, self.box[index], size)

    @staticmethod
    def picture(view: FrameView, size: int) -> np.ndarray | None:
        """Return the face at a frame of a video that is read once."""
        if view.frame is None:
            return None
        return cut_square(view.frame, squares_around(view.face[None].astype(np.float64), MARGIN)[0], size)


class ContextReader(_BoxReader):
    """Context stream: the whole frame, the person's box blacked out, squeezed to a square (as NTUA-CVSP's)."""

    name = "context"
    version = 2
    squeezed = True

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """Return the scene at a frame. ``frame`` is already squeezed."""
        if self.packed:
            return written(self, index, size) if self.packed.has(index) else None
        if frame is None:
            return None
        if self.source.size is None:  # the stream is present, so this is an error
            raise UserError("source-no-size", name=self.source.name)
        return blackened(frame, self._person(size, *self.source.size())[index])

    @staticmethod
    def picture(view: FrameView, size: int) -> np.ndarray | None:
        """Return the scene at a frame of a video that is read once. ``view.frame`` is already squeezed."""
        if view.frame is None:
            return None
        corners = whole_pixels(view.box[None].astype(np.float64), *view.size)
        return blackened(view.frame, squeezed_rectangles(corners, size, *view.size)[0])

    def _black(self, frames: np.ndarray, size: int) -> list[list[int]] | None:
        """Return the rectangles of the person: JPEG blurs the black area, so it is blacked out again."""
        assert self.packed is not None
        width, height = (int(self.packed.label.settings[side]) for side in ("width", "height"))
        return self._person(size, width, height)[frames].tolist()

    def _person(self, size: int, width: int, height: int) -> np.ndarray:
        """Return the person's boxes (n, 4) in frames of this width and height squeezed to ``size``.

        Columns are left, top, right, bottom; all 0 if there is no person. The area is blacked out after the resize and
        with one more pixel on each side, so that no pixel of the person is blended into the scene.
        """
        if (size, width, height) not in self._kept:
            self._kept[size, width, height] = squeezed_rectangles(self._corners(width, height), size, width, height)
        return self._kept[size, width, height]
