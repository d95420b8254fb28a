"""The inputs of an encoder: images, sound, words, vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class FrameInput:
    """The input of an image encoder: square RGB images, normalised on the device as (x / 255 - mean) / std.

    Attributes:
        size: Width and height in pixels.
        mean: Mean of each channel, in [0, 1].
        std: Standard deviation of each channel, in [0, 1].
        context: Extra frames on each side of a clip. With 0 only the present and valid frames are passed.

    Examples:
        >>> from zoo.api import FrameInput
        >>> FrameInput(size=112, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)).context
        0
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    context: int = 0


@dataclass(frozen=True)
class AudioInput:
    """The input of an audio encoder: mono samples.

    Attributes:
        rate: Sampling rate in Hz.
        margin: Extra seconds of sound on each side of the clip's frames.
        grid: The first sample is a multiple of this many samples from the video's start: all clips share one grid.

    Examples:
        >>> from zoo.api import AudioInput
        >>> AudioInput(rate=8_000, grid=160)
        AudioInput(rate=8000, margin=0.5, grid=160)
    """

    rate: int = 16_000
    margin: float = 0.5
    grid: int = 1


@dataclass(frozen=True)
class VectorInput:
    """The input of an encoder whose stream's reader already gives one vector per frame (landmarks, word features).

    Attributes:
        dim: Length of a vector.

    Examples:
        >>> from zoo.api import VectorInput
        >>> VectorInput(dim=1434)
        VectorInput(dim=1434)
    """

    dim: int


HOLD = 0.5
"""Seconds after a word for which it still counts as being said: pauses between words are no silence."""


@dataclass(frozen=True)
class TextInput:
    """The input of a text encoder: the tokens of the words around each frame's time.

    A frame gets the words that began at most ``ahead`` seconds after it and ended less than ``window`` seconds before
    it, joined by spaces.

    Attributes:
        length: Tokens per frame, L.
        tokenise: Texts (N) -> int32 (N, L). Texts with more tokens keep the last ones; -1 fills up the others.
        window: Seconds before the frame; at least HOLD, so that every frame with the stream has a text.
        ahead: Seconds after the frame; with 0 no word has an influence before it begins.

    Examples:
        >>> import numpy as np
        >>> from zoo.api import TextInput
        >>> def letters(texts):
        ...     return np.array([[ord(c) for c in text[-4:].rjust(4)] for text in texts], np.int32)
        >>> TextInput(length=4, tokenise=letters).tokenise(["good day"]).tolist()
        [[32, 100, 97, 121]]
    """

    length: int
    tokenise: Callable[[Sequence[str]], np.ndarray]
    window: float = 10.0
    ahead: float = 0.0
