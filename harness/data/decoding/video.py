"""Decode video files. One decoder (PyAV) gives both the pixels and the time stamps.

The time line (harness.data.decoding.time_line) is authoritative: ``read_frames`` yields exactly one picture for each
of its entries, so that all other code can rely on ``n_frames`` and ``times``.
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

from harness.data.decoding.containers import ends_inside_packet, is_playlist, is_still, moving_streams, video_stream
from harness.data.decoding.display import Display, Painter, Size
from harness.data.decoding.file_ends import ends_inside_pes, lacks_end_mark
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
"""Increase when the pixels, times or sound of every file change: caches and boxes depend on it.

For a change to some files only, see ``VideoInfo.reading``.
"""

_HELD = {"max_pixels": str(PIXELS), "protocol_whitelist": "file"}  # a file must not make FFmpeg fetch URLs

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video.

    ``width``, ``height``: pixels as displayed (square, mirrored and turned as the file says). ``times``: (n_frames,)
    float64, increasing, seconds of each frame from the first one's presentation time. ``start``: that presentation time
    on the file's own clock, which the sound shares. ``guessed``: number of frames whose time is not that of their own
    time stamp. ``notes``: warnings for the owner of the video. ``reading``: how it is read differently than by version
    1, "" if it is read the same; caches, packs and boxes depend on it. ``scale``: width and height of a stored pixel in
    shown pixels, to convert positions that another program found in stored pixels.
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
        """Number of pictures in the video."""
        return len(self.times)


def open_media(path: str | os.PathLike[str]) -> InputContainer:
    """Open a media file. Raise UserError if it is missing, empty, a playlist, or cannot be read.

    FFmpeg decodes a few pictures on opening; the limit of PIXELS applies to them too.
    """
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
    """Return the properties of the video stream that is read, which is not a cover picture; see ``video_stream``.

    Its packets are read; if they do not determine the time line, the video is decoded once. Raise UserError if the
    file is not a video, has no picture, or is cut short; it gives the frame at which the file breaks off.
    """
    path = Path(path)
    with open_media(path) as container:
        stream = _video_stream(container, path)
        packets = _packets(container, stream, path)
        has_audio = bool(container.streams.audio)
        base = float(stream.time_base or 0)
        choice, other_stream = _choice(container, stream)
        cut = _cut_notes(path, container.format.name)
    with open_media(path) as container:  # opened again, because seeking back is not exact in every container
        stream = _video_stream(container, path)
        first = _first_frame(container, path, len(packets.stamps))
        display = Display.of(stream, first)
        in_order = _in_order(packets, first)
        line = None if in_order else line_of_packets(packets, base)
        by_order = not in_order and container.format.name == "avi"  # in version 1, which so took no notice of gaps
        rows = _other_rows(path, packets, first) if by_order else ""
    line = line or _decoded_line(path, packets)
    notes = (*choice, *cut, *_time_notes(line), *display.notes())
    _warn(path, notes)
    width, height = display.size(first)
    times = _other_times(line, packets, base)
    parts = (times, "sound 2" if packets.sound_mended else "", display.reading, other_stream, rows)
    reading = ", ".join(part for part in parts if part)
    return VideoInfo(
        path, width, height, line.times, line.start, has_audio, line.guessed, notes, reading, display.scale(first)
    )


def _choice(container: InputContainer, stream: VideoStream) -> tuple[tuple[str, ...], str]:
    """Return a note if a file has several video streams, and a tag for ``VideoInfo.reading`` if not the first is read.

    Version 1 always read the first.
    """
    streams = moving_streams(container)
    if len(streams) < 2 or isinstance(streams, str):
        return (), ""
    place = next(k for k, other in enumerate(streams, start=1) if other.index == stream.index)
    size = f"{stream.width} x {stream.height} pixels"
    note = f"the file has {len(streams)} video streams; only number {place} is read ({size})"
    return (note,), "" if place == 1 else f"stream {place}"


def _cut_notes(path: Path, form: str) -> tuple[str, ...]:
    """Return a note if a file seems to be cut short, but its header does not say how long it should be."""
    if ends_inside_packet(path) or ends_inside_pes(path, form):
        return ("the file ends inside a packet, so its end is missing",)
    if lacks_end_mark(path, form):
        return ("the file has no end mark, so its end may be missing",)
    return ()


def warn_if_cut(path: Path) -> None:
    """Log a warning if a file of sound alone seems to be cut short; ``probe`` does so for videos."""
    with open_media(path) as container:
        form = container.format.name
    _warn(path, _cut_notes(path, form))


def _time_notes(line: TimeLine) -> Iterator[str]:
    """Yield what a user should know of a video's time line."""
    if line.guessed:
        yield f"{line.guessed} of {len(line.times)} frames have no valid time stamp; times are estimated"
    missing, time = line.missing()
    if missing:
        yield (
            f"about {missing} frames are missing, the first after {time:.2f} s: they are not in the file or cannot be "
            "decoded; all other frames keep their times"
        )


