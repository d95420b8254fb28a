"""Time line of a video: the display time of each picture, by one rule for index, readers, packs, crops and sound.

Every picture that decodes is one row with one time, in display order. If each packet of the file is one picture with
its own time stamp, the packets are enough and nothing is decoded. In all other cases (packets without stamps or with
equal ones, raw streams, a start inside a group of pictures, containers in which a picture may be two packets), the
video is decoded once. If a picture's stamp is missing or contradicts the others, its time comes from its neighbours,
or from the frame rate if no picture has a stamp.
"""

from __future__ import annotations

from array import array
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

from harness.data.decoding.file_ends import missing_end
from zoo.errors import UserError

# Seconds. A file whose packets end this much earlier than its header promises is cut short.
_CUT = 1.0

# Seconds. A clock that jumps back by more than this has restarted: files were concatenated.
_RESTART = 1.0

# Items. So does a clock that jumps back by more than these to the stream's first time stamp: the part was short.
_FEW = 5

# Containers with one packet per picture, whatever the codec. In MPEG streams each field may be a packet.
_ONE_EACH = ("mp4", "matroska", "avi")

# Share of steps between pictures that are within 10 % of the median step, from which a rate counts as steady.
_STEADY = 0.95

# Bytes. A packet of MPEG-4 that only says that the picture stays as it was (vop_coded = 0) has no more; a picture may
# be as short.
_LONGEST_SKIP = 19

_ASSUMED_RATE = 25.0  # frames per second of a raw stream that has no rate; FFmpeg assumes the same


@dataclass(frozen=True)
class Packets:
    """Time stamps of a video's packets.

    ``stamps``: presentation time stamps of the pictures that are shown, sorted and unique, in the stream's time base.
    ``order``: their decoding time stamps, sorted. ``count``: number of all packets. ``complete``: True if the packets
    determine the whole time line. ``sound_mended``: True if the sound lacks time stamps or its clock restarts.
    ``skips``: those of ``stamps`` that may have no picture of their own, although nothing is damaged.
    """

    stamps: Sequence[int]
    order: Sequence[int]
    count: int
    complete: bool
    sound_mended: bool = False
    skips: frozenset[int] = frozenset()


@dataclass(frozen=True)
class TimeLine:
    """Display times of a video's pictures.

    ``times``: (n,) float64, increasing, seconds of each picture from the first one. ``start``: the first one's time on
    the file's own clock (seconds). ``guessed``: number of pictures whose time is not that of their own stamp.
    """

    times: np.ndarray
    start: float
    guessed: int = 0

    @staticmethod
    def of_ticks(ticks: np.ndarray, base: float, guessed: int = 0) -> TimeLine:
        """Make a time line from ``ticks`` (n,) of a clock with one tick every ``base`` seconds."""
        return TimeLine((ticks - ticks[0]) * base, float(ticks[0] * base), guessed)

    def missing(self) -> tuple[int, float]:
        """Return how many pictures a steady rate would have in the gaps between pictures, and the first gap's time.

        A decoder that has lost its reference drops pictures without an error, and a camera that is busy writes none.
        The count is 0 if the rate is not steady, since no picture is expected at any time then.
        """
        steps = np.diff(self.times)
        step = np.median(steps) if len(steps) else 0.0
        is_gap = steps > 1.5 * step
        if not is_gap.any() or (np.abs(steps - step) < 0.1 * step).mean() < _STEADY:
            return 0, 0.0
        return int(np.sum(np.round(steps[is_gap] / step) - 1)), float(self.times[is_gap.argmax()])


@dataclass
class _Survey:
    """Statistics of the video stream's packets, collected while they are read."""

    stamps: list[int] = field(default_factory=list)  # of shown pictures, in the order of the file
    order: list[int] = field(default_factory=list)
    packets: int = 0
    bare: int = 0  # packets without a presentation time stamp
    first: int | None = None  # the first packet's stamp, shown or not
    least: int | None = None
    begins_with_key: bool = False
    skips: set[int] = field(default_factory=set)

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
                if stream.codec_context.name == "mpeg4" and packet.size <= _LONGEST_SKIP:
                    self.skips.add(stamp)

    def is_complete(self, container: InputContainer, stream: VideoStream) -> bool:
        name = container.format.name
        if not any(part in name for part in _ONE_EACH):
            return False
        if name == "avi":  # AVI has no presentation time stamps; FFmpeg's guesses are right only without reordering
            return not stream.codec_context.has_b_frames
        return (
            not self.bare
            and len(set(self.stamps)) == len(self.stamps)
            and self.begins_with_key
            and self.first == self.least
        )


class SteadyClock:
    """Clock of one stream that never restarts: if the file's clock does, this one continues."""

    def __init__(self, second: float = 1.0) -> None:
        self.limit = _RESTART * second
        self._shift: float = 0
        self._last: float | None = None
        self._first: float | None = None

    def __call__(self, time: float, length: float) -> float:
        """Return the continued time of an item at ``time``, in the clock's unit.

        ``length``: the length of the previous item; after a restart of the file's clock, the item is placed right
        after it.
        """
        last = self._last
        self._first = time if self._first is None else self._first
        if last is not None and self._shift and last < time <= last + self.limit:
            self._shift = 0  # it was no restart: a single stamp was wrong
        elif last is not None and self._restarts(last - self._shift - time, time - self._first, length):
            self._shift = last + length - time
        self._last = time + self._shift
        return self._last

    def _restarts(self, jump: float, place: float, length: float) -> bool:
        """Return whether the file's clock restarts as it jumps back by ``jump``, to ``place`` after its first time."""
        return jump > self.limit or (jump > _FEW * length > 0 and abs(place) <= length)


