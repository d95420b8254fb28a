"""The one rule of time: each picture that decodes once, in order, at one time, whatever the file says of it.

Files are made by FFmpeg's own encoders; a plain decode of each says which pictures there are, their shades which they
are, and a click that sounds as one of them comes says when that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.decoding.audio import read_sound
from harness.data.decoding.time_line import SteadyClock, TimeLine, mend
from harness.data.decoding.video import probe, read_frames
from tests.support.media import frame_times

RATE, N, CLICK = 25, 50, 30
SOUND = 16_000


@dataclass(frozen=True)
class Made:
    """How a file is made. ``form``: FFmpeg's container; ``late``: seconds that the sound begins after the pictures."""

    name: str
    codec: str = "libx264"
    form: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    sound: str | None = "aac"
    variable: bool = False
    late: float = 0.0
    pixels: str = "yuv420p"

    def __str__(self) -> str:
        return "-".join(
            [self.codec, *self.options.values(), "variable" if self.variable else "", str(self.late), self.name]
        )


B = {"bf": "3", "g": "12"}
OPEN = {"x264-params": "open-gop=1:keyint=10:bframes=3:b-adapt=0:scenecut=0"}
MADE = [
    Made("a.mp4", options=B),
    Made("a.mp4", options=B, variable=True, late=0.3),
    Made("a.mov", "prores_ks", sound="pcm_s16le", pixels="yuv422p10le", late=0.2),
    Made("a.mkv", options=B, sound="flac", variable=True, late=0.3),
    Made("a.mkv", "libx265", options={"x265-params": "log-level=none:bframes=3:keyint=12"}, sound="flac"),
    Made("a.mkv", "mpeg4", options=B, sound="flac"),
    Made("a.webm", "libvpx-vp9", options={"deadline": "realtime"}, sound="libopus"),
    Made("a.ts", options=B, late=0.3),
    Made("a.MTS", options=B, form="mpegts", sound="ac3"),
    Made("a.mpg", "mpeg2video", options={"bf": "2"}, sound="mp2"),
    Made("a.flv", options=B, late=0.2),
    Made("a.flv", "flv", sound=None),
    Made("a.wmv", "wmv2", form="asf", sound="wmav2"),
    Made("a.avi", options=B, sound="pcm_s16le"),
    Made("a.avi", "mpeg4", options={"bf": "2"}, sound="pcm_s16le"),
    Made("raw.mp4", options=B, form="h264", sound=None),
    Made("raw.hevc", "libx265", options={"x265-params": "log-level=none:bframes=3"}, form="hevc", sound=None),
    Made("raw.mjpeg", "mjpeg", form="mjpeg", sound=None, pixels="yuvj420p"),
    Made("raw.m2v", "mpeg2video", options={"bf": "2"}, form="mpeg2video", sound=None),
]


def make(path: Path, made: Made) -> np.ndarray:
    """Write N grey pictures, and sound that clicks as picture CLICK comes; returns when each is shown (seconds)."""
    times = frame_times(N, RATE, made.variable)
    ticks = Fraction(1, 90_000 if made.variable else RATE)
    with av.open(str(path), "w", format=made.form) as container:
        video = container.add_stream(made.codec, rate=RATE, options=made.options)
        video.width, video.height, video.pix_fmt = 96, 64, made.pixels
        video.codec_context.time_base = ticks
        rate = 48_000 if made.sound in ("libopus", "ac3", "mp2") else 44_100
        sound = container.add_stream(made.sound, rate=rate) if made.sound else None
        packets = list(pictures(video, times, ticks))
        if sound is not None:
            sound.layout, sound.bit_rate = "mono", 64_000
            packets += clicks(sound, times[CLICK], times[-1] + 0.2, made.late, rate)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return times


LEVELS = np.array([40, 100, 160, 220])


