"""Small video files for tests: every frame has its own shade of grey, and a click sounds at one of them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CLOCK = 90_000
CODECS = {".avi": ("mpeg4", "mp3"), ".webm": ("libvpx", "libopus")}


def frame_times(n_frames: int, fps: float, variable: bool) -> np.ndarray:
    """Return the time of each frame in seconds; if variable, every third frame lasts twice, every seventh three times."""
    lengths = np.ones(n_frames)
    if variable:
        lengths[::3], lengths[::7] = 2, 3
    return np.concatenate([[0], np.cumsum(lengths)[:-1]]) / fps


def shade(index: int) -> int:
    """Return the grey level of a frame."""
    return 20 + (37 * index) % 211


def write_click_video(
    path: Path,
    *,
    fps: float = 25,
    variable: bool = False,
    sound_start: float = 0.0,
    click_frame: int | None = 30,
    with_audio: bool = True,
    n_frames: int = 60,
    rate: int = 44_100,
    channels: int = 1,
    size: tuple[int, int] = (96, 64),
    audio_codec: str | None = None,
    rotation: int = 0,
    holes: Sequence[tuple[float, float]] = (),
    clock: float = 0.0,
) -> np.ndarray:
    """Write a video in the format of its suffix; return the times of its frames in seconds.

    ``sound_start``: the sound track begins that much after the first frame. ``holes``: (from, to) seconds in which
    no packets of sound are written. ``clock``: time of the first frame on the file's clock, which its sound shares.
    """
    times = frame_times(n_frames, fps, variable)
    video_codec, default_audio = CODECS.get(path.suffix, ("libx264", "aac"))
    ticks = Fraction(1, round(fps) if path.suffix == ".avi" else CLOCK)
    with av.open(str(path), "w") as container:
        video = container.add_stream(video_codec, rate=round(fps))
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.time_base = ticks
        if rotation:
            video.set_display_rotation(rotation)
        audio = container.add_stream(audio_codec or default_audio, rate=rate) if with_audio else None
        if audio is not None:
            audio.layout = "mono" if channels == 1 else "stereo"
        packets = list(_video_packets(video, times + clock, ticks, size))
        if audio is not None:
            click = None if click_frame is None else times[click_frame]
            packets += _audio_packets(audio, times[-1] + 0.5, sound_start, click, rate, channels, holes, clock)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return times


def _video_packets(stream, times, ticks, size):
    for index, time in enumerate(times):
        frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), shade(index), np.uint8), format="rgb24")
        frame.pts, frame.time_base = round(time / ticks), ticks
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _audio_packets(stream, end, start, click, rate, channels, holes, clock):
    samples = np.zeros(round((end - start) * rate), np.float32)
    if click is not None:
        at = round((click - start) * rate)
        samples[at : at + rate // 1000] = 0.8  # one millisecond
    block = 1024
    packets = []
    for first in range(0, len(samples), block):
        part = np.repeat(samples[None, first : first + block], channels, axis=0)
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono" if channels == 1 else "stereo")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), first + round((start + clock) * rate)
        packets += stream.encode(frame)
    packets += stream.encode(None)
    seconds = [float(packet.pts * packet.time_base) for packet in packets]
    return [
        packet
        for packet, second in zip(packets, seconds, strict=True)
        if not any(low <= second < high for low, high in holes)
    ]