@dataclass
class _SoundSurvey:
    """Check that each packet of sound has a time stamp and that the clock does not restart."""

    mended: bool = False
    clock: SteadyClock = field(default_factory=SteadyClock)
    before: float = 0.0  # length of the previous packet (seconds)

    def add(self, packet: Packet[Stream]) -> None:
        if packet.pts is None or packet.time_base is None:
            self.mended = True
        else:
            time = float(packet.pts * packet.time_base)
            self.mended |= self.clock(time, self.before) != time
            self.before = float((packet.duration or 0) * packet.time_base)


def read_packets(container: InputContainer, stream: VideoStream, path: Path) -> Packets:
    """Read all packets of a file, without decoding. Raise UserError if it breaks off, is cut short or has no frames."""
    survey, sound = _Survey(), _SoundSurvey()
    end = begin = 0.0
    first_sound = next(iter(container.streams.audio), None)
    try:
        for packet in container.demux():
            stamp = packet.dts if packet.pts is None else packet.pts
            if packet.stream is stream and (packet.size or stamp is not None):  # otherwise it marks the end
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
    missing = _cut_short(container, stream, survey.packets, end - begin) or missing_end(path, container.format.name)
    if missing:
        raise UserError("video-cut-short", file=path, frame=len(survey.stamps) + 1, missing=missing)
    if not survey.packets:
        raise UserError("video-no-frames", file=path)
    complete = survey.is_complete(container, stream)
    skips = frozenset(survey.skips)
    # Arrays, because a list takes five times as much memory, and a reader keeps both as long as it reads.
    stamps, order = array("q", sorted(set(survey.stamps))), array("q", sorted(survey.order))
    return Packets(stamps, order, survey.packets, complete, sound.mended, skips)


def decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yield every picture that decodes, in display order.

    Packets before the first picture that do not decode are skipped: a trimmed recording begins with pictures that
    refer to the part that was cut away. Raise av.FFmpegError if decoding fails after that, or if no picture decodes.
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
    """Return the time line of a video whose packets are complete; ``base``: seconds per tick of its clock."""
    return TimeLine.of_ticks(np.array(packets.stamps, np.float64), base)


def line_of_pictures(stamps: Sequence[int | None], packets: Packets, stream: VideoStream) -> TimeLine:
    """Return the time line of a decoded video; ``stamps``: one per picture (at least one), None if it has none."""
    base = float(stream.time_base or 1)
    if stream.container.format.name == "avi" and not _increasing(stamps) and len(packets.order) == len(stamps):
        # In AVI FFmpeg guesses the presentation time stamps. There, pictures follow each other as their packets do.
        delay = packets.stamps[0] - packets.order[0]
        stamps = [stamp + delay for stamp in packets.order]
    rate = float(stream.guessed_rate or stream.average_rate or 0) or _ASSUMED_RATE
    step = 1 / rate / base
    steady = SteadyClock(1 / base)
    ticks, guessed = mend([None if stamp is None else steady(stamp, round(step)) for stamp in stamps], step)
    return TimeLine.of_ticks(ticks, base, guessed)


def mend(stamps: Sequence[float | None], step: float) -> tuple[np.ndarray, int]:
    """Return strictly increasing time stamps (n,) float64, and the number of those that were changed or added.

    The longest increasing subsequence of stamps is kept. Other pictures are spaced evenly between two kept ones;
    before the first and after the last they continue at the median step, or at ``step`` if there is no median.
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
    """Return FFmpeg's message for an error."""
    return str(getattr(error, "strerror", None) or error)


def _increasing(stamps: Sequence[int | None]) -> bool:
    known = [stamp for stamp in stamps if stamp is not None]
    return all(a < b for a, b in pairwise(known))


def _longest_increase(stamps: Sequence[float | None]) -> list[int]:
    """Return the places of a longest strictly increasing subsequence of the known stamps (patience sorting)."""
    ends: list[float] = []  # for each length, the smallest last stamp of a subsequence; its place is in ``places``
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
    """Return True for a packet of VP8 that is a reference picture and never shown (RFC 6386, 9.1: show_frame)."""
    return stream.codec_context.name in ("vp8", "libvpx") and not memoryview(packet)[0] & 0x10


def _cut_short(container: InputContainer, stream: VideoStream, packets: int, seconds: float) -> str:
    """Return a description of how much a file has of what its header promises; "" for a complete file.

    FFmpeg reads a truncated file without an error. An MP4's sample table lists every packet; Matroska and AVI headers
    have a duration, in AVI as a number of frames.
    """
    if "mp4" in container.format.name:
        promised = len(stream.index_entries)
        return f"{packets} of {promised} frames" if packets < promised else ""
    if container.format.name == "avi":
        length = stream.frames * float(stream.time_base or 0)
    else:
        length = (container.duration or 0) / av.time_base
    return f"{seconds:.1f} of {length:.1f} s" if seconds < length - _CUT else ""
