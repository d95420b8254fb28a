"""Inputs of `harness predict`: videos, images and sound files, each with the frames that are predicted."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.data.decoding.audio import read_sound
from harness.data.decoding.display import Size
from harness.data.decoding.jpeg import resize
from harness.data.decoding.pictures import pictures_in, read_picture
from harness.data.decoding.sound_ends import check_length
from harness.data.decoding.video import VideoInfo, probe, read_pictures, warn_if_cut
from harness.data.streams.sources import ASSUMED_RATE
from zoo.errors import UserError
from zoo.files import name_key
from zoo.readers import Source

log = logging.getLogger(__name__)

SOUND_RATE = 16_000  # samples a second at which the length of a sound file is measured


@dataclass(frozen=True)
class Media:
    """An input file.

    ``kind``: ``video``; ``image``: a video of one frame; ``sound``: 30 frames a second, without pictures.
    """

    info: VideoInfo
    kind: str

    @property
    def path(self) -> Path:
        """The file."""
        return self.info.path

    @property
    def name(self) -> str:
        """The name of its tables."""
        return name_key(self.path.stem)

    @property
    def has_pictures(self) -> bool:
        """True if the input has pictures."""
        return self.kind != "sound"

    @property
    def has_sound(self) -> bool:
        """True if the input has sound."""
        return self.info.has_audio

    def source(self, name: str) -> Source:
        """Return the source for readers of its sound."""
        times = self.info.times
        file = None if self.kind == "image" else self.path
        return Source(name, self.path.parent, len(times), lambda: times, video=file)

    def pictures(self, kinds: Sequence[Size | None]) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield the frames, each in several sizes."""
        if self.kind == "video":
            yield from read_pictures(self.path, kinds)
        elif self.kind == "image":
            frame = read_picture(self.path)
            yield tuple(frame if size is None else resize(frame, *size) for size in kinds)


def open_input(path: Path, kind: str) -> Media:
    """Open an input file.

    Args:
        path: The file.
        kind: Its kind by name and content (harness.data.affwild2.folder_layout).

    Raises:
        UserError: The file is empty, damaged, or not of a kind that can be predicted.
    """
    if kind == "video":
        return Media(probe(path), "video")
    if kind == "still image":
        height, width = read_picture(path).shape[:2]
        if (count := pictures_in(path)) > 1:
            log.warning("%s: it has %d pictures, of which the first is read; save it as a video for all", path, count)
        return Media(VideoInfo(path, width, height, np.zeros(1), 0.0, has_audio=False), "image")
    if kind == "sound":
        warn_if_cut(path)
        sound = read_sound(path, SOUND_RATE)
        seconds = 0.0 if sound is None else len(sound.samples) / SOUND_RATE
        check_length(path, seconds)
        if not seconds:
            raise UserError("predict-no-sound", file=path)
        frames = int(seconds * ASSUMED_RATE)
        if not frames:
            raise UserError("predict-sound-short", file=path, seconds=seconds, rate=ASSUMED_RATE)
        return Media(VideoInfo(path, 0, 0, np.arange(frames) / ASSUMED_RATE, 0.0, has_audio=True), "sound")
    raise UserError("predict-not-readable", file=path, kind=kind)
