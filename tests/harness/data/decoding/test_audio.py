"""Sound: a click written at a frame is found there, whatever the container, the rates and the start of the sound."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from harness.data.decoding.audio import _place, read_sound
from harness.data.decoding.video import probe
from tests.support.media import write_click_video
from tests.support.refusals import refused


def heard(path: Path) -> tuple[int, float]:
    """The frame during which the loudest sample sounds, and its time."""
    sound = read_sound(path)
    assert sound is not None
    assert sound.rate == 16_000
    assert sound.samples.dtype == np.float32
    time = float(np.abs(sound.samples).argmax() / sound.rate + sound.start)
    return int(np.searchsorted(probe(path).times, time + 1e-3, side="right") - 1), time


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.mp4", {"rate": 48_000, "fps": 60}),
        ("a.mp4", {"variable": True}),
        ("a.mp4", {"sound_start": 0.3}),
        ("a.mp4", {"sound_start": 0.3, "variable": True, "fps": 30, "channels": 2}),
        ("a.mp4", {"sound_start": -0.3}),
        ("a.mp4", {"audio_codec": "mp3", "sound_start": 0.3}),
        ("a.mp4", {"holes": [(0.3, 0.8)]}),
        ("a.mp4", {"fps": 7.5, "rate": 8_000}),
        ("a.mkv", {"sound_start": 0.3, "audio_codec": "flac"}),
        ("a.webm", {"rate": 48_000, "fps": 30}),
        ("a.mp4", {"n_frames": 3000, "click_frame": 2900, "fps": 60}),
    ],
)
def test_click_is_found_at_its_frame(tmp_path: Path, name: str, options: dict) -> None:
    times = write_click_video(tmp_path / name, **options)
    frame, time = heard(tmp_path / name)
    expected = options.get("click_frame", 30)
    assert frame == expected
    assert abs(time - times[expected]) < 2e-3


@pytest.mark.parametrize("options", [{}, {"rate": 48_000, "fps": 30}, {"variable": True}])
def test_click_in_avi_with_mp3_is_found_within_one_frame(tmp_path: Path, options: dict) -> None:
    """AVI keeps neither time stamps nor MP3's priming: the file itself is off by up to 25 ms."""
    times = write_click_video(tmp_path / "a.avi", **options)
    frame, time = heard(tmp_path / "a.avi")
    assert abs(frame - 30) <= 1
    assert abs(time - times[30]) < 0.03


def test_start_and_length(tmp_path: Path) -> None:
    write_click_video(tmp_path / "a.mkv", sound_start=0.3, audio_codec="flac")
    sound = read_sound(tmp_path / "a.mkv")
    assert sound is not None
    assert sound.start == pytest.approx(0.3, abs=1e-3)
    assert len(sound.samples) / 16_000 + sound.start == pytest.approx(59 / 25 + 0.5, abs=1e-3)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize(("clock", "sound_start"), [(0.5, 0.0), (1.25, 0.3), (1.25, -0.5)])
def test_sound_is_timed_from_the_first_frame_wherever_the_clock_stands(
    tmp_path: Path, name: str, clock: float, sound_start: float
) -> None:
    """Files that were cut or streamed do not begin at 0: what counts is how much later than the first frame."""
    codec = "flac" if name.endswith("mkv") else None
    times = write_click_video(tmp_path / name, clock=clock, sound_start=sound_start, audio_codec=codec)
    assert probe(tmp_path / name).start == pytest.approx(clock, abs=1e-3)
    sound = read_sound(tmp_path / name)
    assert sound is not None
    if codec:  # AAC's first packet is priming, which is left out
        assert sound.start == pytest.approx(sound_start, abs=1e-3)
    frame, time = heard(tmp_path / name)
    assert frame == 30
    assert abs(time - times[30]) < 2e-3


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_u8", "pcm_s32le", "pcm_f32le", "flac"])
def test_sample_formats_have_one_level(tmp_path: Path, codec: str) -> None:
    write_click_video(tmp_path / "a.mkv", audio_codec=codec, rate=16_000, channels=2)
    sound = read_sound(tmp_path / "a.mkv")
    assert sound is not None
    assert sound.samples.max() == pytest.approx(0.8, abs=0.01)
    assert abs(np.median(sound.samples)) < 1e-6


def test_resampling_keeps_a_tone(tmp_path: Path) -> None:
    """Against the sum itself: 1 kHz at 44.1 kHz is 1 kHz at 16 kHz, in phase to the last second."""
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=44_100, layout="mono")
        tone = np.sin(2 * np.pi * 1000 * np.arange(44_100 * 20) / 44_100).astype(np.float32)
        for first in range(0, len(tone), 44_100):
            frame = av.AudioFrame.from_ndarray(tone[None, first : first + 44_100], format="flt", layout="mono")
            frame.sample_rate, frame.pts = 44_100, first
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    sound = read_sound(tmp_path / "a.mkv")
    assert sound is not None
    expected = np.sin(2 * np.pi * 1000 * np.arange(16_000 * 20) / 16_000)
    np.testing.assert_allclose(sound.samples[100:-100], expected[100:-100], atol=2e-3)


