"""Decode a video's sound track into one array, with every sample at its presentation time stamp."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from harness.data.decoding.containers import video_stream
from harness.data.decoding.time_line import SteadyClock, reason_of
from harness.data.decoding.video import open_media, probe
from zoo.errors import UserError
from zoo.readers import Sound

__all__ = ["Sound", "read_sound", "to_int16"]

log = logging.getLogger(__name__)

# Seconds. Time stamps are rounded (to 1 ms in Matroska): smaller gaps and overlaps are taken for rounding.
_TOLERANCE = 0.020

# Seconds. A longer gap means a damaged time stamp; filling it would use up the memory.
_ABSURD = 3600


def read_sound(path: str | os.PathLike[str], rate: int = 16_000) -> Sound | None:
    """Read the first audio stream as mono (mean of the channels) at ``rate`` Hz; None if it is absent or empty.

    ``Sound.start`` counts from the first video frame; without a video, the sound starts at 0. To keep the sound at its
    recorded time, gaps of over 20 ms between packets become silence, overlaps are cut, and samples that the container
    marks as priming are dropped. Packets that cannot be decoded become silence too, with a warning. Raise UserError if
    no packet can be decoded.
    """
    path = Path(path)
    with open_media(path) as container:
        if not container.streams.audio:
            return None
        origin = None if isinstance(video_stream(container), str) else probe(path).start
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise UserError("sound-no-decoder", file=path)
        placed = _place(_decode(container, stream, path), path, origin or 0.0)
    if placed is None:
        return None
    samples, own_rate, start = placed
    if own_rate != rate:
        from scipy.signal import resample_poly  # imported here because it takes a second

        ratio = Fraction(rate, own_rate)
        # The filters are odd and symmetric, so there is no delay; the ratio is exact, so there is no drift.
        samples = resample_poly(samples, ratio.numerator, ratio.denominator).astype(np.float32, copy=False)
    return Sound(samples, rate, 0.0 if origin is None else start - origin)


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Convert float32 samples in [-1, 1] to int16, in which they are stored."""
    return np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)


def _decode(container: InputContainer, stream: AudioStream, path: Path) -> Iterator[AudioFrame]:
    """Yield the frames of all packets that can be decoded. Raise UserError if none can."""
    good, bad, reason = 0, 0, ""
    for packet in _packets(container, stream, path):
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            bad, reason = bad + 1, reason_of(error)
            continue
        good += bool(frames)
        yield from frames
    if bad and not good:
        raise UserError("sound-undecodable", file=path, reason=reason)
    if bad:
        log.warning("%s: %d of %d packets of sound could not be decoded and are silence", path, bad, bad + good)


def _packets(container: InputContainer, stream: AudioStream, path: Path) -> Iterator[Packet[AudioStream]]:
    try:
        yield from container.demux(stream)
    except av.FFmpegError as error:
        raise UserError("sound-reading-broke-off", file=path, reason=reason_of(error)) from error


def _place(frames: Iterator[AudioFrame], path: Path, origin: float) -> tuple[np.ndarray, int, float] | None:
    """Return samples (S,) float32 without gaps, their rate, and the time of the first on the file's clock (seconds).

    Frames before the first time stamp end where that one begins. Without any stamp, sound begins at ``origin``. If the
    clock restarts, sound continues without a gap. Return None without samples.
    """
    chunks: list[np.ndarray] = []
    position, rate = 0, 0
    start: float | None = None
    clock = SteadyClock()
    before = 0.0  # length of the previous frame (seconds)
    for frame in frames:
        samples = _mono(frame)
        rate = rate or frame.sample_rate
        if frame.sample_rate != rate:
            raise UserError("sound-rate-changes", file=path, rate=rate, sample_rate=frame.sample_rate)
        time = None
        if frame.pts is not None and frame.time_base:
            time = clock(float(frame.pts * frame.time_base), before)
            start = time - position / rate if start is None else start
        before = len(samples) / rate
        hole = 0 if time is None or start is None else round((time - start) * rate) - position
        if hole > _ABSURD * rate:
            raise UserError("sound-time-jumps", file=path, file2=hole / rate)
        if hole > _TOLERANCE * rate:
            chunks.append(np.zeros(hole, np.float32))
            position += hole
        elif hole < -_TOLERANCE * rate:
            samples = samples[-hole:]
        chunks.append(samples)
        position += len(samples)
    return (np.concatenate(chunks), rate, origin if start is None else start) if position else None


def _mono(frame: AudioFrame) -> np.ndarray:
    """Return the mean of the channels, (samples,) float32 in [-1, 1]."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    mono = values.mean(axis=0, dtype=np.float64)
    if values.dtype == np.uint8:
        mono -= 128
    if values.dtype.kind in "iu":
        mono /= 2.0 ** (8 * values.dtype.itemsize - 1)
    return mono.astype(np.float32)
