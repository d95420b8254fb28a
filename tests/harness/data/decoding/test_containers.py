"""What is a moving picture, by the containers' own names and by the file, and what is left out and why."""

from __future__ import annotations

import os
import random
import shutil
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from harness.data.affwild2 import folder_layout
from harness.data.affwild2.folder_layout import survey
from harness.data.decoding.audio import read_sound
from harness.data.decoding.containers import kind_by_name
from harness.data.decoding.probe_cache import file_kind
from harness.data.decoding.video import probe, read_frames
from tests.support.media import write_click_video
from tests.support.refusals import refused

TEXT = "What FFmpeg draws as ten pictures of a terminal.\n" * 60


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))


def write_images(path: Path, codec: str, form: str, pixels: str, count: int) -> Path:
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, pixels
        for k in range(count):
            image = np.full((32, 32, 3), 20 * k, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)))
        container.mux(stream.encode(None))
    return path


def write_streams(path: Path, *streams: tuple[int, int]) -> Path:
    """Write a file with streams of some pictures each, of a side in pixels, without any mark of a cover."""
    packets = []
    with av.open(str(path), "w") as container:
        made = [container.add_stream("mpeg4", rate=25, width=side, height=side) for _, side in streams]
        for stream, (count, side) in zip(made, streams, strict=True):
            stream.pix_fmt = "yuv420p"
            noise = np.random.default_rng(0).integers(0, 255, (count, side, side, 3), np.uint8)
            for k, image in enumerate(noise):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = k, Fraction(1, 25)
                packets += stream.encode(frame)
            packets += stream.encode(None)
        for packet in sorted(packets, key=lambda packet: float((packet.dts or 0) * packet.time_base)):
            container.mux(packet)
    return path


