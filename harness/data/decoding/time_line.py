"""When each picture of a video is shown: the one rule that index, readers, packs, crops and sound share.

Every picture that decodes is one row, in the order in which it is shown, with one time. Where each packet of the file
is one picture and has a time stamp of its own, the packets tell that, and nothing is decoded. Anything else (packets
without stamps or with equal ones, raw streams, a start inside a group of pictures, containers in which a picture may
be two packets) is told by decoding the video once. A picture whose stamp is missing, or contradicts the others, has
its time from its neighbours, or from the frame rate where no picture has a stamp.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from zoo.errors import UserError

# A file whose packets end this much before its header says so is taken as cut short (seconds).
_CUT = 1.0

# A clock that falls back by more than this has begun again: files were put one after the other (seconds).
_RESTART = 1.0

# One packet a picture, whatever the codec. In MPEG streams a picture may be two packets, one a field.
_ONE_EACH = ("mp4", "matroska", "avi")

_ASSUMED_RATE = 25.0  # frames a second of a raw stream that names none, as FFmpeg assumes


@dataclass(frozen=True)
class Packets:
    """What the packets of a video say. ``stamps``: of the pictures that are shown, sorted, each once, in the stream's
    time base; ``order``: decoding time stamps, likewise; ``count``: of all packets. ``complete``: they tell all of the
    time line. ``sound_mended``: sound lacks time stamps, or its clock begins again."""

    stamps: list[int]
    order: list[int]
    count: int
    complete: bool
    sound_mended: bool = False


@dataclass(frozen=True)
class TimeLine:
    """``times`` (n,) float64, increasing, seconds of each picture from the first one; ``start``: the first one's time
    on the file's own clock (seconds); ``guessed``: of how many the time is not that of their own stamp."""

    times: np.ndarray
    start: float
    guessed: int = 0

    @staticmethod
    def of_ticks(ticks: np.ndarray, base: float, guessed: int = 0) -> TimeLine:
        """``ticks`` (n,) of a clock that has one every ``base`` seconds."""
        return TimeLine((ticks - ticks[0]) * base, float(ticks[0] * base), guessed)


@dataclass
class _Survey:
    """The packets of the video stream as they go by."""

    stamps: list[int] = field(default_factory=list)  # of shown pictures, in the order of the file
    order: list[int] = field(default_factory=list)
    packets: int = 0
    bare: int = 0  # packets without a presentation time stamp
    first: int | None = None  # the first packet's stamp, shown or not
    least: int | None = None
    begins_with_key: bool = False

    def add(self, packet: Packet[Stream], stream: VideoStream) -> None:
        stamp = packet.dts if packet.pts is None else packet.pts
        self.packets += 1
        if self.packets == 1:
            self.first, self.begins_with_key = stamp, packet.is_keyframe
        if stamp is not None:
            self.least = stamp if self.least is None else min(self.least, stamp)
        if packet.size and not packet.is_discard and not _hidden(packet, stream):
            self.bare += packet.pts is None
            if stamp is not None:
                self.stamps.append(stamp)
                self.order.append(stamp if packet.dts is None else packet.dts)

    def is_complete(self, container: InputContainer, stream: VideoStream) -> bool:
        name = container.format.name
        if not any(part in name for part in _ONE_EACH):
            return False
        if name == "avi":  # no presentation time stamps: those that FFmpeg guesses are right without reordering only
            return not stream.codec_context.has_b_frames
        return (
            not self.bare
            and len(set(self.stamps)) == len(self.stamps)
            and self.begins_with_key
            and self.first == self.least
        )


@dataclass
class _SoundSurvey:
    """Whether each packet of sound has a time stamp, and these go on."""

    mended: bool = False
    last: float = float("-inf")

    def add(self, packet: Packet[Stream]) -> None:
        if packet.pts is None or packet.time_base is None:
            self.mended = True
        else:
            time = float(packet.pts * packet.time_base)
            self.mended |= time < self.last - _RESTART
            self.last = time


class SteadyClock:
    """The times of one stream on a clock that never begins again: where the file's does, it goes on instead."""

    def __init__(self, second: float = 1.0) -> None:
        self.limit = _RESTART * second
        self._shift: float = 0
        self._last: float | None = None

    def __call__(self, time: float, length: float) -> float:
        """The place of something at ``time`` that comes ``length`` after what came before, in the clock's unit."""
        last = self._last
        if last is not None and self._shift and last < time <= last + self.limit:
            self._shift = 0  # one stray time stamp had fallen back
        elif last is not None and time + self._shift < last - self.limit:
            self._shift = last + length - time
        self._last = time + self._shift
        return self._last


