"""Readers of the built-in streams: the part of a video that each stream shows. Their interface is in zoo.readers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from harness.data.decoding.audio import read_sound, to_int16
from harness.data.decoding.jpeg import read_jpeg, resize, whole_picture
from harness.data.decoding.probe_cache import video_digest
from harness.data.index.picture_folders import PictureFolder, picture_folder, pictures_digest
from harness.data.packed.metadata import RATE
from harness.data.packed.reader import open_pictures, open_samples
from harness.io.hashing import digest
from zoo.readers import FrameView, Sound, Source


class Fills(Protocol):
    """A reader that writes packed pictures into arrays."""

    def fill(self, frames: np.ndarray, places: Sequence[np.ndarray]) -> None:
        """Write the pictures of the given frames into one array (size, size, 3) each."""


class VideoReader:
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


def written(reader: Fills, index: int, size: int) -> np.ndarray:
    """Return a packed picture in a new array (size, size, 3)."""
    out = np.empty((size, size, 3), np.uint8)
    reader.fill(np.array([index]), [out])
    return out


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


class AudioReader(VideoReader):
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