@pytest.mark.parametrize(("stamps", "start"), [((None, None, 500), 0.3), ((100, None, None), 0.1), ((None,) * 3, 7.0)])
def test_sound_without_time_stamps_joins_that_with_some(stamps: tuple[int | None, ...], start: float) -> None:
    frames = []
    for k, stamp in enumerate(stamps):
        frame = av.AudioFrame.from_ndarray(np.full((1, 100), k / 10, np.float32), format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 1000, stamp, Fraction(1, 1000)
        frames.append(frame)
    samples, rate, first = _place(iter(frames), Path("a"), 7.0)
    assert (len(samples), rate) == (300, 1000)
    assert first == pytest.approx(start)


def write_tone(path: Path, codec: str, *, seconds: float = 2.0, rate: int = 16_000, late: int = 0) -> Path:
    """Write a tone into a file of sound alone, whose clock begins ``late`` samples after 0."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        tone = (np.sin(np.arange(round(seconds * rate)) / 5) * 9_000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(tone[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        size = stream.frame_size if stream.codec_context.frame_size else 1024
        for piece in av.AudioResampler(stream.format.name, "mono", rate, frame_size=size).resample(frame):
            piece.pts += late
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("name", "codec"), [("a.ogg", "libopus"), ("a.mka", "flac"), ("a.mp3", "libmp3lame")])
@pytest.mark.parametrize("late", [0, 16_000])
def test_sound_without_pictures_starts_at_0(tmp_path: Path, name: str, codec: str, late: int) -> None:
    sound = read_sound(write_tone(tmp_path / name, codec, late=late))
    assert sound is not None
    assert sound.start == 0
    assert np.abs(sound.samples[:2_000]).max() > 0.2


def test_a_file_that_breaks_off_is_refused(tmp_path: Path) -> None:
    path = write_tone(tmp_path / "a.wv", "wavpack")
    path.write_bytes(path.read_bytes() + b"wvpk" + b"\xff" * 60)  # the header of a damaged block
    with refused("sound-reading-broke-off", file=path):
        read_sound(path)


def test_no_sound_is_none(tmp_path: Path) -> None:
    write_click_video(tmp_path / "a.mp4", with_audio=False)
    assert read_sound(tmp_path / "a.mp4") is None


def test_damaged_packets_are_silence_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_click_video(tmp_path / "whole.mkv", audio_codec="flac")
    with av.open(str(tmp_path / "whole.mkv")) as source, av.open(str(tmp_path / "bad.mkv"), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for k, packet in enumerate(p for p in source.demux() if p.pts is not None):
            stream = streams[packet.stream.index]
            if packet.stream.type == "audio" and k in (9, 10, 11, 12):
                broken = av.Packet(b"\x55" * packet.size)
                broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
                packet = broken
            packet.stream = stream
            target.mux(packet)
    with caplog.at_level(logging.WARNING):
        frame, _ = heard(tmp_path / "bad.mkv")
    assert frame == 30
    assert "packets of sound could not be decoded" in caplog.text


def test_real_speech(real: Path) -> None:
    sound = read_sound(real / "videos" / "01-01-01-01-02-01-05.mp4")
    assert sound is not None
    assert len(sound.samples) / 16_000 == pytest.approx(93 * 1001 / 30_000, abs=0.06)
    assert 1e-3 < np.sqrt(np.mean(sound.samples**2)) < 0.2
    assert read_sound(real / "odd" / "no_audio.mp4") is None
    many = read_sound(real / "odd" / "many_streams.mp4")
    assert many is not None
    assert len(many.samples) / 16_000 == pytest.approx(13.06, abs=0.1)


@pytest.mark.parametrize("suffix", [".mp3", ".m4a", ".flac"])
def test_sound_with_a_cover_is_sound(tmp_path: Path, suffix: str) -> None:
    """The picture of an album is a stream of its own, but no video whose first picture the sound could begin with."""
    codec, form = {".mp3": ("mp3", "mp3"), ".m4a": ("aac", "mp4"), ".flac": ("flac", "flac")}[suffix]
    path = tmp_path / f"a{suffix}"
    cover = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), "rgb24")
    with av.open(str(path), "w", format=form) as file:
        sound = file.add_stream(codec, rate=16_000, layout="mono")
        picture = file.add_stream("mjpeg" if suffix != ".flac" else "png", rate=1)
        picture.width, picture.height = 32, 32
        picture.pix_fmt = "yuvj420p" if suffix != ".flac" else "rgb24"
        picture.disposition = Disposition.attached_pic
        file.mux([*picture.encode(cover), *picture.encode(None)])
        tone = (np.sin(np.arange(16_000) / 5) * 9_000).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(tone, "s16", "mono")
        frame.rate = 16_000
        for piece in av.AudioResampler(
            sound.codec_context.format.name, "mono", 16_000, sound.frame_size or None
        ).resample(frame):
            file.mux(sound.encode(piece))
        file.mux(sound.encode(None))
    with av.open(str(path)) as file:
        assert file.streams.video
    read = read_sound(path)
    assert read is not None
    assert len(read.samples) > 14_000
    assert np.abs(read.samples).max() > 0.1