def read_packets(container: InputContainer, stream: VideoStream, path: Path) -> Packets:
    """Read all packets of a file, without decoding. UserError where it breaks off or is cut short."""
    survey, sound = _Survey(), _SoundSurvey()
    end = begin = 0.0
    first_sound = next(iter(container.streams.audio), None)
    try:
        for packet in container.demux():
            stamp = packet.dts if packet.pts is None else packet.pts
            if packet.stream is stream and (packet.size or stamp is not None):  # else it is the mark of the end
                survey.add(packet, stream)
            elif packet.size and packet.stream is first_sound:
                sound.add(packet)
            if stamp is not None and packet.time_base is not None:
                begin = min(begin, float(stamp * packet.time_base))
                end = max(end, float((stamp + (packet.duration or 0)) * packet.time_base))
    except av.FFmpegError as error:
        raise UserError(
            "video-reading-broke-off", file=path, frame=len(survey.stamps) + 1, reason=reason_of(error)
        ) from error
    missing = _cut_short(container, stream, survey.packets, end - begin)
    if missing:
        raise UserError("video-cut-short", file=path, frame=len(survey.stamps) + 1, missing=missing)
    if not survey.packets:
        raise UserError("video-no-frames", file=path)
    complete = survey.is_complete(container, stream)
    return Packets(sorted(set(survey.stamps)), sorted(survey.order), survey.packets, complete, sound.mended)


def decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Every picture that decodes, in the order in which they are shown.

    Packets that come before the first picture and do not decode are passed over: a recording that was cut begins with
    pictures that refer to what was cut away. av.FFmpegError from the first picture on, or where there is none.
    """
    seen, fault = False, None
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError as error:
            if seen:
                raise
            fault = error
            continue
        seen = seen or bool(frames)
        yield from frames
    if fault is not None and not seen:
        raise fault


def line_of_packets(packets: Packets, base: float) -> TimeLine:
    """The time line of a video whose packets tell all of it; ``base``: seconds of a tick of its clock."""
    return TimeLine.of_ticks(np.array(packets.stamps, np.float64), base)


def line_of_pictures(stamps: Sequence[int | None], packets: Packets, stream: VideoStream) -> TimeLine:
    """The time line of a video that was decoded; ``stamps``: of each picture (at least one), None where it has none."""
    base = float(stream.time_base or 1)
    if stream.container.format.name == "avi" and not _increasing(stamps) and len(packets.order) == len(stamps):
        # FFmpeg guesses at presentation time stamps in AVI. Pictures follow each other there as their packets do.
        delay = packets.stamps[0] - packets.order[0]
        stamps = [stamp + delay for stamp in packets.order]
    rate = float(stream.guessed_rate or stream.average_rate or 0) or _ASSUMED_RATE
    step = 1 / rate / base
    steady = SteadyClock(1 / base)
    ticks, guessed = mend([None if stamp is None else steady(stamp, round(step)) for stamp in stamps], step)
    return TimeLine.of_ticks(ticks, base, guessed)


def mend(stamps: Sequence[float | None], step: float) -> tuple[np.ndarray, int]:
    """Time stamps (n,) float64 that increase from picture to picture, and how many of them are not as given.

    The longest run of stamps that increase is kept. Between two of its pictures the others are spread evenly; before
    the first and after the last they go on at the median step, or at ``step`` where there is none.
    """
    rows = np.array(_longest_increase(stamps), np.int64)
    n = len(stamps)
    if not len(rows):
        return np.arange(n) * step, n
    known = np.array([stamps[k] for k in rows], np.float64)
    if len(rows) > 1:
        step = float(np.median(np.diff(known) / np.diff(rows)))
    out = np.interp(np.arange(n), rows, known)
    first, last = rows[0], rows[-1]
    out[:first] = known[0] - step * np.arange(first, 0, -1)
    out[last + 1 :] = known[-1] + step * np.arange(1, n - last)
    return out, n - len(rows)


def reason_of(error: Exception) -> str:
    """What FFmpeg says of an error."""
    return str(getattr(error, "strerror", None) or error)


def _increasing(stamps: Sequence[int | None]) -> bool:
    known = [stamp for stamp in stamps if stamp is not None]
    return all(a < b for a, b in pairwise(known))


def _longest_increase(stamps: Sequence[float | None]) -> list[int]:
    """Places of a longest strictly increasing run of the stamps that are known (patience sorting)."""
    ends: list[float] = []  # the least last stamp of the runs of each length, and its place
    places: list[int] = []
    before = [-1] * len(stamps)
    for place, stamp in enumerate(stamps):
        if stamp is None:
            continue
        length = bisect_left(ends, stamp)
        ends[length : length + 1] = [stamp]
        places[length : length + 1] = [place]
        before[place] = places[length - 1] if length else -1
    run = []
    place = places[-1] if places else -1
    while place >= 0:
        run.append(place)
        place = before[place]
    return run[::-1]


def _hidden(packet: Packet[Stream], stream: VideoStream) -> bool:
    """VP8 sends reference pictures that are never shown as packets of their own (RFC 6386, 9.1: show_frame)."""
    return stream.codec_context.name in ("vp8", "libvpx") and not memoryview(packet)[0] & 0x10


def _cut_short(container: InputContainer, stream: VideoStream, packets: int, seconds: float) -> str:
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
    return f"{seconds:.1f} of {length:.1f} s" if seconds < length - _CUT else ""
