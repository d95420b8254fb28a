"""Overlays: the video's own pictures upright, its sound as it is, a file whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import av
import numpy as np
import pytest

from harness.data.decoding.audio import read_sound
from harness.predicting import overlay
from harness.predicting.canvas import PALETTE
from harness.predicting.media import open_input
from harness.predicting.one_pass import Person, Predicted
from harness.predicting.overlay import write_overlay
from harness.predicting.overlay_drawing import Drawing
from plugins.editions import abaw10
from tests.support.indexes import track
from tests.support.media import write_click_video
from tests.support.refusals import refused
from zoo.api import VideoAnswers
from zoo.errors import UserError

ANSWERS = (*track(abaw10, "va").answers, *track(abaw10, "expr").answers, *track(abaw10, "au").answers)


def predicted(path: Path, people: int = 1) -> Predicted:
    media = open_input(path, "video")
    n, rng = media.info.n_frames, np.random.default_rng(0)
    values = {a.name: rng.random((n, len(a.classes)) if a.kind == "class" else n) for a in ANSWERS}
    nothing = {a.name: np.full(n, np.nan) for a in ANSWERS}
    answers = VideoAnswers("v", "v", values, nothing, {"face": np.ones(n, bool)}, media.info.times)
    face = np.tile(np.array([10, 5, 40, 45], np.float32), (n, 1))
    face[:5] = np.nan
    score = np.where(np.isnan(face[:, 0]), np.nan, 0.9).astype(np.float32)
    return Predicted(media, [Person(k + 1, face + 30 * k, score, answers) for k in range(people)])


@pytest.mark.parametrize(("suffix", "rotation"), [(".mp4", 0), (".mp4", 90), (".mkv", 0), (".avi", 0), (".webm", 0)])
def test_pictures_and_sound(tmp_path: Path, suffix: str, rotation: int) -> None:
    video, target = tmp_path / f"a{suffix}", tmp_path / "out" / "o.mp4"
    write_click_video(video, n_frames=12, click_frame=None, rotation=rotation, variable=suffix != ".avi", rate=48_000)
    one = predicted(video)
    write_overlay(target, one, ANSWERS)
    assert [path.name for path in target.parent.iterdir()] == ["o.mp4"]
    drawing = Drawing(one, ANSWERS)
    assert (drawing.width < drawing.height) == (rotation == 90)
    with av.open(str(target)) as made:
        (picture,), (sound,) = made.streams.video, made.streams.audio
        assert (picture.width, picture.height) == drawing.size
        times = [float(frame.pts * frame.time_base) for frame in made.decode(picture)]
        made.seek(0)
        length = sum(frame.samples for frame in made.decode(sound)) / sound.rate
    np.testing.assert_allclose(times, one.media.info.times, atol=2e-4)
    assert sound.codec_context.codec.canonical_name == ("mp3" if suffix == ".avi" else "aac")
    assert length > 0.8, length


def test_sound_that_the_container_takes_is_copied(tmp_path: Path) -> None:
    write_click_video(tmp_path / "a.mp4", n_frames=12, click_frame=None)
    write_overlay(tmp_path / "o.mp4", predicted(tmp_path / "a.mp4"), ANSWERS)

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as file:
            return [bytes(packet) for packet in file.demux(file.streams.audio[0]) if packet.size]

    there = packets(tmp_path / "a.mp4")
    assert packets(tmp_path / "o.mp4") == there[-len(packets(tmp_path / "o.mp4")) :]
    assert len(there) - len(packets(tmp_path / "o.mp4")) <= 1  # a packet of priming lies before the first picture


def test_without_sound_and_with_two_people(tmp_path: Path) -> None:
    write_click_video(tmp_path / "a.mp4", n_frames=12, click_frame=None, with_audio=False)
    write_overlay(tmp_path / "o.mp4", predicted(tmp_path / "a.mp4", people=2), ANSWERS)
    with av.open(str(tmp_path / "o.mp4")) as made:
        assert not made.streams.audio
        assert sum(1 for _ in made.decode(video=0)) == 12


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_click_video(tmp_path / "a.mp4", n_frames=12, click_frame=None)
    one = predicted(tmp_path / "a.mp4")

    def full(*_: object) -> None:
        raise av.FFmpegError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(overlay, "_write", full)
    with pytest.raises(UserError) as error:
        write_overlay(tmp_path / "out" / "o.mp4", one, ANSWERS)
    assert error.value.code == "file-not-written"
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(("rate", "made"), [(12_345, 16_000), (192_000, 96_000)])
def test_sound_at_a_rate_that_aac_has_not(tmp_path: Path, rate: int, made: int) -> None:
    """The click stays at its frame."""
    write_click_video(
        tmp_path / "a.mkv", n_frames=40, click_frame=20, rate=rate, audio_codec="pcm_s16le", sound_start=0.2
    )
    write_overlay(tmp_path / "o.mp4", predicted(tmp_path / "a.mkv"), ANSWERS)
    with av.open(str(tmp_path / "o.mp4")) as file:
        assert file.streams.audio[0].rate == made
    before, after = read_sound(tmp_path / "a.mkv"), read_sound(tmp_path / "o.mp4")
    assert before is not None
    assert after is not None
    places = [np.abs(sound.samples).argmax() / sound.rate + sound.start for sound in (before, after)]
    assert abs(places[0] - places[1]) < 0.002


@pytest.mark.parametrize(("codec", "suffix"), [("aac", ".mp4"), ("aac", ".mkv"), ("mp2", ".mp4")])
def test_sound_of_joined_files_goes_on_after_the_join(tmp_path: Path, codec: str, suffix: str) -> None:
    """The clock of a transport stream begins again there; sound is heard when it is for the models."""
    write_click_video(tmp_path / "one.ts", n_frames=40, click_frame=20, audio_codec=codec)
    (tmp_path / "a.ts").write_bytes((tmp_path / "one.ts").read_bytes() * 2)
    target = tmp_path / f"o{suffix}"
    write_overlay(target, predicted(tmp_path / "a.ts"), ANSWERS)
    clicks = []
    for path in (tmp_path / "a.ts", target):
        sound = read_sound(path)
        assert sound is not None
        loud = np.flatnonzero(np.abs(sound.samples) > 0.3) / sound.rate + sound.start
        clicks.append([loud[0], loud[-1]])
    assert clicks[0][1] - clicks[0][0] > 1
    np.testing.assert_allclose(clicks[1], clicks[0], atol=2e-3)


def test_what_ffmpeg_cannot_do_is_not_blamed_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_click_video(tmp_path / "a.mp4", n_frames=12, click_frame=None)

    def invalid(*_: object) -> None:
        raise av.error.ArgumentError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(overlay, "_write", invalid)
    with refused("predict-overlay-failed", path=tmp_path / "o.mp4"):
        write_overlay(tmp_path / "o.mp4", predicted(tmp_path / "a.mp4"), ANSWERS)


def test_the_panel_says_whose_it_is(tmp_path: Path) -> None:
    """With several people the panel's heading has the colour of that person's box."""
    write_click_video(tmp_path / "a.mp4", n_frames=12, click_frame=None, with_audio=False)
    alone, both = (Drawing(predicted(tmp_path / "a.mp4", people=count), ANSWERS) for count in (1, 2))
    frame = np.zeros((64, 96, 3), np.uint8)
    heading = [drawing(frame, 8)[: 2 * drawing.text, drawing.width :] for drawing in (alone, both)]
    colour = np.array(PALETTE[both.main.number % len(PALETTE)])
    assert (np.abs(heading[1].astype(int) - colour).max(-1) < 8).any()
    assert not np.array_equal(heading[0], heading[1])
