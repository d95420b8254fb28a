"""A frame is read as players show it: mirrored and turned by its matrix, of square pixels, of ordinary brightness."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.decoding import display
from harness.data.decoding.probe_cache import known_video, video_digest
from harness.data.decoding.video import probe, read_frames, read_pictures
from harness.io.hashing import file_digest
from tests.support.refusals import refused

WIDTH, HEIGHT = 96, 64


def matrix(mirrored: bool, degrees: float, scale: float = 1.0) -> list[int]:
    """The display matrix that mirrors left and right, then turns clockwise."""
    cos, sin = np.cos(np.radians(degrees)) * scale, np.sin(np.radians(degrees)) * scale
    sign = -1 if mirrored else 1
    return [*(round(65536 * value) for value in (sign * cos, sign * sin, 0, -sin, cos, 0)), 0, 0, 1 << 30]


def scene() -> np.ndarray:
    """A picture that looks different in each of its eight positions: four corners of four shades."""
    out = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    out[:32, :48], out[:32, 48:], out[32:, :48], out[32:, 48:] = 40, 100, 160, 220
    return out


def write(
    path: Path,
    *,
    turn: list[int] | None = None,
    aspect: Fraction | None = None,
    hdr: int = 0,
    colours: int | None = None,
) -> Path:
    with av.open(str(path), "w") as container:
        options = {"x265-params": "log-level=none"} if hdr else {"crf": "4"}
        stream = container.add_stream("libx265" if hdr else "libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p10le" if hdr else "yuv420p"
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if turn:
            stream.set_display_matrix(turn)
        if colours is not None:
            stream.colorspace = colours
        if hdr:
            stream.color_trc, stream.color_primaries, stream.colorspace = hdr, 9, 9
        for _ in range(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(), format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270, 1, -1, 44, 91, 188])
def test_mirrored_and_turned_to_the_nearest_quarter(tmp_path: Path, mirrored: bool, degrees: float) -> None:
    path = write(tmp_path / "a.mp4", turn=matrix(mirrored, degrees))
    expected = scene()[:, ::-1] if mirrored else scene()
    expected = np.rot90(expected, -round(degrees / 90))
    frame = next(read_frames(path))
    assert np.abs(frame.astype(int) - expected).mean() < 4
    info = probe(path)
    assert (info.height, info.width) == frame.shape[:2]
    assert bool(info.reading) == (mirrored or degrees % 90 != 0)
    ((small,),) = list(read_pictures(path, [(info.width // 2, info.height // 2)]))[:1]
    assert small.shape == (info.height // 2, info.width // 2, 3)
    assert np.abs(small.astype(int) - expected[::2, ::2]).mean() < 8


@given(st.booleans(), st.integers(0, 3), st.floats(-44.5, 44.5), st.floats(0.1, 10))
def test_any_matrix(mirrored: bool, quarters: int, off: float, scale: float) -> None:
    class Frame:
        side_data = {"DISPLAYMATRIX": np.array(matrix(mirrored, 90 * quarters + off, scale), np.int32)}  # noqa: RUF012

    turn = display.turn_of(Frame())
    assert (turn.mirrored, turn.quarters) == (mirrored, quarters)
    assert turn.off == pytest.approx(abs(off), abs=0.05)


@pytest.mark.parametrize("values", [[0] * 9, [65536, 0, 0, 0, 0, 0, 0, 0, 1 << 30]])
def test_a_degenerate_matrix_does_nothing(values: list[int]) -> None:
    class Frame:
        side_data = {"DISPLAYMATRIX": np.array(values, np.int32)}  # noqa: RUF012

    assert display.turn_of(Frame()) == display.Turn()


def test_a_matrix_far_off_is_warned_of_once_by_angle_and_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    far, near = (write(tmp_path / f"{k}.mp4", turn=matrix(False, k)) for k in (20, 5))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            probe(far), probe(near)
    (record,) = caplog.records
    assert str(far) in record.getMessage()
    assert "20 degrees off" in record.getMessage()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize(
    ("aspect", "width"), [("4/3", 128), ("8/9", 85), ("64/45", 137), ("1280/1281", 96), ("1/9", 96), ("1", 96)]
)
def test_pixels_are_stretched_to_squares(tmp_path: Path, name: str, aspect: str, width: int) -> None:
    path = write(tmp_path / name, aspect=Fraction(aspect))
    info, frame = probe(path), next(read_frames(path))
    assert (info.width, info.height) == (width, HEIGHT) == frame.shape[1::-1]
    assert bool(info.reading) == (width != WIDTH)
    columns = [frame[8:24, : width // 2 - 3].mean(), frame[8:24, width // 2 + 3 :].mean()]
    np.testing.assert_allclose(columns, [40, 100], atol=4)


def test_stretched_before_it_is_turned(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", aspect=Fraction(4, 3), turn=matrix(True, 90))
    assert (probe(path).width, probe(path).height) == (HEIGHT, 128)
    assert next(read_frames(path)).shape == (128, HEIGHT, 3)


def test_what_is_kept_of_a_video_depends_on_how_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features, packs and sound of files that are read as ever stay; those of others are made again."""
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    plain, turned = (
        write(tmp_path / "plain.mp4", turn=matrix(False, 90)),
        write(tmp_path / "a.mp4", turn=matrix(True, 0)),
    )
    assert video_digest(plain) == file_digest(plain)
    assert video_digest(turned) != file_digest(turned)
    assert known_video(turned).size == (WIDTH, HEIGHT)
    (tmp_path / "bad.mp4").write_text("no video")
    assert video_digest(tmp_path / "bad.mp4") == file_digest(tmp_path / "bad.mp4")


@pytest.mark.parametrize(("colours", "name"), [(8, "YCgCo"), (14, "ICtCp")])
def test_colours_that_cannot_be_converted_are_named(tmp_path: Path, colours: int, name: str) -> None:
    path = write(tmp_path / "a.mp4", colours=colours)
    with refused("video-colours-unknown", file=path, matrix=name):
        next(read_frames(path))
    assert next(read_frames(write(tmp_path / "b.mp4", colours=9))).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_named_and_read_as_it_comes_where_it_cannot_be_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transfer: int, name: str
) -> None:
    monkeypatch.setattr(display, "_converts_hdr", lambda: False)
    info = probe(write(tmp_path / "a.mp4", hdr=transfer))
    assert info.notes == (f"HDR ({name}): pictures are not converted and look too flat",)
    assert info.reading == ""


@pytest.mark.slow
@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_converted(tmp_path: Path, transfer: int, name: str) -> None:
    """Signal levels of BT.2100 against what they mean: reference white, 203 cd/m2, is all but the brightest."""
    path = write(tmp_path / "a.mp4", hdr=transfer)
    info, frame = probe(path), next(read_frames(path))
    assert info.notes == (f"HDR ({name}): pictures are converted to standard range (BT.709)",)
    assert f"{name} to BT.709" in info.reading
    shades = [frame[16, 24].mean(), frame[16, 72].mean(), frame[48, 24].mean(), frame[48, 72].mean()]
    assert shades[0] < shades[1] < shades[2] <= shades[3]
    assert shades[2] > 180, "160 of 255 is above reference white in PQ, and just below it in HLG"
    assert np.ptp(frame[16, 24]) <= 4, "grey stays grey"
