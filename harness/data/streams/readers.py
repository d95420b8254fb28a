"""Readers of the built-in streams: what each cuts out of a video. See zoo.readers for what the harness asks of them."""

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


class FaceReader:
    """Face crops by frame, ``00001.jpg``...; present where the file is. From the pack, the very same bytes."""

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
        """Where a crop was found."""
        return self._present

    def fingerprint(self) -> str:
        """The crops' content."""
        return digest("face", 1, self._content, self.source.n_frames)

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """The crop of a frame, resized."""
        if not self._present[index] or self.source.crops is None:
            return None
        if self.packed:
            return written(self, index, size)
        return resize(read_jpeg(self._files.path(index + 1)), size, size)

    @staticmethod
    def picture(view: FrameView, size: int) -> np.ndarray | None:
        """The crop of a frame of a video that is read once, resized."""
        crop = None if view.crop is None else whole_picture(view.crop)
        return None if crop is None else resize(crop, size, size)

    def fill(self, frames: np.ndarray, places: Sequence[np.ndarray]) -> None:
        """Put the packed crops of some frames that are present into an array (size, size, 3) each."""
        assert self.packed is not None
        self.packed.fill(frames, places)


def written(reader: FaceReader | _BoxReader, index: int, size: int) -> np.ndarray:
    """A packed picture in an array of its own."""
    out = np.empty((size, size, 3), np.uint8)
    reader.fill(np.array([index]), [out])
    return out


class _BoxReader:
    """What body and context share: the raw video and the person's box, present where both are.

    Where the pack has this stream of this very video with these boxes, its pictures are used: they are JPEGs of
    another size, so that features differ a little, and the fingerprint with them.
    """

    name = ""
    version = 1  # of its pictures
    uses_video = True

    def __init__(self, source: Source) -> None:
        self.source = source
        n = source.n_frames
        self.box = np.full((n, 4), np.nan)
        if source.video is not None and source.boxes is not None:
            boxes = source.boxes()[:n]
            self.box[: len(boxes)] = boxes
        self._kept: dict[tuple[int, ...], np.ndarray] = {}  # corners of all frames, by what sizes they are for
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

    @cached_property
    def _content(self) -> str:
        return video_digest(self.source.video) if self.source.video else "none"

    def present(self) -> np.ndarray:
        """Where the person's box is known; frames that do not decode drop out when read."""
        if self.packed:
            return self.packed.present(self.source.n_frames)
        known: np.ndarray = np.isfinite(self.box).all(1)
        return known

    def fingerprint(self) -> str:
        """The video's content and the boxes; of packed pictures, how they are stored."""
        stored = ("packed", VERSION, sorted(self.packed.label.settings.items())) if self.packed else ()
        boxes = self.box.astype(np.float32).tobytes().hex()
        return digest(self.name, self.version, self._content, self.source.n_frames, boxes, *stored)

    def fill(self, frames: np.ndarray, places: Sequence[np.ndarray]) -> None:
        """Put the packed pictures of some frames that are present into an array (size, size, 3) each; UserError where
        they were stored smaller than they are wanted."""
        assert self.packed is not None
        stored, size = int(self.packed.label.settings["size"]), max(map(len, places), default=0)
        if size > stored:
            raise UserError("pack-pictures-too-small", path=self.packed.path, stored=stored, name=self.name, size=size)
        self.packed.fill(frames, places, self._black(frames, size))

    def _black(self, frames: np.ndarray, size: int) -> list[list[int]] | None:
        """Rectangles of packed pictures that are to be black: left, top, right, bottom; None where none is."""
        return None

    def _corners(self, width: int, height: int) -> np.ndarray:
        """(n, 4) left, top, right, bottom in whole pixels of frames of this size; all 0 where no box is in them."""
        if (width, height) not in self._kept:
            self._kept[width, height] = whole_pixels(self.box, width, height)
        return self._kept[width, height]


class BodyReader(_BoxReader):
    """The person's box cut out, its shape kept, padded with black to a square."""

    name = "body"

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """The person at a frame."""
        if self.packed:
            return written(self, index, size) if self.packed.has(index) else None
        if frame is None:
            return None
        return cut_out(frame, self._corners(frame.shape[1], frame.shape[0])[index], size)

    @staticmethod
    def picture(view: FrameView, size: int) -> np.ndarray | None:
        """The person at a frame of a video that is read once."""
        if view.frame is None:
            return None
        height, width = view.frame.shape[:2]
        return cut_out(view.frame, whole_pixels(view.box[None].astype(np.float64), width, height)[0], size)


