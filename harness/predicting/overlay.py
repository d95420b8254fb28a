"""`harness predict --overlay`: the video with its predictions drawn in, and its own sound."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from harness.data.decoding.time_line import SteadyClock
from harness.data.decoding.video import open_media, read_frames
from harness.io.atomic import atomic
from harness.predicting.marks import CONTAINERS, MARK
from harness.predicting.one_pass import Predicted
from harness.predicting.overlay_drawing import Drawing
from zoo.api import Answer
from zoo.errors import UserError, first_line
from zoo.files import FULL, absolute

COPIED = {"mp4": ("aac", "mp3", "ac3", "alac"), "mov": ("aac", "mp3", "alac")}
"""Audio codecs that a container takes without encoding again; Matroska takes any."""

_CLOCK = 90_000  # ticks a second of picture times
_AAC_FRAME = 1024  # samples in an AAC frame
_AAC = av.Codec("aac", "w")
_OF_THE_DISK = (*FULL, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOENT)
"""Errors of the file system; the others are FFmpeg's, such as EINVAL for settings that a codec does not take."""
_QUALITY = {"crf": "21", "preset": "veryfast"}


def write_overlay(
    path: Path, predicted: Predicted, answers: Sequence[Answer], *, tick: Callable[[], object] = lambda: None
) -> None:
    """Write a video's overlay atomically.

    Args:
        path: The file.
        predicted: The video and its predictions.
        answers: The predicted quantities.
        tick: Called after every frame.

    Raises:
        UserError: The file cannot be written.
    """

    def write(part: Path) -> None:
        try:
            _write(part, CONTAINERS[path.suffix.lower()], predicted, answers, tick)
        except av.FFmpegError as error:
            if error.errno in _OF_THE_DISK:
                raise OSError(error.errno, error.strerror or first_line(error)) from error
            raise UserError("predict-overlay-failed", path=path, reason=first_line(error)) from error

    atomic(path, write)


def _write(
    part: Path, container: str, predicted: Predicted, answers: Sequence[Answer], tick: Callable[[], object]
) -> None:
    info, drawing = predicted.media.info, Drawing(predicted, answers)
    with ExitStack() as stack:
        out = stack.enter_context(av.open(absolute(part), "w", format=container))
        out.metadata["comment"] = MARK
        stream: Any = out.add_stream("libx264", rate=_rate(info.times), options=_QUALITY)
        stream.width, stream.height = drawing.size
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, _CLOCK)
        stream.codec_context.time_base = Fraction(1, _CLOCK)
        sound = _Sound(stack.enter_context(open_media(info.path)), out, container, info.start)
        for index, frame in enumerate(read_frames(info.path)):
            picture = av.VideoFrame.from_ndarray(drawing(frame, index), format="rgb24")
            picture.pts, picture.time_base = round(float(info.times[index]) * _CLOCK), Fraction(1, _CLOCK)
            sound.write_until(float(info.times[index]))
            out.mux(stream.encode(picture))
            tick()
        out.mux(stream.encode(None))
        sound.write_until(float("inf"))


def _rate(times: np.ndarray) -> Fraction:
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / 25
    return Fraction(1 / step).limit_denominator(1001)


def _aac_rate(rate: int) -> int:
    """Return the rate itself if AAC has it, else the next higher one, or the highest."""
    rates = sorted(_AAC.audio_rates or [rate])
    return next((one for one in rates if one >= rate), rates[-1])


class _Sound:
    """The sound of a file, copied into the overlay.

    Packets are copied as they are, or encoded again as AAC if the container does not take their codec.
    """

    def __init__(self, source: InputContainer, out: OutputContainer, container: str, start: float) -> None:
        self.out = out
        self.stream: AudioStream | None = next(iter(source.streams.audio), None)
        if self.stream is None or self.stream.codec_context is None:
            self.stream, self.packets = None, iter(())
            return
        known = COPIED.get(container)
        self.copies = known is None or self.stream.codec_context.codec.canonical_name in known
        self.target: Any
        if self.copies:
            self.target = out.add_stream_from_template(self.stream)
        else:
            layout = "mono" if self.stream.codec_context.channels == 1 else "stereo"
            rate = _aac_rate(self.stream.rate)
            self.target = out.add_stream("aac", rate=rate, layout=layout)
            self.pieces = av.AudioResampler("fltp", layout, rate, frame_size=_AAC_FRAME)
        self.ticks = 1 / float(self.stream.time_base or 1)
        self.clock, self.shift = SteadyClock(self.ticks), round(start * self.ticks)
        self.length, self.last = 0.0, 0
        self.packets = (self._copied if self.copies else self._encoded)(source, self.stream)
        self.next: Packet[Any] | None = next(self.packets, None)

    packets: Iterator[Packet[Any]]

    def write_until(self, seconds: float) -> None:
        """Write the sound up to a time, in seconds after the first picture."""
        while self.stream is not None and self.next is not None:
            stamp = self.next.dts if self.next.pts is None else self.next.pts
            base = self.next.time_base or Fraction(1, _CLOCK)
            if stamp is not None and float(stamp * base) > seconds:
                return
            self.out.mux(self.next)
            self.next = next(self.packets, None)

    def _copied(self, source: InputContainer, stream: AudioStream) -> Iterator[Packet[Any]]:
        for packet in source.demux(stream):
            if packet.dts is None:
                continue
            stamp = packet.dts if packet.pts is None else packet.pts
            time = self._time(stamp, packet.duration or 0)
            if time is not None:
                packet.pts, packet.dts = time, packet.dts + time - stamp
                packet.stream = self.target
                yield packet

    def _encoded(self, source: InputContainer, stream: AudioStream) -> Iterator[Packet[Any]]:
        for packet in source.demux(stream):
            if packet.dts is None:
                continue
            for frame in packet.decode():
                length = frame.samples / frame.sample_rate * self.ticks
                time = None if frame.pts is None else self._time(frame.pts, length)
                if time is None:
                    continue
                frame.pts = time
                for piece in self.pieces.resample(frame):
                    yield from self.target.encode(piece)
        for piece in self.pieces.resample(None):
            yield from self.target.encode(piece)
        yield from self.target.encode(None)

    def _time(self, stamp: int, length: float) -> int | None:
        """Return the ticks from the first picture to sound of a length; None if it is left out.

        The clock goes on if the file's restarts, as for the pictures and the sound that are predicted. Sound before the
        first picture is left out, and so is what goes back: no container takes it.
        """
        time = round(self.clock(stamp, self.length)) - self.shift
        self.length = length
        if time < self.last:
            return None
        self.last = time
        return time
