"""Pictures out of video files. One decoder (PyAV) gives both the pixels and the time stamps.

The time line (harness.data.decoding.time_line) is the truth: ``read_frames`` yields exactly one picture for each of
its entries, so that everything else may count on ``n_frames`` and ``times``.
"""

from __future__ import annotations

import logging
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from harness.data.decoding.containers import is_playlist, is_still, video_stream
from harness.data.decoding.display import Display, Painter, Size
from harness.data.decoding.time_line import (
    Packets,
    TimeLine,
    decoded,
    line_of_packets,
    line_of_pictures,
    read_packets,
    reason_of,
)
from zoo.errors import UserError
from zoo.files import absolute
from zoo.limits import PIXELS, check_picture

VERSION = 1
"""Raise when every file would give other pixels, times or sound: caches and boxes depend on it. Where only some files
would, see ``VideoInfo.reading``."""

_HELD = {"max_pixels": str(PIXELS), "protocol_whitelist": "file"}  # no file has others fetched

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video.

    ``width``, ``height``: pixels as displayed (square, mirrored and turned as the file says). ``times``: (n_frames,)
    float64, increasing, seconds of each frame from the first one's presentation time. ``start``: that time on the
    file's own clock, which its sound shares. ``guessed``: frames whose time is not that of their own time stamp.
    ``notes``: what somebody who has this video should know. ``reading``: how it is read otherwise than by version 1,
    "" if it is read the same: part of what caches, packs and boxes depend on. ``scale``: how many shown pixels a stored
    one is wide and high, for what another program found in pixels as they are stored.
    """

    path: Path
    width: int
    height: int
    times: np.ndarray
    start: float
    has_audio: bool
    guessed: int = 0
    notes: tuple[str, ...] = ()
    reading: str = ""
    scale: tuple[float, float] = (1.0, 1.0)

    @property
    def n_frames(self) -> int:
        """Pictures in the video."""
        return len(self.times)


def open_media(path: str | os.PathLike[str]) -> InputContainer:
    """Open a media file; UserError where there is none or it cannot be read.

    FFmpeg decodes a few pictures to know what it opens: it is held to PIXELS then, too."""
    path = Path(path)
    if not path.is_file():
        raise UserError("video-missing", file=path)
    if path.stat().st_size == 0:
        raise UserError("video-empty", file=path)
    try:
        container = av.open(absolute(path), metadata_errors="ignore", options=_HELD.copy())
    except (av.FFmpegError, OSError) as error:
        raise UserError("video-unreadable", file=path, reason=reason_of(error)) from error
    if is_playlist(container):
        container.close()
        raise UserError("video-no-stream", file=path, kind="a playlist of other files")
    return container


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Size and time line of the first real video stream (cover pictures are none).

    By reading its packets, or, where those do not tell all, by decoding it once. UserError names a file that is no
    video, has no picture, or is cut short, with the frame where it breaks off.
    """
    path = Path(path)
    with open_media(path) as container:
        stream = _video_stream(container, path)
        packets = _packets(container, stream, path)
        has_audio = bool(container.streams.audio)
        base = float(stream.time_base or 0)
    with open_media(path) as container:  # opened again: seeking back is not exact in every container
        stream = _video_stream(container, path)
        first = _first_frame(container, path)
        display = Display.of(stream, first)
        in_order = _in_order(packets, first)
        line = None if in_order else line_of_packets(packets, base)
    line = line or _decoded_line(path, packets)
    notes = display.notes()
    if line.guessed:
        notes = (f"{line.guessed} of {len(line.times)} frames have no time stamp that fits: theirs is reckoned", *notes)
    _warn(path, notes)
    width, height = display.size(first)
    parts = (_other_times(line, packets, base), "sound 2" if packets.sound_mended else "", display.reading)
    reading = ", ".join(part for part in parts if part)
    return VideoInfo(
        path, width, height, line.times, line.start, has_audio, line.guessed, notes, reading, display.scale(first)
    )


def _in_order(packets: Packets, first: VideoFrame) -> bool:
    """Whether pictures are taken as the decoder gives them, since the packets do not tell which there are. A picture
    of two fields may be two packets."""
    return not packets.complete or first.interlaced_frame


def _decoded_line(path: Path, packets: Packets) -> TimeLine:
    with open_media(path) as container:
        stream = _video_stream(container, path)
        stream.thread_type = "AUTO"
        stamps: list[int | None] = []
        try:
            stamps.extend(frame.pts for frame in decoded(container, stream))
        except av.FFmpegError as error:
            raise _broke_off(path, len(stamps), max(len(stamps) + 1, len(packets.stamps)), error) from error
        if not stamps:
            raise UserError("video-no-frame-decoded", file=path, count=len(packets.stamps))
        return line_of_pictures(stamps, packets, stream)


def _other_times(line: TimeLine, packets: Packets, base: float) -> str:
    """ "" where version 1 gave the same times to the same pictures, else the version that does."""
    before = line_of_packets(packets, base) if packets.stamps else None
    same = before is not None and before.start == line.start and np.array_equal(before.times, line.times)
    return "" if same else "times 2"


@lru_cache(maxsize=4096)
def _warn(path: Path, notes: tuple[str, ...]) -> None:
    """Once a video, in each process."""
    for note in notes:
        log.warning("%s: %s", path, note)