class ContextReader(_BoxReader):
    """The whole frame with the person's box blacked out, squeezed to a square (NTUA-CVSP's context stream)."""

    name = "context"
    version = 2
    squeezed = True

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """The scene at a frame, which comes squeezed."""
        if self.packed:
            return written(self, index, size) if self.packed.has(index) else None
        if frame is None:
            return None
        if self.source.size is None:  # absent it is not
            raise UserError("source-no-size", name=self.source.name)
        return blackened(frame, self._person(size, *self.source.size())[index])

    @staticmethod
    def picture(view: FrameView, size: int) -> np.ndarray | None:
        """The scene at a frame of a video that is read once, which comes squeezed."""
        if view.frame is None:
            return None
        corners = whole_pixels(view.box[None].astype(np.float64), *view.size)
        return blackened(view.frame, squeezed_rectangles(corners, size, *view.size)[0])

    def _black(self, frames: np.ndarray, size: int) -> list[list[int]] | None:
        """The person once more, as JPEG rounds the black off."""
        assert self.packed is not None
        width, height = (int(self.packed.label.settings[side]) for side in ("width", "height"))
        return self._person(size, width, height)[frames].tolist()

    def _person(self, size: int, width: int, height: int) -> np.ndarray:
        """(n, 4) left, top, right, bottom of the person in frames of that width and height squeezed to ``size``; all 0
        where there is none in them. Blackened after the resize, and one pixel more on each side: no pixel of the person
        is blended into the scene."""
        if (size, width, height) not in self._kept:
            self._kept[size, width, height] = squeezed_rectangles(self._corners(width, height), size, width, height)
        return self._kept[size, width, height]


class FrameReader:
    """The whole frame squeezed to a square, as NTUA-CVSP's released code fed its body network (affwild2/dataset.py:
    204); frames that do not decode drop out when read."""

    uses_video = True
    squeezed = True

    def __init__(self, source: Source) -> None:
        self.source = source

    def present(self) -> np.ndarray:
        """Every frame of a video."""
        return np.full(self.source.n_frames, self.source.video is not None)

    def fingerprint(self) -> str:
        """The video's content."""
        content = video_digest(self.source.video) if self.source.video else "none"
        return digest("frame", 1, content, self.source.n_frames)

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """The frame, which comes squeezed."""
        return frame

    @staticmethod
    def picture(view: FrameView, size: int) -> np.ndarray | None:
        """The frame of a video that is read once, which comes squeezed."""
        return view.frame


class AudioReader:
    """The sound track; present at the frames it covers (half a frame's grace on each side)."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._sound: dict[int, Sound | None] = {}
        named = source.video.stem if source.video else ""
        self.packed = open_samples(source.pack, named, self._content) if source.pack and named else None

    def pcm(self, rate: int) -> tuple[np.ndarray, float]:
        """int16 samples (S,) of the whole sound track, and the seconds of the first; none where there is no sound."""
        if self.packed and self.packed.rate == rate:
            return self.packed.samples, self.packed.start
        sound = self.sound(rate)
        if sound is None:
            return np.zeros(0, np.int16), 0.0
        return to_int16(sound.samples), sound.start

    def sound(self, rate: int) -> Sound | None:
        """The whole sound track."""
        if rate not in self._sound:
            if self.packed and self.packed.rate == rate:
                samples = self.packed.samples.astype(np.float32) / 32767
                self._sound[rate] = Sound(samples, rate, self.packed.start)
            else:
                self._sound[rate] = read_sound(self.source.video, rate) if self.source.video else None
        return self._sound[rate]

    def present(self) -> np.ndarray:
        """Frames between the sound's first and last sample."""
        samples, start = self.pcm(RATE)
        if not len(samples):
            return np.zeros(self.source.n_frames, dtype=bool)
        times = self.source.times()
        grace = 0.5 * float(np.median(np.diff(times))) if len(times) > 1 else 0.02
        covered: np.ndarray = (times >= start - grace) & (times <= start + len(samples) / RATE + grace)
        return covered

    @cached_property
    def _content(self) -> str:
        return video_digest(self.source.video) if self.source.video else "none"

    def fingerprint(self) -> str:
        """The video file's content: sound and time stamps both come from it."""
        return digest("audio", 1, self._content, self.source.n_frames)
