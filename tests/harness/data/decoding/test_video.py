"""Video and JPEG decoding: nothing doubled, nothing lost, in order, and damage is named."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from harness.data.decoding import video as video_module
from harness.data.decoding.jpeg import read_jpeg
from harness.data.decoding.time_line import Packets
from harness.data.decoding.video import expected_frames, probe, read_frames, read_pictures
from tests.support.media import shade, write_click_video
from tests.support.refusals import Part, Refusal, refused


def opencv_frames(path: Path) -> list[np.ndarray]:
    capture, frames = cv2.VideoCapture(str(path)), []
    while (got := capture.read())[0]:
        frames.append(got[1][:, :, ::-1])
    return frames


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.mp4", {"variable": True, "fps": 30}),
        ("a.mp4", {"fps": 7.5, "sound_start": 0.3}),
        ("a.avi", {"audio_codec": "pcm_s16le"}),
        ("a.avi", {"variable": True, "audio_codec": "pcm_s16le"}),
        ("a.mkv", {"variable": True}),
        ("a.webm", {"rate": 48_000}),
        ("a.mov", {"with_audio": False}),
    ],
)
def test_every_frame_once_in_order_at_its_time(tmp_path: Path, name: str, options: dict) -> None:
    times = write_click_video(tmp_path / name, **options)
    info = probe(tmp_path / name)
    assert (info.width, info.height, info.n_frames) == (96, 64, len(times))
    assert info.has_audio == options.get("with_audio", True)
    np.testing.assert_allclose(info.times, times, atol=6e-4 if name.endswith(("mkv", "webm")) else 1e-9)
    frames = list(read_frames(tmp_path / name))
    assert [frame.shape for frame in frames] == [(64, 96, 3)] * len(times)
    np.testing.assert_allclose([frame.mean() for frame in frames], [shade(k) for k in range(len(times))], atol=3)


def test_h264_in_avi_comes_in_order_although_its_time_stamps_do_not(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for k in range(30):
            picture = np.full((64, 96, 3), shade(k), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    np.testing.assert_allclose([f.mean() for f in read_frames(path)], [shade(k) for k in range(30)], atol=3)
    np.testing.assert_allclose(probe(path).times, np.arange(30) / 25)


def not_coded(picture: bytes) -> bytes:
    """Return a packet of MPEG-4 that says: as before (ISO/IEC 14496-2, 6.2.5, vop_coded = 0), at a picture's time."""
    begin = picture.rindex(b"\0\0\1\xb6") + 4
    bits = f"{int.from_bytes(picture[begin : begin + 4], 'big'):032b}"
    end = bits.index("0", 2) + 2 + 5 + 1  # its kind, whole seconds, a mark, five bits of 25ths of a second, a mark
    bits = f"01{bits[2:end]}00"
    bits += "1" * (-len(bits) % 8)
    return picture[begin - 4 : begin] + int(bits, 2).to_bytes(len(bits) // 8, "big")


@pytest.mark.parametrize("name", ["a.avi", "a.mkv", "a.mp4"])
@pytest.mark.parametrize("skipped", [(10, 11), (10, 11, 12, 30, 58), ()])
def test_a_picture_that_stays_as_it_was_fills_its_row(tmp_path: Path, name: str, skipped: tuple[int, ...]) -> None:
    """Xvid writes still scenes so. Later pictures keep their rows, however many are skipped."""
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"g": "1"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        pictures = [np.full((64, 96, 3), shade(k), np.uint8) for k in range(60)]
        frames = [av.VideoFrame.from_ndarray(picture, format="rgb24") for picture in pictures]
        for k, packet in enumerate(packet for frame in (*frames, None) for packet in stream.encode(frame)):
            one = av.Packet(not_coded(bytes(packet))) if k in skipped else packet
            one.pts, one.dts, one.time_base, one.stream = k, k, Fraction(1, 25), stream
            container.mux(one)
    info = probe(path)
    assert (info.n_frames, info.guessed, info.notes) == (60, 0, ())
    assert info.reading == ("rows 2" if skipped and name == "a.avi" else ""), "features of the old order are not used"
    shown = np.maximum.accumulate([0 if k in skipped else k for k in range(60)])
    np.testing.assert_allclose([frame.mean() for frame in read_frames(path)], [shade(k) for k in shown], atol=5)


def test_an_avi_file_that_begins_inside_a_group_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0", "g": "10", "sc_threshold": "0"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        pictures = [np.full((64, 96, 3), shade(k), np.uint8) for k in range(60)]
        frames = [av.VideoFrame.from_ndarray(picture, format="rgb24") for picture in pictures]
        for packet in [packet for frame in (*frames, None) for packet in stream.encode(frame)][8:]:
            packet.pts = packet.dts = packet.pts - 8
            container.mux(packet)
    info = probe(path)
    assert (info.n_frames, info.reading) == (52, "rows 2")
    shown = [10, 10, *range(10, 60)]
    np.testing.assert_allclose([frame.mean() for frame in read_frames(path)], [shade(k) for k in shown], atol=3)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_is_applied_as_opencv_does(tmp_path: Path, rotation: int) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.set_display_rotation(rotation)
        ramp = np.linspace(0, 255, 96 * 64 * 3).reshape(64, 96, 3).astype(np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(ramp, format="rgb24")))
        container.mux(stream.encode(None))
    (expected,) = opencv_frames(path)
    (frame,) = read_frames(path)
    np.testing.assert_array_equal(frame, expected)
    info = probe(path)
    assert (info.height, info.width) == expected.shape[:2]
    ((small, whole),) = read_pictures(path, [(info.width // 2, info.height // 2), None])
    np.testing.assert_array_equal(whole, expected)
    reference = cv2.resize(expected, (info.width // 2, info.height // 2), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - reference).mean() < 3


def test_a_squeezed_frame_is_the_area_average_of_its_colours(tmp_path: Path) -> None:
    """Against the average in float64 of luma and chroma, and the colours of that by ITU-R BT.601."""
    path, rng = tmp_path / "a.mp4", np.random.default_rng(0)
    picture = cv2.resize(rng.integers(60, 190, (9, 16, 3), np.uint8), (640, 360), interpolation=cv2.INTER_LINEAR)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        planes = next(container.decode(video=0)).to_ndarray(format="yuv420p").astype(float)
    y, chroma = planes[:360], planes[360:].reshape(2, 180, 320)
    y, u, v = (cv2.resize(plane, (112, 112), interpolation=cv2.INTER_AREA) for plane in (y, *chroma))
    y, u, v = (y - 16) * 255 / 219, (u - 128) * 255 / 224, (v - 128) * 255 / 224
    exact = np.stack([y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u], -1).clip(0, 255)
    ((small,),) = read_pictures(path, [(112, 112)])
    assert np.abs(small - exact).mean() < 0.5
    assert np.abs((small - exact).mean((0, 1))).max() < 0.15, "no colour is brighter or darker"


def test_a_video_whose_frames_change_their_size(tmp_path: Path) -> None:
    path, rate = tmp_path / "two.ts", Fraction(1, 25)
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=25)
        second = av.CodecContext.create("libx264", "w")
        for codec, width, height in ((stream, 96, 64), (second, 64, 48)):
            codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        second.time_base, second.framerate = rate, 1 / rate
        for codec, numbers in ((stream, range(10)), (second, range(10, 20))):
            frames = [av.VideoFrame.from_ndarray(np.zeros((codec.height, codec.width, 3), np.uint8)) for _ in numbers]
            for frame, number in zip(frames, numbers, strict=True):
                frame.pts, frame.time_base = number, rate
            for packet in [packet for frame in (*frames, None) for packet in codec.encode(frame)]:
                packet.stream = stream
                container.mux(packet)
    for sizes in ([(32, 32)], [None], [None, (32, 32)]):
        with refused("video-size-changes", frame=11, width=64, height=48, first=96, first2=64):
            list(read_pictures(path, sizes))


def test_hidden_vp8_pictures_are_no_frames(tmp_path: Path) -> None:
    write_click_video(tmp_path / "whole.webm", with_audio=False, n_frames=20)
    with av.open(str(tmp_path / "whole.webm")) as source, av.open(str(tmp_path / "hidden.webm"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.pts is None:
                continue
            hidden = av.Packet(bytes([bytes(packet)[0] & ~0x10]) + bytes(packet)[1:])
            hidden.pts, hidden.dts, hidden.time_base = packet.pts + 20, packet.dts + 20, packet.time_base
            packet.stream = hidden.stream = stream
            target.mux(packet)
            if packet.pts == 400:  # an inter frame sent once more, not to be shown
                target.mux(hidden)
    assert probe(tmp_path / "hidden.webm").n_frames == 20
    means = [frame.mean() for frame in read_frames(tmp_path / "hidden.webm")]
    assert len(means) == 20  # the hidden one itself changes what later ones refer to, for a few frames
    np.testing.assert_allclose(means[:11] + means[14:], [shade(k) for k in (*range(11), *range(14, 20))], atol=4)


def test_frames_before_the_first_key_picture_are_filled(tmp_path: Path) -> None:
    """A recording cut inside a group of pictures: its first packets cannot be decoded, but the rows stay."""
    write_click_video(tmp_path / "whole.mkv", with_audio=False, n_frames=400)
    with av.open(str(tmp_path / "whole.mkv")) as source, av.open(str(tmp_path / "cut.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [p for p in source.demux(video=0) if p.pts is not None]
        second = [k for k, p in enumerate(packets) if p.is_keyframe][1]
        first_stamp = packets[second].pts
        for packet in packets[second - 2 :]:
            packet.stream = stream
            target.mux(packet)
    times = probe(tmp_path / "cut.mkv").times
    means = [frame.mean() for frame in read_frames(tmp_path / "cut.mkv")]
    assert len(means) == len(times)
    key = first_stamp // 40
    np.testing.assert_allclose(means[-10:], [shade(k) for k in range(390, 400)], atol=3)
    assert abs(means[0] - shade(key)) < 3  # the first picture there is


def test_a_video_without_a_key_picture_has_no_frame_that_decodes(tmp_path: Path) -> None:
    write_click_video(tmp_path / "whole.mp4", with_audio=False, n_frames=20)
    with av.open(str(tmp_path / "whole.mp4")) as source, av.open(str(tmp_path / "cut.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in [p for p in source.demux(video=0) if p.pts is not None][1:]:
            packet.stream = stream
            target.mux(packet)
    for read in (probe, lambda path: next(read_frames(path))):
        with refused("video-no-frame-decoded", file=tmp_path / "cut.mkv", count=19):
            read(tmp_path / "cut.mkv")


def test_cover_picture_is_not_the_video(tmp_path: Path) -> None:
    write_click_video(tmp_path / "plain.mp4", n_frames=10, click_frame=2)
    with av.open(str(tmp_path / "plain.mp4")) as source, av.open(str(tmp_path / "cover.mp4"), "w") as target:
        cover = target.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        stream = target.add_stream_from_template(source.streams.video[0])
        target.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        target.mux(cover.encode(None))
        for packet in source.demux(video=0):
            if packet.pts is not None:
                packet.stream = stream
                target.mux(packet)
    assert probe(tmp_path / "cover.mp4").n_frames == 10


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.avi"])
def test_cut_file_is_an_error_that_names_the_frame(tmp_path: Path, name: str) -> None:
    write_click_video(tmp_path / ("whole" + name), n_frames=200, size=(320, 240))
    whole = tmp_path / ("whole" + name)
    if name.endswith(("mp4", "mov")):  # the table of samples in front, else nothing at all can be read
        fast = tmp_path / ("fast" + name)
        with av.open(str(whole)) as source, av.open(str(fast), "w", options={"movflags": "faststart"}) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.pts is not None:
                    packet.stream = stream
                    target.mux(packet)
        whole = fast
    data = whole.read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: len(data) * 6 // 10])
    with refused("video-cut-short", file=path, missing=Part(" of ")):
        next(read_frames(path))


@pytest.mark.parametrize(
    ("content", "refusal"), [(b"", refused("video-empty")), (b"no video\n" * 999, refused("video-unreadable"))]
)
def test_no_video_is_an_error(tmp_path: Path, content: bytes, refusal: Refusal) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    for read in (probe, lambda path: next(read_frames(path))):
        with refusal as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
def test_expected_frames_is_near_the_truth_and_never_fails(tmp_path: Path, name: str) -> None:
    assert expected_frames(tmp_path / name) == 0
    write_click_video(tmp_path / name, n_frames=100)
    assert 95 <= expected_frames(tmp_path / name) <= 125  # Matroska tells the length of the sound, half a second more


def test_missing_file_and_file_without_pictures(tmp_path: Path) -> None:
    with refused("video-missing"):
        probe(tmp_path / "none.mp4")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44_100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44_100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with refused("video-no-stream"):
        probe(tmp_path / "sound.mp4")


def test_damaged_middle_is_an_error_with_the_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_click_video(path, n_frames=200, size=(320, 240), with_audio=False)
    data = bytearray(path.read_bytes())
    start, end = data.find(b"mdat") + 4, data.find(b"moov") - 4
    middle = (start + end) // 2
    data[middle:end] = b"\xff" * (end - middle)
    path.write_bytes(bytes(data))
    with refused("video-decoding-broke-off") as caught:
        list(read_frames(path))
    assert str(path) in str(caught.value)


def test_real_videos_agree_with_opencv(real: Path) -> None:
    for path in (real / "odd" / "no_face.mp4", real / "odd" / "many_streams.mp4"):
        frames, expected = list(read_frames(path)), opencv_frames(path)
        assert len(frames) == len(expected) == probe(path).n_frames
        for frame, other in zip(frames[::20], expected[::20], strict=True):
            np.testing.assert_array_equal(frame, other)


def test_jpeg_cut_anywhere_is_an_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 255, (9, 9, 3), np.uint8), (112, 112))
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    path = tmp_path / "00001.jpg"
    path.write_bytes(data)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    np.testing.assert_array_equal(read_jpeg(path), expected)
    path.write_bytes(data + b"\0\0trailing bytes")
    np.testing.assert_array_equal(read_jpeg(path), expected)
    for length in [0, 1, 2, 20, *range(300, len(data) - 1, 97), len(data) - 2, len(data) - 1]:
        path.write_bytes(data[:length])
        with refused("jpeg-damaged", file="00001.jpg"):
            read_jpeg(path)


def test_many_missing_frames_are_told_before_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes as many frames as the video has never reads on; what is missing within must not wait for that."""
    path = tmp_path / "a.mp4"
    write_click_video(path, n_frames=100)
    wanted = probe(path).n_frames
    read = video_module.read_packets

    def with_holes(*given: object) -> Packets:
        packets = read(*given)  # type: ignore[arg-type]
        return replace(packets, stamps=sorted({*packets.stamps, *(stamp + 1 for stamp in packets.stamps[40:45])}))

    monkeypatch.setattr(video_module, "read_packets", with_holes)
    with refused("video-frames-undecodable", missing=3, frames=105):
        list(islice(read_frames(path), wanted + 5))
