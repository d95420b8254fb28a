"""Pictures out of video files. One decoder (PyAV) gives both the pixels and the time stamps.

The time line of a video is read from its packets, without decoding, and it is the truth: ``read_frames`` yields
exactly one picture for each of its entries, so that everything else may count on ``n_frames`` and ``times``.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from zoo.errors import UserError

VERSION = 1
"""Raise when the same file would give other pixels, times or sound: caches and boxes depend on it."""

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm")

Size = tuple[int, int]  # width, height

# Area averages, with the colours of the pixels that are averaged: FFmpeg's default takes those of every other column.
# Rounded the same on every machine.
_SHRINK = Interpolation.AREA | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND | Interpolation.BITEXACT

# A file whose packets end this much before its header says so is taken as cut short (seconds).
_CUT = 1.0


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video without decoding it.

    ``width``, ``height``: pixels as displayed (after rotation). ``times``: (n_frames,) float64, increasing, seconds
    of each frame from the first one's presentation time stamp. ``start``: that time stamp on the file's own clock,
    which its sound shares.
    """

    path: Path
    width: int
    height: int
    times: np.ndarray
    start: float
    has_audio: bool

    @property
    def n_frames(self) -> int:
        """Pictures in the video."""
        return len(self.times)


def open_media(path: str | os.PathLike[str]) -> InputContainer:
    """Open a media file; UserError where there is none or it cannot be read."""
    path = Path(path)
    if not path.is_file():
        raise UserError("video-missing", file=path)
    if path.stat().st_size == 0:
        raise UserError("video-empty", file=path)
    try:
        return av.open(str(path), metadata_errors="ignore")
    except (av.FFmpegError, OSError) as error:
        raise UserError("video-unreadable", file=path, reason=_reason(error)) from error


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Size and time line of the first real video stream (cover pictures are none), by reading its packets.

    UserError names a file that is no video, has no picture, or is cut short, with the frame where it breaks off.
    """
    path = Path(path)
    with open_media(path) as container:
        stream = _video_stream(container, path)
        stamps = _time_line(container, stream, path)
        has_audio = bool(container.streams.audio)
        base = float(stream.time_base or 0)
    with open_media(path) as container:  # opened again: seeking back is not exact in every container
        first = _first_frame(container, path)
    width, height = first.width, first.height
    if first.rotation % 180:
        width, height = height, width
    times = (np.array(stamps, np.float64) - stamps[0]) * base
    return VideoInfo(path, width, height, times, stamps[0] * base, has_audio)


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
        stamps = _time_line(container, _video_stream(container, path), path)
    done = 0
    picture: tuple[np.ndarray, ...] | None = None
    first: Size | None = None
    filled = 0
    with open_media(path) as container:
        stream = _video_stream(container, path)
        stream.thread_type, stream.thread_count = "AUTO", threads
        by_order = container.format.name == "avi"  # no time stamps in AVI: FFmpeg's guesses come out of order
        try:
            for frame in container.decode(stream):
                # A frame's place is that of its time stamp in the time line. Where the decoder skipped some (it could
                # not decode them), the one before is given again in their place, so that all later ones stay right.
                upto = done + 1 if by_order or frame.pts is None else bisect_right(stamps, frame.pts)
                if upto <= done or done == len(stamps):
                    continue
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
                filled += upto - done - 1
                _refuse_holes(path, filled, len(stamps))  # here too: few read on once they have their last frame
                before, picture = picture, tuple(_pixels(frame, size) for size in sizes)
                for _ in range(upto - done - 1):
                    yield picture if before is None else before
                yield picture
                done = upto
        except av.FFmpegError as error:
            raise UserError(
                "video-decoding-broke-off", file=path, frame=done + 1, count=len(stamps), reason=_reason(error)
            ) from error
    filled += len(stamps) - done
    if picture is None:
        raise UserError("video-no-frame-decoded", file=path, count=len(stamps))
    _refuse_holes(path, filled, len(stamps))
    for _ in range(done, len(stamps)):
        yield picture


def _refuse_holes(path: Path, missing: int, frames: int) -> None:
    if missing > max(2, frames // 100):
        raise UserError("video-frames-undecodable", file=path, missing=missing, frames=frames)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None:
            return stream
    raise UserError("video-no-stream", file=path)


def _first_frame(container: InputContainer, path: Path) -> VideoFrame:
    stream = _video_stream(container, path)
    try:
        return next(container.decode(stream))
    except (av.FFmpegError, StopIteration) as error:
        raise UserError("video-first-frame", file=path, reason=_reason(error)) from error


def _time_line(container: InputContainer, stream: VideoStream, path: Path) -> list[int]:
    """Presentation time stamps of all frames that are shown, sorted, in the stream's time base."""
    stamps: set[int] = set()
    packets, end = 0, 0.0
    try:
        for packet in container.demux():
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is None:
                continue
            if packet.time_base is not None:
                end = max(end, float((stamp + (packet.duration or 0)) * packet.time_base))
            if packet.stream is stream:
                packets += 1
                if packet.size and not packet.is_discard and not _hidden(packet, stream):
                    stamps.add(stamp)
    except av.FFmpegError as error:
        raise UserError("video-reading-broke-off", file=path, frame=len(stamps) + 1, reason=_reason(error)) from error
    missing = _cut_short(container, stream, packets, end)
    if missing:
        raise UserError("video-cut-short", file=path, frame=len(stamps) + 1, missing=missing)
    if not stamps:
        raise UserError("video-no-frames", file=path)
    return sorted(stamps)


def _hidden(packet: Packet[Stream], stream: VideoStream) -> bool:
    """VP8 sends reference pictures that are never shown as packets of their own (RFC 6386, 9.1: show_frame)."""
    return stream.codec_context.name in ("vp8", "libvpx") and not memoryview(packet)[0] & 0x10


def _cut_short(container: InputContainer, stream: VideoStream, packets: int, end: float) -> str:
    """What is missing at the end of a file, by what its header promised; "" for a whole file.

    FFmpeg reads a cut file without complaint. An MP4's table of samples names every packet; Matroska and AVI
    headers give a duration, in AVI as a count of frame times.
    """
    if "mp4" in container.format.name:
        promised = len(stream.index_entries)
        return f"{packets} of {promised} frames" if packets < promised else ""
    if container.format.name == "avi":
        length = stream.frames * float(stream.time_base or 0)
    else:
        length = (container.duration or 0) / av.time_base
    return f"{end:.1f} of {length:.1f} s" if end < length - _CUT else ""


def _pixels(frame: VideoFrame, size: Size | None) -> np.ndarray:
    rotation = frame.rotation
    # One thread: by default FFmpeg starts one a core for every picture, which takes longer than what they then do.
    if size is None:
        frame = frame.reformat(format="rgb24", threads=1)
    else:
        width, height = size[::-1] if rotation % 180 else size
        frame = frame.reformat(width, height, "rgb24", interpolation=_SHRINK, threads=1)
    pixels = np.asarray(frame.to_ndarray(), np.uint8)
    return np.ascontiguousarray(np.rot90(pixels, rotation // 90)) if rotation % 360 else pixels
