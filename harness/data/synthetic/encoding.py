"""Write video files whose bytes depend only on their content: one encoder thread, exact arithmetic, no dates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from harness.data.synthetic.latents import Floats
from harness.data.synthetic.voice import Sound
from zoo.files import absolute

# Delay in samples of an MP3 encoder and decoder. An .avi has no field for it, so as many samples are cut from the
# front, and the rest plays in time.
MP3_DELAY = 1105
BITEXACT = {"flags": "+bitexact"}


def write_video(
    path: Path,
    pictures: Iterable[np.ndarray],
    times: Floats,
    *,
    rate: Fraction,
    size: tuple[int, int],
    variable: bool = False,
    sound: Sound | None = None,
    sound_rate: int = 44100,
    sound_start: float = 0.0,
) -> None:
    """Write `pictures` shown at `times` (T,) seconds, and `sound` (S,) in -1..1 that begins at `sound_start` seconds.

    Pictures are (H, W, 3) uint8 BGR; `size` is (W, H). An `.mp4` gets H.264 and AAC, an `.avi` MPEG-4 and MP3. If
    `variable`, times are stored to the millisecond; otherwise there are `rate` frames per second. With `sound=None`
    there is no sound track.
    """
    avi = path.suffix == ".avi"
    with av.open(absolute(path), "w", container_options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("mpeg4" if avi else "libx264", rate=rate, options=_video_options(avi))
        video.width, video.height = size
        audio = None
        if sound is not None:
            audio = container.add_stream("libmp3lame" if avi else "aac", rate=sound_rate, options=BITEXACT)
        packets = list(_pictures(video, pictures, times, rate, variable))
        if audio is not None and sound is not None:
            late = MP3_DELAY if avi else 0
            packets += _sound(audio, sound[late:], sound_rate, round(sound_start * sound_rate) + late)
        for packet in sorted(packets, key=_seconds):  # interleaved, because players need sound and picture together
            container.mux(packet)


def _video_options(avi: bool) -> dict[str, str]:
    if avi:
        return {**BITEXACT, "threads": "1", "b": "3M"}
    return {**BITEXACT, "threads": "1", "preset": "superfast", "crf": "23"}


def _seconds(packet: Any) -> float:
    return float(packet.dts * packet.time_base)


def _pictures(
    stream: VideoStream, pictures: Iterable[np.ndarray], times: Floats, rate: Fraction, variable: bool
) -> Iterator[Any]:
    base = Fraction(1, 1000) if variable else 1 / rate
    stream.pix_fmt = "yuv420p"
    stream.codec_context.thread_count = 1
    stream.codec_context.time_base = base
    stream.time_base = base
    for image, time in zip(pictures, times, strict=True):
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts, frame.time_base = round(time / base), base
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _sound(stream: AudioStream, sound: Sound, rate: int, start: int) -> Iterator[Any]:
    stream.codec_context.layout = "mono"
    stream.codec_context.bit_rate = 96_000
    base, size = Fraction(1, rate), stream.codec_context.frame_size or 1024
    for first in range(0, len(sound), size):
        frame = av.AudioFrame.from_ndarray(sound[None, first : first + size], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = rate, base
        frame.pts = start + first
        yield from stream.encode(frame)
    yield from stream.encode(None)
