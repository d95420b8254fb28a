"""GIF, WMV, Ogg and MPEG files that are cut short, which FFmpeg reads without an error."""

from __future__ import annotations

from pathlib import Path
from struct import pack

import av
import numpy as np
import pytest

from harness.data.decoding.file_ends import ends_inside_pes, gif_end, lacks_end_mark
from harness.data.decoding.video import probe, read_frames
from tests.support.refusals import Part, refused

FRAMES = 20


def write(path: Path, codec: str, form: str, pixels: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (FRAMES, 32, 48, 3), np.uint8)
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, pixels
        for image in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)))
        container.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_a_cut_gif_is_an_error(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.gif"
    whole = write(path, "gif", "gif", "rgb8")
    path.write_bytes(whole[: int(len(whole) * share)])
    with refused("video-cut-short", file=path, missing="it ends inside a picture"):
        probe(path)
    with refused("video-cut-short", file=path):
        next(read_frames(path))


@pytest.mark.parametrize("rest", [b"", bytes(5), b"junk after the end", b"\r\n"])
def test_a_whole_gif_may_have_bytes_after_its_end(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(write(path, "gif", "gif", "rgb8") + rest)
    info = probe(path)
    assert (info.n_frames, info.notes) == (FRAMES, ())


def test_a_gif_without_its_end_mark_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(write(path, "gif", "gif", "rgb8")[:-1])
    info = probe(path)
    assert info.n_frames == FRAMES
    assert [note for note in info.notes if "no end mark" in note]


def test_every_cut_of_a_gif_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    write(path, "gif", "gif", "rgb8")
    whole = path.read_bytes()[:6000] + b"\0"
    assert gif_end(path.read_bytes()) == "whole"
    assert {gif_end(whole[:length]) for length in range(6, 5000)} <= {"cut", "unmarked"}
    unknown = path.read_bytes()[:-1] + b"\x99 of no known kind"
    assert gif_end(unknown) == "whole"


@pytest.mark.parametrize("junk", [b"", b"TAG of another program"])
def test_a_cut_ogg_is_noted(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "a.ogv"
    whole = write(path, "libvpx", "ogg", "yuv420p")
    path.write_bytes(whole + junk)
    assert (probe(path).n_frames, probe(path).notes) == (FRAMES, ())
    path.write_bytes(whole[: len(whole) * 6 // 10])
    info = probe(path)
    assert 0 < info.n_frames < FRAMES
    assert [note for note in info.notes if "no end mark" in note]
    last = whole.rindex(b"OggS")
    assert not lacks_end_mark(path, "mp4")
    for length in (last, last + 5, last + 26, last + 27, last + 28, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert lacks_end_mark(path, "ogg"), length


@pytest.mark.parametrize(
    ("codec", "form", "end"),
    [("mpeg2video", "vob", b""), ("mpeg2video", "vob", b"\0\0\1\xb9"), ("mpeg1video", "mpeg", b"")],
)
def test_an_mpeg_file_that_ends_inside_a_packet_is_noted(tmp_path: Path, codec: str, form: str, end: bytes) -> None:
    path = tmp_path / "a.mpg"
    whole = write(path, codec, form, "yuv420p").removesuffix(b"\0\0\1\xb9")
    for rest in (end, end + bytes(100)):
        path.write_bytes(whole + rest)
        assert probe(path).notes == ()
    cut = len(whole) * 6 // 10 // 2048 * 2048
    path.write_bytes(whole[:cut])
    assert not ends_inside_pes(path, "mpeg"), "a file may end after any packet"
    for length in (cut + 8, cut + 40, cut + 1000):
        path.write_bytes(whole[:length])
        assert probe(path).notes == ("the file ends inside a packet, so its end is missing",), length


@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_a_cut_wmv_is_an_error(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.wmv"
    whole = write(path, "wmv2", "asf", "yuv420p")
    assert probe(path).n_frames == FRAMES
    path.write_bytes(whole[: int(len(whole) * share)])
    with refused("video-cut-short", file=path, missing=Part("bytes")):
        probe(path)


def test_a_broadcast_and_a_missing_index_are_no_cuts(tmp_path: Path) -> None:
    path = tmp_path / "a.wmv"
    whole = write(path, "wmv2", "asf", "yuv420p")
    path.write_bytes(whole[:-9])  # FFmpeg writes the index last
    assert probe(path).n_frames == FRAMES
    flags = whole.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")) + 88
    path.write_bytes(whole[:flags] + pack("<I", 1) + whole[flags + 4 : len(whole) // 2])
    assert 0 < probe(path).n_frames < FRAMES