def picture(k: int) -> np.ndarray:
    """The number of a picture in three stripes, each of four shades, which no encoder mistakes."""
    return (
        np.repeat(LEVELS[[k // 16, k // 4 % 4, k % 4]], 32)[None, :, None].repeat(64, 0).repeat(3, 2).astype(np.uint8)
    )


def pictures(stream, times: np.ndarray, ticks: Fraction) -> Iterator[av.Packet]:
    for k, time in enumerate(times):
        frame = av.VideoFrame.from_ndarray(picture(k), format="rgb24")
        frame.pts, frame.time_base = round(time / ticks), ticks
        yield from stream.encode(frame)
    yield from stream.encode(None)


def clicks(stream, click: float, end: float, start: float, rate: int) -> list[av.Packet]:
    samples = np.zeros(round((end - start) * rate), np.float32)
    samples[round((click - start) * rate) :][: rate // 1000] = 0.8
    plain = stream.codec_context.name.startswith(("pcm", "flac"))
    block, packets = stream.codec_context.frame_size or 1024, []
    for first in range(0, len(samples), block):
        part = samples[None, first : first + block]
        frame = av.AudioFrame.from_ndarray(
            (part * 32767).astype(np.int16) if plain else part, "s16" if plain else "fltp", "mono"
        )
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), first + round(start * rate)
        packets += stream.encode(frame)
    return [*packets, *stream.encode(None)]


def remux(source: Path, target: Path, keep: Callable[[int, av.Packet], bool], *, shift: float = 0.0) -> None:
    """Copy packets as `ffmpeg -c copy` does; ``keep`` is given the number of a picture's packet (-1: sound)."""
    with (
        av.open(str(source)) as old,
        av.open(str(target), "w", container_options={"avoid_negative_ts": "disabled"}) as new,
    ):
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        number = 0
        for packet in old.demux():
            if packet.dts is None:  # the mark of the end
                continue
            picture = packet.stream.type == "video"
            kept, number = keep(number if picture else -1, packet), number + picture
            if kept:
                ticks = round(shift / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                packet.stream = streams[packet.stream.index]
                new.mux(packet)


def plain(path: Path) -> int:
    """How many pictures a plain decode gives."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def which(path: Path) -> list[int]:
    """The number of the picture that each frame is."""
    stripes = np.array([frame[8:-8].reshape(48, 3, 32, 3)[:, :, 8:-8].mean((0, 2, 3)) for frame in read_frames(path)])
    digits = np.abs(stripes[..., None] - LEVELS).argmin(-1)
    return (digits @ [16, 4, 1]).tolist()


def heard(path: Path) -> float:
    sound = read_sound(path, SOUND)
    assert sound is not None
    return float(np.abs(sound.samples).argmax() / SOUND + sound.start)


@pytest.mark.parametrize("made", MADE, ids=str)
def test_each_picture_once_in_order_at_its_time(tmp_path: Path, made: Made) -> None:
    path = tmp_path / made.name
    times = make(path, made)
    info = probe(path)
    assert info.n_frames == plain(path) == N
    assert which(path) == list(range(N))
    np.testing.assert_allclose(info.times, times, atol=1.1e-3)
    assert info.guessed == (N if made.form in ("h264", "hevc") else 0)
    assert not [note for note in info.notes if "missing" in note]
    if made.sound:
        loose = (
            1 / RATE + 0.03 if made.name.endswith(".avi") and made.options else 0.03 if made.sound == "wmav2" else 2e-3
        )
        assert abs(heard(path) - times[CLICK]) < loose


@pytest.mark.parametrize("first", [4, 13, 24])
def test_a_copy_that_begins_before_time_0_keeps_its_pictures_and_its_sound(tmp_path: Path, first: int) -> None:
    """Matroska has no time stamps below 0: the first pictures have none, their sound has."""
    make(tmp_path / "whole.mp4", Made("whole.mp4", options={"bf": "3"}))
    remux(tmp_path / "whole.mp4", tmp_path / "a.mkv", lambda number, packet: True, shift=-first / RATE)
    info = probe(tmp_path / "a.mkv")
    assert 0 < info.guessed <= first
    assert f"{info.guessed} of {N} frames have no valid time stamp" in info.notes[0]
    assert info.reading
    assert which(tmp_path / "a.mkv") == list(range(N))
    np.testing.assert_allclose(info.times, np.arange(N) / RATE, atol=1.1e-3)
    assert heard(tmp_path / "a.mkv") == pytest.approx(CLICK / RATE, abs=3e-3)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts"])
def test_a_gap_is_counted_and_moves_no_other_picture(tmp_path: Path, name: str) -> None:
    """Half a second is gone, as where a receiver lost it; every picture stands by itself."""
    make(tmp_path / "whole.mp4", Made("whole.mp4", options={"g": "1"}))
    remux(tmp_path / "whole.mp4", tmp_path / name, lambda number, packet: not 12 <= number < 24)
    info = probe(tmp_path / name)
    left = [k for k in range(N) if not 12 <= k < 24]
    assert which(tmp_path / name) == left
    np.testing.assert_allclose(info.times, np.array(left) / RATE, atol=1.1e-3)
    assert [note.partition(":")[0] for note in info.notes] == [
        f"about 12 frames are missing, the first after {11 / RATE:.2f} s"
    ]


def test_no_frame_is_missed_where_the_rate_is_not_steady() -> None:
    steps = np.array([0.04, 0.04, 0.08, 0.04, 0.12, 0.04, 0.04, 0.05])
    assert TimeLine(np.cumsum(steps), 0.0).missing() == (0, 0.0)
    assert TimeLine(np.zeros(1), 0.0).missing() == (0, 0.0)
    assert TimeLine(np.zeros(0), 0.0).missing() == (0, 0.0)
    steady = np.delete(np.arange(100) * 0.04, [50, 70, 71])
    assert TimeLine(steady, 0.0).missing() == (3, pytest.approx(49 * 0.04))


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts"])
@pytest.mark.parametrize("first", [3, 10, 17, 20])
def test_a_copy_that_begins_inside_a_group_of_pictures(tmp_path: Path, name: str, first: int) -> None:
    """The pictures that decode, each once, with the sound where it was."""
    whole = tmp_path / ("whole.ts" if name == "a.ts" else "whole.mp4")  # which say at each group how it is coded
    make(whole, Made(whole.name, options=OPEN))
    remux(whole, tmp_path / name, lambda number, packet: number >= first or number < 0)
    info, found = probe(tmp_path / name), which(tmp_path / name)
    assert info.n_frames == len(found) >= N - first - 10
    assert found[-20:] == list(range(N - 20, N))
    np.testing.assert_allclose(info.times[-20:] - info.times[-20], np.arange(20) / RATE, atol=1.1e-3)
    at = CLICK / RATE - (N - 1) / RATE + info.times[-1]
    assert heard(tmp_path / name) == pytest.approx(at, abs=3e-3)


def test_frames_of_equal_stamps_are_all_there(tmp_path: Path) -> None:
    make(tmp_path / "whole.mkv", Made("whole.mkv", options={"bf": "0"}, sound=None))
    with av.open(str(tmp_path / "whole.mkv")) as old, av.open(str(tmp_path / "a.mkv"), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for k, packet in enumerate(p for p in old.demux(video=0) if p.pts is not None):
            if k % 5 == 3:
                packet.pts = packet.dts = packet.pts - round(1 / RATE / packet.time_base)
            packet.stream = stream
            new.mux(packet)
    assert which(tmp_path / "a.mkv") == list(range(N))
    info = probe(tmp_path / "a.mkv")
    assert info.guessed == N // 5
    assert (np.diff(info.times) > 0).all()
    np.testing.assert_allclose(info.times, np.arange(N) / RATE, atol=1 / RATE)


def test_files_put_one_after_the_other(tmp_path: Path) -> None:
    """A camera's files joined byte by byte: the clock begins again, pictures and sound go on."""
    make(tmp_path / "one.ts", Made("one.ts", options=B))
    data = (tmp_path / "one.ts").read_bytes()
    (tmp_path / "two.ts").write_bytes(data + data)
    info, found = probe(tmp_path / "two.ts"), which(tmp_path / "two.ts")
    assert found == [*range(N), *range(N)]
    assert "sound 2" in info.reading, "no sound that was kept of it is used any more"
    np.testing.assert_allclose(info.times, np.arange(2 * N) / RATE, atol=2e-2)
    sound = read_sound(tmp_path / "two.ts", SOUND)
    assert sound is not None
    loud = np.flatnonzero(np.abs(sound.samples) > 0.3) / SOUND + sound.start
    np.testing.assert_allclose([loud[0], loud[-1]], [CLICK / RATE, (N + CLICK) / RATE], atol=0.25)


def test_short_files_put_one_after_the_other(tmp_path: Path) -> None:
    """The clock jumps back by less than a second, but to the beginning: no second picture and no sound is dropped."""
    with av.open(str(tmp_path / "one.ts"), "w") as container:
        video, sound = container.add_stream("libx264", rate=RATE), container.add_stream("aac", rate=44_100)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound.layout = "mono"
        packets = [*pictures(video, np.arange(22) / RATE, Fraction(1, RATE)), *clicks(sound, 0.4, 0.88, 0.0, 44_100)]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    (tmp_path / "three.ts").write_bytes((tmp_path / "one.ts").read_bytes() * 3)
    info, alone = probe(tmp_path / "three.ts"), probe(tmp_path / "one.ts")
    assert (info.n_frames, info.guessed, info.start) == (66, 0, alone.start)
    assert "sound 2" in info.reading
    found = read_sound(tmp_path / "three.ts", SOUND)
    assert found is not None
    loud = np.flatnonzero(np.abs(found.samples) > 0.3) / SOUND + found.start
    begins = loud[np.diff(loud, prepend=-1.0) > 0.2]
    np.testing.assert_allclose(begins, [0.4, 1.28, 2.16], atol=0.1)


@given(st.lists(st.none() | st.integers(-1000, 1000), min_size=1, max_size=60), st.integers(1, 50))
def test_mended_times_increase_and_keep_what_they_can(stamps: list[int | None], step: int) -> None:
    times, guessed = mend(stamps, step)
    assert len(times) == len(stamps)
    assert (np.diff(times) > 0).all()
    same = sum(stamp is not None and stamp == time for stamp, time in zip(stamps, times, strict=True))
    assert len(stamps) - guessed <= same
    known = [stamp for stamp in stamps if stamp is not None]
    if known == sorted(set(known)):
        assert guessed == len(stamps) - len(known)


@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 40))
def test_missing_stamps_of_a_steady_video_are_found_again(before: int, inside: int, after: int) -> None:
    truth = [40 * k for k in range(before + 3 + inside + after)]
    given_ = list(truth)
    for k in (*range(before), *range(before + 2, before + 2 + inside)):
        given_[k] = None  # type: ignore[call-overload]
    times, guessed = mend(given_, 1.0)
    np.testing.assert_allclose(times, truth)
    assert guessed == before + inside


def test_one_stray_stamp_is_no_new_beginning() -> None:
    clock = SteadyClock()
    given_ = [10.0, 10.04, 3.0, 10.12, 10.16]
    np.testing.assert_allclose([clock(t, 0.04) for t in given_], [10.0, 10.04, 10.08, 10.12, 10.16])


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ([0, 1, 2, 3, 4, 5, 6, 7, 0, 9, 10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),  # a stray stamp
        ([0, 1, 2, 3, 0, 1, 2, 3], [0, 1, 2, 3, 0, 1, 2, 3]),  # too few to tell
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 4, 5], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 4, 5]),  # parts that overlap
    ],
)
def test_a_short_part_restarts_only_at_the_beginning(stamps: list[int], expected: list[int]) -> None:
    clock = SteadyClock()
    np.testing.assert_allclose([clock(0.02 * stamp, 0.02) for stamp in stamps], 0.02 * np.array(expected))