def _in_order(packets: Packets, first: VideoFrame) -> bool:
    """Return True if rows are the pictures in decoder order, because the packets do not determine the time line.

    That includes interlaced video, in which each of a picture's two fields may be a packet.
    """
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
    """Return "" if version 1 gave the same pictures the same times, else a tag for the new times."""
    before = line_of_packets(packets, base) if packets.stamps else None
    same = before is not None and before.start == line.start and np.array_equal(before.times, line.times)
    return "" if same else "times 2"


def _other_rows(path: Path, packets: Packets, first: VideoFrame) -> str:
    """Return a tag if a packet of an AVI file gives no picture: in version 1, the later ones were in earlier rows.

    Only a file that is likely to have such packets is decoded, because others would be decoded for nothing.
    """
    if not packets.skips and first.pts in (None, packets.stamps[0]):
        return ""
    with open_media(path) as container:
        stream = _video_stream(container, path)
        stream.thread_type = "AUTO"
        try:
            count = sum(1 for _ in decoded(container, stream))
        except av.FFmpegError:  # reported when the pictures are read
            return ""
    return "rows 2" if count < len(packets.stamps) else ""


@lru_cache(maxsize=4096)
def _warn(path: Path, notes: tuple[str, ...]) -> None:
    """Log the notes once per video and process."""
    for note in notes:
        log.warning("%s: %s", path, note)


def expected_frames(path: str | os.PathLike[str]) -> int:
    """Return roughly the number of frames that a file's header promises, for time estimates; 0 if it is unknown."""
    try:
        with open_media(path) as container:
            stream = _video_stream(container, Path(path))
            seconds = (container.duration or 0) / av.time_base
            return stream.frames or round(seconds * float(stream.average_rate or 0))
    except UserError:  # reported when the file is read
        return 0


def read_frames(path: str | os.PathLike[str], *, threads: int = 0) -> Iterator[np.ndarray]:
    """Yield every frame once, in presentation order: uint8 RGB (H, W, 3), as displayed.

    There are exactly ``probe(path).n_frames`` of them. ``threads``: number of decoder threads, 0 for one per core. A
    picture that the decoder drops (a damaged packet, the leading frames of an open group) is replaced by the previous
    one. Raise UserError, with the frame, if more than 1 % are missing or decoding fails. The same array may be yielded
    twice: do not write into it.
    """
    for (frame,) in read_pictures(path, [None], threads=threads):
        yield frame


def read_pictures(
    path: str | os.PathLike[str], sizes: Sequence[Size | None], *, threads: int = 0
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the frames of ``read_frames``, each in several sizes; None stands for the video's own size.

    Resizing during conversion takes a fifth to an eighth of the time of ``resize`` afterwards, and is nearer to the
    area average of the colours. Raise UserError as ``read_frames`` does, and if a frame differs in size from the first
    one: positions in the video, and boxes of faces, refer to that size.
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
                painter = painter or Painter(Display.of(stream, frame), path)
                first = first or (frame.width, frame.height)
                if (frame.width, frame.height) != first:
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
    """Yield each picture with the number of rows of the time line that it fills.

    A picture's row is that of its time stamp. If a packet gives no picture, because it cannot be decoded or says that
    nothing changes, the previous picture fills its row too (the first picture, if there is no previous one), so that
    all others keep their rows.
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
    waiting, begin, done = first, 0, 1 if first.pts is None else max(1, bisect_right(stamps, first.pts))
    filled = _undecodable(packets, 0, done - 1)
    _refuse_holes(path, filled, len(stamps))  # checked early too: most callers stop at the last frame that they need
    for frame in frames:
        upto = done + 1 if frame.pts is None else bisect_right(stamps, frame.pts)
        if upto <= done or done == len(stamps):
            continue
        filled += _undecodable(packets, done, upto - 1)
        _refuse_holes(path, filled, len(stamps))
        yield waiting, upto - 1 - begin
        waiting, begin, done = frame, upto - 1, upto
    _refuse_holes(path, filled + _undecodable(packets, done, len(stamps)), len(stamps))
    yield waiting, len(stamps) - begin


def _undecodable(packets: Packets, begin: int, end: int) -> int:
    """Return how many rows without a picture of their own are due to damage: packets may say that nothing changes."""
    return sum(stamp not in packets.skips for stamp in packets.stamps[begin:end])


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
    stream.codec_context.options = _HELD.copy()  # needed because a picture may be larger than the header says
    return stream


def _packets(container: InputContainer, stream: VideoStream, path: Path) -> Packets:
    packets = read_packets(container, stream, path)
    if is_still(container, packets.count):
        raise UserError("video-no-stream", file=path, kind="still image")
    return packets


def _first_frame(container: InputContainer, path: Path, count: int) -> VideoFrame:
    stream = _video_stream(container, path)
    try:
        first = next(decoded(container, stream), None)
    except av.FFmpegError as error:
        raise UserError("video-first-frame", file=path, reason=reason_of(error)) from error
    if first is None:
        raise UserError("video-no-frame-decoded", file=path, count=count)
    return first