def expected_frames(path: str | os.PathLike[str]) -> int:
    """Roughly how many frames a file's header promises, for estimates of time; 0 where it does not say."""
    try:
        with open_media(path) as container:
            stream = _video_stream(container, Path(path))
            seconds = (container.duration or 0) / av.time_base
            return stream.frames or round(seconds * float(stream.average_rate or 0))
    except UserError:  # told when the file is read
        return 0


def read_frames(path: str | os.PathLike[str], *, threads: int = 0) -> Iterator[np.ndarray]:
    """Every frame once, in presentation order: uint8 RGB (H, W, 3), as displayed, exactly ``probe(path).n_frames``.

    ``threads``: that decode, 0 for one a core. A picture that the decoder drops (a damaged packet, the leading frames
    of an open group) is answered by the one before it; where more than 1 % are missing, or decoding fails, a UserError
    names the frame. An array may be yielded twice: do not write into it.
    """
    for (frame,) in read_pictures(path, [None], threads=threads):
        yield frame


def read_pictures(
    path: str | os.PathLike[str], sizes: Sequence[Size | None], *, threads: int = 0
) -> Iterator[tuple[np.ndarray, ...]]:
    """The frames of ``read_frames``, each in several sizes: None for the size that it has.

    Shrunk while it is converted, a frame takes a fifth to an eighth of the time of ``resize`` afterwards, and is nearer
    to the area average of its colours. UserError too where a frame that is to be shrunk has not the size of the first,
    which positions in it are given for.
    """
    path = Path(path)
    with open_media(path) as container:
        packets = _packets(container, _video_stream(container, path), path)
    painter: Painter | None = None
    first: Size | None = None
    done = 0
    with open_media(path) as container:
        stream = _video_stream(container, path)
        stream.thread_type, stream.thread_count = "AUTO", threads
        try:
            for frame, rows in _rows(container, stream, packets, path):
                painter = painter or Painter(Display.of(stream, frame))
                first = first or (frame.width, frame.height)
                if any(sizes) and (frame.width, frame.height) != first:
                    raise UserError(
                        "video-size-changes",
                        file=path,
                        frame=done + 1,
                        width=frame.width,
                        height=frame.height,
                        first=first[0],
                        first2=first[1],
                    )
                picture = tuple(painter(frame, size) for size in sizes)
                for _ in range(rows):
                    yield picture
                done += rows
        except av.FFmpegError as error:
            raise _broke_off(path, done, len(packets.stamps), error) from error


def _rows(
    container: InputContainer, stream: VideoStream, packets: Packets, path: Path
) -> Iterator[tuple[VideoFrame, int]]:
    """Each picture, and for how many rows of the time line it stands.

    A picture's place is that of its time stamp. Where the decoder skipped some (it could not decode them), the one
    before stands for them too, or the first one where there is none, so that all others stay right.
    """
    frames = decoded(container, stream)
    first = next(frames, None)
    if first is None:
        raise UserError("video-no-frame-decoded", file=path, count=len(packets.stamps))
    if _in_order(packets, first):
        yield first, 1
        yield from ((frame, 1) for frame in frames)
        return
    stamps = packets.stamps
    by_order = container.format.name == "avi"  # no time stamps in AVI: FFmpeg's guesses come out of order
    waiting, begin, done = first, 0, 1 if by_order or first.pts is None else max(1, bisect_right(stamps, first.pts))
    filled = done - 1
    _refuse_holes(path, filled, len(stamps))  # here too: few read on once they have their last frame
    for frame in frames:
        upto = done + 1 if by_order or frame.pts is None else bisect_right(stamps, frame.pts)
        if upto <= done or done == len(stamps):
            continue
        filled += upto - done - 1
        _refuse_holes(path, filled, len(stamps))
        yield waiting, upto - 1 - begin
        waiting, begin, done = frame, upto - 1, upto
    _refuse_holes(path, filled + len(stamps) - done, len(stamps))
    yield waiting, len(stamps) - begin


def _broke_off(path: Path, done: int, count: int, error: Exception) -> UserError:
    return UserError("video-decoding-broke-off", file=path, frame=done + 1, count=count, reason=reason_of(error))


def _refuse_holes(path: Path, missing: int, frames: int) -> None:
    if missing > max(2, frames // 100):
        raise UserError("video-frames-undecodable", file=path, missing=missing, frames=frames)


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    stream = video_stream(container)
    if isinstance(stream, str):
        raise UserError("video-no-stream", file=path, kind=stream)
    check_picture(path, stream.width, stream.height)
    stream.codec_context.options = _HELD.copy()  # a picture may be larger than the header says
    return stream


def _packets(container: InputContainer, stream: VideoStream, path: Path) -> Packets:
    packets = read_packets(container, stream, path)
    if is_still(container, packets.count):
        raise UserError("video-no-stream", file=path, kind="still image")
    return packets


def _first_frame(container: InputContainer, path: Path) -> VideoFrame:
    stream = _video_stream(container, path)
    try:
        return next(decoded(container, stream))
    except (av.FFmpegError, StopIteration) as error:
        raise UserError("video-first-frame", file=path, reason=reason_of(error)) from error
