"""Convert decoded frames to the pictures that a player shows: display matrix, pixel aspect ratio, HDR."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorTrc, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from zoo.errors import UserError

Size = tuple[int, int]  # width, height

# Area averages that use the colours of all averaged pixels: FFmpeg's default uses those of every other column.
# The flags also make rounding the same on every machine.
_EXACT = Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_SHRINK = Interpolation.AREA | _EXACT
_STRETCH = Interpolation.BICUBIC | _EXACT

# Media players treat pixels as square within this tolerance; many files deviate because their size was rounded.
_SQUARE = Fraction(1, 100)
_WIDEST = 4  # a pixel aspect ratio above this, or below its inverse, means a damaged header

_OFF = 10.0  # a matrix more than these degrees off a quarter turn gets a warning

# Colour matrices of ISO/IEC 23091-2, table 4, that decoders pass on, but FFmpeg's scaler does not convert.
_MATRICES = {8: "YCgCo", 10: "BT.2020 constant luminance", 11: "SMPTE ST 2085", 14: "ICtCp", 15: "IPT-C2"}
_MATRICES |= {12: "chromaticity-derived", 13: "chromaticity-derived constant luminance"}

_HDR = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}


@dataclass(frozen=True)
class Turn:
    """The effect of a display matrix, to the nearest quarter turn.

    Left and right are mirrored if ``mirrored``, then the picture is turned clockwise by ``quarters`` quarters. ``off``:
    remaining degrees, which are not applied.
    """

    mirrored: bool = False
    quarters: int = 0
    off: float = 0.0

    @property
    def swaps(self) -> bool:
        """True if width and height are swapped."""
        return self.quarters % 2 == 1

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Apply the turn to an array (H, W, ...)."""
        if not (self.mirrored or self.quarters):
            return pixels
        pixels = pixels[:, ::-1] if self.mirrored else pixels
        return np.ascontiguousarray(np.rot90(pixels, -self.quarters))


def turn_of(frame: VideoFrame) -> Turn:
    """Return the turn of the frame's display matrix; no turn if there is no matrix or a degenerate one.

    The matrix (ISO/IEC 14496-12, 8.3.2) maps a point x, y to ``a x + c y``, ``b x + d y``, with y pointing down.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return Turn()
    a, b, _, c, d = np.frombuffer(cast(bytes, matrix), np.int32)[:5].astype(float)
    mirrored = a * d - b * c < 0
    a, b = (-a, -b) if mirrored else (a, b)  # the rest is a rotation, perhaps with a scale on each axis
    scales = np.hypot(a, b), np.hypot(c, d)
    if not all(scales):
        return Turn()
    angle = float(np.degrees(np.arctan2(b / scales[0] - c / scales[1], a / scales[0] + d / scales[1])))
    quarters = round(angle / 90)
    return Turn(bool(mirrored), quarters % 4, abs(angle - 90 * quarters))


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Return the width of a pixel divided by its height, from the container or else the stream.

    Return 1 if neither has it, if it is implausible, or if it is within 1 % of square.
    """
    aspect = stream.sample_aspect_ratio or Fraction(1)
    sane = Fraction(1, _WIDEST) <= aspect <= _WIDEST
    return aspect if sane and abs(aspect - 1) > _SQUARE else Fraction(1)


@dataclass(frozen=True)
class Display:
    """Display properties of one video's frames.

    ``aspect``: the pixel aspect ratio. ``turn``: of the first frame. ``hdr``: the name of an HDR transfer function, or
    "". ``converted``: True if it is HDR and can be converted.
    """

    aspect: Fraction = Fraction(1)
    turn: Turn = Turn()
    hdr: str = ""
    converted: bool = False

    @staticmethod
    def of(stream: VideoStream, first: VideoFrame) -> Display:
        """Read the display properties from the stream and its first frame."""
        hdr = _HDR.get(int(first.color_trc), "")
        return Display(pixel_aspect(stream), turn_of(first), hdr, bool(hdr) and _converts_hdr())

    def stretched(self, frame: VideoFrame) -> Size:
        """Return the width and height of a frame with square pixels, before it is turned."""
        return max(1, round(frame.width * self.aspect)), frame.height

    def size(self, frame: VideoFrame) -> Size:
        """Return the width and height of a frame as it is shown."""
        width, height = self.stretched(frame)
        return (height, width) if self.turn.swaps else (width, height)

    def scale(self, frame: VideoFrame) -> tuple[float, float]:
        """Return the width and height of one stored pixel in shown pixels, after the turn."""
        wide = self.stretched(frame)[0] / frame.width
        return (1.0, wide) if self.turn.swaps else (wide, 1.0)

    def notes(self) -> tuple[str, ...]:
        """Return warnings for the owner of this video."""
        out = []
        if self.turn.off > _OFF:
            turned = f"{90 * self.turn.quarters} degrees" + (" and mirrored" if self.turn.mirrored else "")
            out.append(
                f"its display matrix is {self.turn.off:.0f} degrees off a quarter turn: pictures are turned by {turned}"
            )
        if self.hdr:
            done = "converted to standard range (BT.709)" if self.converted else "not converted and look too flat"
            out.append(f"HDR ({self.hdr}): pictures are {done}")
        return tuple(out)

    @property
    def reading(self) -> str:
        """The properties that change pixels compared with a decoder that only knows quarter turns; "" if none."""
        parts = [f"aspect {self.aspect}"] if self.aspect != 1 else []
        if self.turn.mirrored or self.turn.off >= 0.5:
            parts.append(f"turn {self.turn.mirrored} {self.turn.quarters}")
        if self.converted:
            parts.append(f"{self.hdr} to BT.709")
        return ", ".join(parts)


class Painter:
    """Converter of a video's frames to pictures, in several sizes.

    FFmpeg's converters are reused from frame to frame: building their tables costs more than converting a frame, for
    HDR thousands of times more.
    """

    def __init__(self, display: Display, path: Path) -> None:
        self.display, self.path = display, path
        self._converters: dict[Size | None, VideoReformatter] = {}

    def __call__(self, frame: VideoFrame, size: Size | None) -> np.ndarray:
        """Return the frame as uint8 RGB (H, W, 3), in ``size`` (width, height), or in its shown size if None.

        Raise UserError if FFmpeg cannot convert its colours.
        """
        turn = self.display.turn
        if size is None:
            width, height = self.display.stretched(frame)
            how = _STRETCH if (width, height) != (frame.width, frame.height) else None
        else:
            width, height = size[::-1] if turn.swaps else size
            how = _SHRINK
        colours = {"dst_color_trc": ColorTrc.BT709, "dst_color_primaries": ColorPrimaries.BT709}
        converter = self._converters.setdefault(size, VideoReformatter())
        try:
            # By default FFmpeg starts a thread per core for every picture, which takes longer than the conversion.
            shown = converter.reformat(
                frame,
                width,
                height,
                "rgb24",
                interpolation=how,
                threads=1,
                **(colours if self.display.converted else {}),
            )
        except av.FFmpegError as error:
            matrix = _MATRICES.get(int(frame.colorspace))
            if error.errno != errno.EOPNOTSUPP or matrix is None:
                raise
            raise UserError("video-colours-unknown", file=self.path, matrix=matrix) from error
        return turn(np.asarray(shown.to_ndarray(), np.uint8))


def _converts_hdr() -> bool:
    """Return True if this PyAV passes transfer functions to FFmpeg's scaler, which converts them from FFmpeg 8 on."""
    return int(av.__version__.split(".")[0]) >= 18
