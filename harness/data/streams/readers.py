"""Readers of the built-in streams: the part of a video that each stream shows. Their interface is in zoo.readers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from harness.data.decoding.audio import read_sound, to_int16
from harness.data.decoding.jpeg import read_jpeg, resize, whole_picture
from harness.data.decoding.probe_cache import video_digest
from harness.data.index.picture_folders import PictureFolder, picture_folder, pictures_digest
from harness.data.packed.metadata import RATE, VERSION
from harness.data.packed.reader import Pictures, open_pictures, open_samples
from harness.data.streams.cutting import blackened, cut_out, squeezed_rectangles, whole_pixels
from harness.io.hashing import digest
from zoo.errors import UserError
from zoo.readers import FrameView, Sound, Source


class _VideoReader:
    """A reader of something in the raw video."""

    source: Source

    @cached_property
    def _content(self) -> str:
        return video_digest(self.source.video) if self.source.video else "none"


class FaceReader:
    """Face crops by frame, ``00001.jpg``...; a frame is present if its file exists. The pack has the same bytes."""

    uses_video = False

    def __init__(self, source: Source) -> None:
        self.source = source
        self._present = np.zeros(source.n_frames, dtype=bool)
        packable = source.pack and source.crops
        self.packed = open_pictures(source.pack, "face", source.name, self._content) if packable else None
        if self.packed:
            self._present = self.packed.present(source.n_frames)
        elif source.crops is not None:
            frames = self._files.frames
            self._present[frames[frames <= source.n_frames] - 1] = True

    @cached_property
    def _content(self) -> str:
        return pictures_digest(self.source.crops) if self.source.crops else "none"

    @cached_property
    def _files(self) -> PictureFolder:
        assert self.source.crops is not None
        return picture_folder(self.source.crops)

    def present(self) -> np.ndarray:
        """Return (n_frames,) bool: frames that have a crop."""
        return self._present

    def fingerprint(self) -> str:
        """Return a digest of the crops' content."""
        return digest("face", 1, self._content, self.source.n_frames)

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """Return the crop of a frame, resized; None if there is none."""
        if not self._present[index] or self.source.crops is None:
            return None
        if self.packed:
            return written(self, index, size)
        return resize(read_jpeg(self._files.path(index + 1)), size, size)

    @staticmethod
    def picture(view: FrameView, size: int) -> np.ndarray | None:
        """Return the crop of a frame of a video that is read once, resized."""
        crop = None if view.crop is None else whole_picture(view.crop)
        return None if crop is None else resize(crop, size, size)

    def fill(self, frames: np.ndarray, places: Sequence[np.ndarray]) -> None:
        """Write the packed crops of the given frames, all present, into one array (size, size, 3) each."""
        assert self.packed is not None
        self.packed.fill(frames, places)


def written(reader: FaceReader | _BoxReader, index: int, size: int) -> np.ndarray:
    """Return a packed picture in a new array (size, size, 3)."""
    out = np.empty((size, size, 3), np.uint8)
    reader.fill(np.array([index]), [out])
    return out


class _BoxReader(_VideoReader):
    """Base of the body and context readers: a frame is present if there are a raw video and a box of the person.

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
        if source.video is not None and source.boxes is not None:
            boxes = source.boxes()[:n]
            self.box[: len(boxes)] = boxes
        self._kept: dict[tuple[int, ...], np.ndarray] = {}  # sizes -> corners of all frames
        self.packed = self._find_packed()
        self.uses_video = self.packed is None

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


class FrameReader:
    """Frame stream: the whole frame squeezed to a square.

    NTUA-CVSP's released code fed its body network this way (affwild2/dataset.py:204). Frames that do not decode become
    absent when read.
    """

    uses_video = True
    squeezed = True

    def __init__(self, source: Source) -> None:
        self.source = source

    def present(self) -> np.ndarray:
        """Return (n_frames,) bool: all frames if there is a raw video, else none."""
        return np.full(self.source.n_frames, self.source.video is not None)

    def fingerprint(self) -> str:
        """Return a digest of the video's content."""
        content = video_digest(self.source.video) if self.source.video else "none"
        return digest("frame", 1, content, self.source.n_frames)

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """Return the frame, which is already squeezed."""
        return frame

    @staticmethod
    def picture(view: FrameView, size: int) -> np.ndarray | None:
        """Return the frame of a video that is read once. It is already squeezed."""
        return view.frame


class AudioReader(_VideoReader):
    """Audio stream: the sound track, present at the frames that it covers with a margin of half a frame."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._sound: dict[int, Sound | None] = {}
        named = source.video.stem if source.video else ""
        self.packed = open_samples(source.pack, named, self._content) if source.pack and named else None

    def pcm(self, rate: int) -> tuple[np.ndarray, float]:
        """Return int16 samples (S,) of the whole sound track and the time (s) of the first; empty without sound."""
        if self.packed and self.packed.rate == rate:
            return self.packed.samples, self.packed.start
        sound = self.sound(rate)
        if sound is None:
            return np.zeros(0, np.int16), 0.0
        return to_int16(sound.samples), sound.start

    def sound(self, rate: int) -> Sound | None:
        """Return the whole sound track at ``rate`` Hz, or None."""
        if rate not in self._sound:
            if self.packed and self.packed.rate == rate:
                samples = self.packed.samples.astype(np.float32) / 32767
                self._sound[rate] = Sound(samples, rate, self.packed.start)
            else:
                self._sound[rate] = read_sound(self.source.video, rate) if self.source.video else None
        return self._sound[rate]

    def present(self) -> np.ndarray:
        """Return (n_frames,) bool: frames between the first and the last sample of the sound."""
        samples, start = self.pcm(RATE)
        if not len(samples):
            return np.zeros(self.source.n_frames, dtype=bool)
        times = self.source.times()
        grace = 0.5 * float(np.median(np.diff(times))) if len(times) > 1 else 0.02
        covered: np.ndarray = (times >= start - grace) & (times <= start + len(samples) / RATE + grace)
        return covered

    def fingerprint(self) -> str:
        """Return a digest of the video file's content: sound and time stamps both come from it."""
        return digest("audio", 1, self._content, self.source.n_frames)