def write_song(path: Path) -> Path:
    """Sound with a cover."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=44_100)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44_100
        for packet in [
            *cover.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")),
            *cover.encode(None),
            *sound.encode(frame),
            *sound.encode(None),
        ]:
            container.mux(packet)
    return path


def test_files_are_what_they_hold(tmp_path: Path) -> None:
    (tmp_path / "notes.nfo").write_text(TEXT)
    (tmp_path / "broken.nut").write_bytes(b"\0" * 2000)
    kinds = {
        write_images(tmp_path / "one.gif", "gif", "gif", "rgb8", 1): "still image",
        write_images(tmp_path / "ten.gif", "gif", "gif", "rgb8", 10): "video",
        write_images(tmp_path / "raw.mjpeg", "mjpeg", "mjpeg", "yuvj420p", 10): "video",
        write_images(tmp_path / "raw.h264", "libx264", "h264", "yuv420p", 10): "video",
        write_song(tmp_path / "song.mp4"): "sound",
        tmp_path / "notes.nfo": "text",
        tmp_path / "broken.nut": "not readable",
    }
    assert {path: file_kind(path) for path in kinds} == kinds


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((f"a{end}", "video") for end in (".mp4", ".MTS", ".m4v", ".wmv", ".flv", ".mpg", ".Mpeg", ".3gp", ".vob")),
        *((f"a{end}", "still image") for end in (".jpg", ".PNG", ".tiff", ".heic", ".webp")),
        *((f"a{end}", "text") for end in (".txt", ".nfo", ".srt")),
        *((f"a{end}", "sound") for end in (".mp3", ".M4A", ".wav")),
        *((f"a{end}", "perhaps") for end in (".h264", ".gif", ".ogg", ".mka")),
        *((f"a{end}", "document") for end in (".csv", ".JSON", ".parquet", ".toml", ".npz", ".zip", ".py")),
        *((f"a{end}", "of no known kind") for end in ("", ".part", ".bin", ".mp4_old")),
    ],
)
def test_names(name: str, kind: str) -> None:
    assert kind_by_name(name) == kind


def test_no_text_image_or_song_is_a_video_whatever_it_is_called(tmp_path: Path) -> None:
    image = tmp_path / "image.mp4"
    image.write_bytes(cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes())
    for path, kind in ((image, "still image"), (write_song(tmp_path / "song.mov"), "sound")):
        with refused("video-no-stream", file=path, kind=kind):
            probe(path)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".avi", ".ts", ".wmv"])
@pytest.mark.parametrize("side", [32, 320])
def test_a_picture_before_the_video_is_not_taken_for_it(
    tmp_path: Path, ending: str, side: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_streams(tmp_path / f"a{ending}", (1, side), (20, 64))
    info = probe(path)
    assert (info.n_frames, info.width, info.reading) == (20, 64, "stream 2")
    assert [frame.shape for frame in read_frames(path)] == [(64, 64, 3)] * 20
    probe(path)
    assert caplog.text.count("the file has 2 video streams; only number 2 is read (64 x 64 pixels)") == 1


def test_which_of_several_videos_is_read(tmp_path: Path) -> None:
    info = probe(write_streams(tmp_path / "same.mp4", (20, 64), (20, 64)))
    assert (info.n_frames, info.reading) == (20, "")
    assert [note for note in info.notes if "only number 1 is read" in note]
    assert probe(write_streams(tmp_path / "larger.avi", (20, 32), (20, 96))).width == 32  # as OpenCV reads it
    info = probe(write_streams(tmp_path / "one.mp4", (20, 64)))
    assert (info.reading, info.notes) == ("", ())
    info = probe(write_streams(tmp_path / "pictures.mp4", (1, 32), (1, 64)))
    assert (info.n_frames, info.width) == (1, 32)


def test_a_playlist_is_no_video_whatever_it_is_called(tmp_path: Path) -> None:
    """The digest of a list of files says nothing of what they hold."""
    write_click_video(tmp_path / "other.mp4", n_frames=3, click_frame=None)
    listed = tmp_path / "listed.mp4"
    listed.write_text("ffconcat version 1.0\nfile other.mp4\n")
    with refused("video-no-stream", kind="a playlist of other files"):
        probe(listed)
    with refused("video-no-stream", kind="a playlist of other files"):
        read_sound(listed, 16_000)
    (tmp_path / "listed.unknown").write_bytes(listed.read_bytes())
    assert file_kind(tmp_path / "listed.unknown") == "not readable"
    for name, text in (
        ("hls.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n"),
        ("far.ts", "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"),
        ("stream.mp4", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"),
    ):
        (tmp_path / name).write_text(text)
        with refused("video-unreadable", file=tmp_path / name):
            probe(tmp_path / name)


def test_a_folder_of_many_kinds(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    root.mkdir()
    write_click_video(tmp_path / "a.mp4", n_frames=3, click_frame=None)
    for name in ("a.mp4", "b.M4V", "c.mov", "clip.mk3d"):
        shutil.copy(tmp_path / "a.mp4", root / name)
    write_images(root / "d.h264", "libx264", "h264", "yuv420p", 3)
    for name in ("cover.jpg", "poster.PNG"):
        (root / name).touch()
    (root / "about.nfo").write_text(TEXT)
    (root / "song.mp3").touch()
    (root / "list.txt").write_text("a\n")
    (root / "table.csv").touch()
    layout = survey(root)
    assert sorted(layout.videos) == ["a", "b", "c", "clip", "d"]
    assert layout.left_out_notes() == [
        "left out, not videos (sound): 1 (song.mp3)",
        "left out, not videos (still image): 2 (cover.jpg, poster.PNG)",
        "left out, not videos (text): 1 (about.nfo)",
    ]


@pytest.mark.parametrize("order", range(4))
def test_videos_among_a_hundred_other_files_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: int
) -> None:
    """A folder's entries come in any order: a camera's folder holds pictures, and a few videos after them."""
    write_click_video(tmp_path / "VID_1.mp4", n_frames=3, click_frame=None)
    (tmp_path / "more").mkdir()
    shutil.copy(tmp_path / "VID_1.mp4", tmp_path / "more" / "VID_2.MOV")
    for k in range(150):
        (tmp_path / f"IMG_{k}.{('jpg', 'json', 'bin')[k % 3]}").touch()
    scan = folder_layout._scan

    def shuffled(folder: Path) -> list[os.DirEntry[str]]:
        return random.Random(order).sample(entries := sorted(scan(folder), key=lambda e: e.name), len(entries))

    monkeypatch.setattr(folder_layout, "_scan", shuffled)
    layout = survey(tmp_path)
    assert sorted(layout.videos) == ["VID_1", "VID_2"]
    assert [note.partition(":")[2].split()[0] for note in layout.left_out_notes()] == ["50", "50"]


def test_a_video_that_lost_its_extension_is_found_and_the_rest_is_named(tmp_path: Path) -> None:
    write_click_video(tmp_path / "a.mp4", n_frames=3, click_frame=None)
    for name in ("b", "c.mp4.part", "d.lrv"):
        shutil.copy(tmp_path / "a.mp4", tmp_path / name)
    (tmp_path / "data.bin").write_bytes(bytes(100))
    (tmp_path / "report.pdf").touch()
    layout = survey(tmp_path)
    assert sorted(layout.videos) == ["a", "b", "c.mp4", "d"]
    assert layout.left_out_notes() == ["left out, not videos (of no known kind): 1 (data.bin)"]


def test_a_folder_of_pictures_is_named_once(tmp_path: Path) -> None:
    for k in range(150):
        (tmp_path / f"{k}.png").touch()
    assert survey(tmp_path).left_out_notes() == ["left out, not videos (a folder of other files): 1 (.)"]
