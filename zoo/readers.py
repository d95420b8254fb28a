"""Inputs and outputs of a stream's reader. A reader opens one video; the harness drives it.

A video is decoded once for all the slots that need its images: the harness passes every decoded frame to each frame
reader in turn, which crops its stream's image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Source:
    """One annotated video, as a reader gets it.

    Attributes:
        name: The video's name.
        root: The data folder.
        n_frames: Rows of every result; frame k of the annotation has index k - 1.
        times: Returns (n_frames,) seconds of each frame, from the presentation time stamp of the first frame.
        video: The raw video file; None if there is none.
        crops: The folder of face crops ``00001.jpg``...; None if there is none.
        boxes: Returns the person's boxes (n_frames, 4) in pixels of the raw video, NaN where unknown. It raises
            UserError if the boxes have not been made.
        faces: Returns the face's boxes, as ``boxes`` does.
        pack: A folder of streams that `harness data pack` has cropped already, for readers that support it.
        options: Options of the reader.
        size: Returns width and height of the raw video's frames in pixels, as displayed.

    Examples:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from zoo.readers import Source
        >>> source = Source("v1", Path("data"), n_frames=3, times=lambda: np.arange(3) / 30)
        >>> source.times().shape, source.crops
        ((3,), None)
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
    faces: Callable[[], np.ndarray] | None = None


@dataclass(frozen=True)
class Sound:
    """The audio track of a video.

    Attributes:
        samples: (S,) float32 mono.
        rate: Hz.
        start: Seconds of samples[0] from the presentation time stamp of the first video frame (negative or positive).

    Examples:
        >>> import numpy as np
        >>> from zoo.readers import Sound
        >>> sound = Sound(np.zeros(16_000, np.float32), rate=16_000, start=-0.5)
        >>> sound.start + len(sound.samples) / sound.rate  # the end, in seconds from the first frame
        0.5
    """

    samples: np.ndarray
    rate: int
    start: float


class Reader(Protocol):
    """The methods of every reader."""

    def present(self) -> np.ndarray:
        """Return the frames at which the stream is expected to have data, without decoding.

        Returns:
            (n_frames,) bool.
        """

    def fingerprint(self) -> str:
        """Return a digest of the source's content and of the reader's version and options, for the feature cache.

        Returns:
            A text; other content has another fingerprint.
        """


class FrameReader(Reader, Protocol):
    """A reader of images.

    A reader that shrinks whole frames to a square may have an attribute ``squeezed`` that is True. Its frames are then
    squeezed to the size of its images during decoding, which is far faster than shrinking them afterwards.

    Attributes:
        uses_video: True if it needs the decoded frames of the raw video.

    Examples:
        >>> import numpy as np
        >>> class Grey:  # with present and fingerprint as in VectorReader
        ...     uses_video = True
        ...     def image(self, index, frame, size):
        ...         return np.full((size, size, 3), 127, np.uint8)
        >>> Grey().image(0, np.zeros((64, 96, 3), np.uint8), size=32).shape
        (32, 32, 3)
    """

    uses_video: bool

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """Return the slot's image at a frame.

        Args:
            index: Index of the frame.
            frame: The raw video's frame, uint8 RGB (H, W, 3), or (size, size, 3) if the reader is ``squeezed``. Do not
                write to it. None for readers that do not use the video.
            size: Width and height of the image in pixels.

        Returns:
            uint8 RGB (size, size, 3), or None if the frame has no image.
        """


class SoundReader(Reader, Protocol):
    """A reader of sound.

    Examples:
        >>> import numpy as np
        >>> from zoo.readers import Sound
        >>> class Silence:  # with present and fingerprint as in VectorReader
        ...     def sound(self, rate):
        ...         return Sound(np.zeros(rate, np.float32), rate, start=0.0)
        >>> Silence().sound(8_000).samples.shape
        (8000,)
    """

    def sound(self, rate: int) -> Sound | None:
        """Return the whole audio track.

        Args:
            rate: Sampling rate in Hz.

        Returns:
            The sound at this rate, or None if there is none.
        """


@dataclass(frozen=True)
class FrameView:
    """One frame of one person, in a video that is read once from its first frame to its last.

    A class of frame readers whose image depends on nothing else may have a static method ``picture(view, size)`` that
    returns the same as ``image``. `harness predict` then needs no folder of crops and boxes.

    Attributes:
        frame: As FrameReader.image gets it; None for readers that use no video.
        crop: The person's aligned face as JPEG; None if there is none.
        box: (4,) float32, the person's box in pixels of the raw video, NaN if unknown.
        size: Width and height of the raw video's frames in pixels, as displayed.
        face: (4,) float32, the face's box, as ``box``.

    Examples:
        >>> import numpy as np
        >>> from zoo.readers import FrameView
        >>> frame, box = np.zeros((64, 96, 3), np.uint8), np.full(4, np.nan, np.float32)  # the person's box is unknown
        >>> view = FrameView(frame, crop=None, box=box, size=(96, 64))
        >>> bool(np.isnan(view.box).any())
        True
    """

    frame: np.ndarray | None
    crop: bytes | None
    box: np.ndarray
    size: tuple[int, int]
    face: np.ndarray = field(default_factory=lambda: np.full(4, np.nan, np.float32))


@dataclass(frozen=True)
class Word:
    """One word, or several whose times are known only together.

    Attributes:
        text: The word.
        start: Seconds from the first video frame.
        end: Seconds from the first video frame.

    Examples:
        >>> from zoo.readers import Word
        >>> Word("hello", 0.5, 0.9).text
        'hello'
    """

    text: str
    start: float
    end: float


class TextReader(Reader, Protocol):
    """A reader of spoken words.

    Examples:
        >>> from zoo.readers import Word
        >>> class Greeting:  # with present and fingerprint as in VectorReader
        ...     def words(self):
        ...         return [Word("good", 0.0, 0.3), Word("day", 0.3, 0.6)]
        >>> [word.text for word in Greeting().words()]
        ['good', 'day']
    """

    def words(self) -> Sequence[Word]:
        """Return the words of the whole video.

        Returns:
            Words in the order of their beginnings.
        """


class VectorReader(Reader, Protocol):
    """A reader that gives one vector per frame.

    Examples:
        >>> import numpy as np
        >>> from zoo.readers import VectorReader
        >>> class Gaze:
        ...     def __init__(self, rows):
        ...         self.rows = rows
        ...     def present(self):
        ...         return np.isfinite(self.rows).all(1)
        ...     def fingerprint(self):
        ...         return "gaze 1"
        ...     def vectors(self):
        ...         return np.nan_to_num(self.rows)
        >>> reader: VectorReader = Gaze(np.array([[0.1, 0.2], [np.nan, np.nan]]))
        >>> reader.present().tolist(), reader.vectors().shape
        ([True, False], (2, 2))
    """

    def vectors(self) -> np.ndarray:
        """Return the vectors of all frames.

        Returns:
            (n_frames, D); rows at which the slot is absent are ignored.
        """
