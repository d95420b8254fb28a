"""Several people, and inputs of all kinds: sound without people, single pictures, damaged files."""

from __future__ import annotations

import os
import shutil
import wave
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from harness.data.decoding.pictures import read_picture
from harness.predicting.inputs import find_inputs, split_run
from harness.predicting.media import open_input
from harness.predicting.models import RunModel
from harness.predicting.one_pass import predict_media
from tests.support.media import write_click_video
from tests.support.program import Program
from tests.support.refusals import Part, refused
from zoo.api import DetectorSpec, Faces

RUN = ("--track", "expr", "--encoders", "face", "--epochs", 1, "--head", "gru")
HEARD = ("--track", "expr", "--encoders", "frame,audio", "--fusion", "late", "--epochs", 1, "--head", "gru")


class Two:
    """A face on the left and one of the same size on the right, in every frame."""

    def detect(self, frame: np.ndarray) -> Faces:
        boxes = np.array([(5, 10, 35, 50), (55, 10, 85, 50)], np.float32)
        marks = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
        points = boxes[:, None, :2] + marks * (boxes[:, None, 2:] - boxes[:, None, :2])
        return Faces(boxes, np.full(2, 0.9, np.float32), points)


@pytest.fixture
def model(program: Program, monkeypatch: pytest.MonkeyPatch) -> RunModel:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    found = RunModel(program.kept(*RUN))
    monkeypatch.setattr(found, "detector", DetectorSpec("two", Two, "two people"))
    return found


def write_voice(path: Path, samples: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((np.sin(np.arange(samples) / 9) * 9_000).astype("<i2").tobytes())


@pytest.mark.parametrize("frames", [1, 2, 30])
def test_everybody_is_predicted_as_the_left_and_the_right_one(model: RunModel, tmp_path: Path, frames: int) -> None:
    paths = [tmp_path / f"v{end}.mp4" for end in ("", "_left", "_right")]
    write_click_video(paths[0], n_frames=frames, click_frame=None)
    for path in paths[1:]:
        shutil.copy(paths[0], path)
    everybody = predict_media(open_input(paths[0], "video"), model, everybody=True)
    assert [person.number for person in everybody.people] == [1, 2]
    sides = [predict_media(open_input(path, "video"), model).people[0] for path in paths[1:]]
    for person, side in zip(everybody.people, sides, strict=True):
        np.testing.assert_array_equal(person.face, side.face)
        np.testing.assert_array_equal(person.predictions.values["expression"], side.predictions.values["expression"])
    left, right = (side.predictions.values["expression"] for side in sides)
    assert not np.array_equal(left, right)


class One:
    """A face in the left half of every frame."""

    def detect(self, frame: np.ndarray) -> Faces:
        both = Two().detect(frame)
        return Faces(both.boxes[:1], both.scores[:1], both.landmarks[:1])


def test_the_only_person_of_a_file_is_meant_whatever_its_name(model: RunModel, tmp_path: Path) -> None:
    """``cam_right.mp4`` is a file of somebody's camera; only two people are told apart by such a name."""
    model.detector = DetectorSpec("one", One, "one person")
    paths = [tmp_path / f"cam{end}.mp4" for end in ("", "_left", "_right")]
    write_click_video(paths[0], n_frames=10, click_frame=None)
    for path in paths[1:]:
        shutil.copy(paths[0], path)
    first, *others = (predict_media(open_input(path, "video"), model).people[0] for path in paths)
    assert np.isfinite(first.face).all()
    for person in others:
        np.testing.assert_array_equal(person.face, first.face)


def test_a_file_that_is_named_twice_is_predicted_once(tmp_path: Path) -> None:
    write_click_video(tmp_path / "a.mp4", n_frames=6, click_frame=None)
    (tmp_path / "link.mp4").symlink_to("a.mp4")
    found = find_inputs([tmp_path / "a.mp4", tmp_path / "a.mp4", tmp_path, Path("0"), Path("0")])
    assert [file.path.name for file in found.files] == ["a.mp4", "link.mp4"]
    assert (found.cameras, found.problems) == ([0], [])
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a.mp4", tmp_path / "b")
    (problem,) = find_inputs([tmp_path / "a.mp4", tmp_path / "b" / "a.mp4"]).problems
    assert problem.code == "predict-same-name"


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff"])
def test_of_several_pictures_the_first_is_read_and_a_warning_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    pictures = [Image.fromarray(np.full((16, 24, 3), 60 * k, np.uint8)) for k in range(1, 4)]
    path = tmp_path / f"p{suffix}"
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], **({"lossless": True} if suffix == ".webp" else {})
    )
    ((read,),) = open_input(path, "still image").pictures([None])
    assert np.abs(read.astype(int) - 60).max() < 4
    assert "3 pictures" in caplog.text
    caplog.clear()
    pictures[0].save(path)
    open_input(path, "still image")
    assert caplog.text == ""


def test_everybody_in_a_picture(model: RunModel, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "p.png"), np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8))
    people = predict_media(open_input(tmp_path / "p.png", "still image"), model, everybody=True).people
    assert len(people) == 2
    assert [person.face.shape for person in people] == [(1, 4)] * 2


def test_sound_has_no_people(program: Program, tmp_path: Path) -> None:
    for name in ("t.wav", "t_left.wav", "t_right.wav"):
        write_voice(tmp_path / name, 8_000)
    write_click_video(tmp_path / "a.mp4", n_frames=6, click_frame=None)
    for who in ("main", "all"):
        answer = program("predict", tmp_path, "--model", program.kept(*HEARD), "--out", tmp_path / who, "--people", who)
        assert answer.code == 0, answer.err
        texts = [(tmp_path / who / f"{name}.csv").read_text() for name in ("t", "t_left", "t_right")]
        assert len({text.replace("t_left", "t").replace("t_right", "t") for text in texts}) == 1
        assert len(texts[0].splitlines()) == 16


@pytest.mark.parametrize("suffix", [".gif", ".tiff", ".tif", ".bmp", ".ppm", ".tga", ".png", ".webp"])
def test_pictures_of_all_kinds(tmp_path: Path, suffix: str) -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, 30:] = (250, 10, 20)
    path = tmp_path / f"p{suffix}"
    Image.fromarray(picture).save(path, **({"lossless": True} if suffix == ".webp" else {}))
    (file,) = find_inputs([path]).files
    ((read,),) = open_input(file.path, file.kind).pictures([None])
    assert np.abs(read.astype(int) - picture).max() <= 8  # GIF has a palette
    path.write_bytes(path.read_bytes()[: 12 if suffix == ".tga" else 40])
    with refused("image-unreadable", file=path):
        open_input(path, "still image")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".tiff", ".png", ".jpg"])
def test_pictures_are_turned_as_they_say(tmp_path: Path, suffix: str, orientation: int) -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"p{suffix}"
    Image.fromarray(picture).save(path, exif=exif, **({"quality": 95} if suffix == ".jpg" else {}))
    with Image.open(path) as file:
        wanted = np.asarray(ImageOps.exif_transpose(file))
    read = read_picture(path)
    assert read.shape == wanted.shape
    assert np.abs(read.astype(int) - wanted).mean() < 4


def plane(size: tuple[int, int] = (96, 64)) -> Image.Image:
    """A picture of smooth colours, without a black row."""
    image = Image.new("RGB", size)
    image.putdata([(60 + x, 40 + 2 * y, 200 - x) for y in range(size[1]) for x in range(size[0])])
    return image


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".tif", {"compression": "tiff_lzw"}),
        (".tif", {"compression": "tiff_adobe_deflate"}),
        (".gif", {}),
        (".pcx", {}),
    ],
)
def test_a_damaged_picture_is_refused(tmp_path: Path, suffix: str, options: dict) -> None:
    """FFmpeg and OpenCV leave the rows after the damage black, without an error."""
    path = tmp_path / f"p{suffix}"
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8))
    (plane() if suffix == ".pcx" else noise).save(path, **options)  # a damaged PCX is short only if it had runs
    assert read_picture(path).shape == (64, 96, 3)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(byte ^ 0x5A for byte in content[middle : middle + 40])
    path.write_bytes(content)
    with refused("image-unreadable", file=path):
        read_picture(path)


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        ({"compression": "jpeg", "quality": 95}, 12),
        ({"compression": "zstd"}, 0),
        ({"big_tiff": True}, 0),
    ],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_tiff_of_all_forms(tmp_path: Path, orientation: int, options: dict, tolerance: int) -> None:
    path = tmp_path / "p.tif"
    exif = Image.Exif()
    exif[0x0112] = orientation
    plane().save(path, exif=exif, **options)
    wanted = np.asarray(plane().rotate(-90 * (orientation == 6), expand=True)).astype(int)
    read = read_picture(path)
    assert read.shape == wanted.shape
    assert np.abs(read - wanted).max() <= tolerance


@pytest.mark.parametrize("kind", ["transparent", "animated"])
def test_avif_of_several_streams(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "p.avif"
    if kind == "transparent":
        whole = plane()
        whole.putalpha(200)
        whole.save(path, quality=95)
    else:
        plane().save(path, quality=95, save_all=True, append_images=[plane().rotate(180)])
    assert np.abs(read_picture(path).astype(int) - np.asarray(plane())).mean() < 4


def test_a_picture_in_tiles_is_refused(tmp_path: Path) -> None:
    """FFmpeg gives each tile of a phone's HEIC as a stream; the first one would be a corner of the photo."""
    path = tmp_path / "p.heic"
    with av.open(str(path), "w", format="mp4") as file:
        tiles = [file.add_stream("mpeg4", rate=1, width=64, height=64, pix_fmt="yuv420p") for _ in range(4)]
        for tile in tiles:
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
            frame.pts, frame.time_base = 0, Fraction(1)
            file.mux([*tile.encode(frame), *tile.encode(None)])
    with refused("image-unreadable", file=path, reason=Part("tiles")):
        read_picture(path)


def test_a_video_that_is_named_a_picture(tmp_path: Path) -> None:
    write_click_video(tmp_path / "a.mp4", n_frames=6, click_frame=None)
    (tmp_path / "a.mp4").rename(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_text("words")
    for name in ("a.jpg", "b.jpg"):
        with refused("image-unreadable", file=tmp_path / name):
            open_input(tmp_path / name, "still image")


def test_short_and_cut_sound(tmp_path: Path) -> None:
    write_voice(tmp_path / "short.wav", 100)
    with refused("predict-sound-short", file=tmp_path / "short.wav", seconds=100 / 16_000):
        open_input(tmp_path / "short.wav", "sound")
    write_voice(tmp_path / "none.wav", 0)
    with refused("predict-no-sound", file=tmp_path / "none.wav"):
        open_input(tmp_path / "none.wav", "sound")
    path = tmp_path / "cut.wav"
    write_voice(path, 48_000)
    whole = path.read_bytes()
    path.write_bytes(whole[:1_001])
    with refused("sound-cut-short", file=path, missing=(len(whole) - 1_001) / 32_000):
        open_input(path, "sound")
    path.write_bytes(whole[:4] + b"\xff\xff\xff\xff" + whole[8:40] + b"\xff\xff\xff\xff" + whole[44:])
    assert open_input(path, "sound").info.n_frames == 90  # a recorder that did not know the length


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with refused("predict-not-readable", file=tmp_path / "pipe.mp4", kind="a pipe or a device"):
        raise find_inputs([tmp_path / "pipe.mp4"]).problems[0]
    for number in ("99999999999999999999", "9" * 5_000, "٣"):
        with refused("predict-camera", number=number):
            raise find_inputs([Path(number)]).problems[0]
    long = tmp_path / ("x" * 300 + ".mp4")
    with refused("predict-not-readable"):
        raise find_inputs([long]).problems[0]
    assert split_run([long]) == ([long], None)


def test_an_input_that_cannot_be_opened_stops_no_other(program: Program, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("broken.wav", "broken.mp4", "broken.png"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "gone")
    (tmp_path / "in" / "rest").mkdir()
    write_voice(tmp_path / "in" / "rest" / "good.wav", 16_000)
    answer = program("predict", tmp_path / "in", "--model", program.kept(*HEARD), "--out", tmp_path / "out")
    assert answer.code == 2, answer
    assert (tmp_path / "out" / "good.csv").is_file()
    assert answer.err.count("error: ") <= 1


def test_cameras_and_files_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "camera-0.mp4"
    path.write_bytes(b"")
    found = find_inputs([Path("0"), Path("0"), path])
    assert (found.cameras, found.files) == ([0], [])
    assert [problem.code for problem in found.problems] == ["predict-same-name"]


def test_the_end_of_a_cut_transport_stream_is_missed(tmp_path: Path) -> None:
    write_click_video(tmp_path / "a.ts", n_frames=40, click_frame=None)
    whole = (tmp_path / "a.ts").read_bytes()
    assert not open_input(tmp_path / "a.ts", "video").info.notes
    cut = tmp_path / "cut.ts"
    cut.write_bytes(whole[: len(whole) * 6 // 10 // 188 * 188 + 75])
    assert any("its end is missing" in note for note in open_input(cut, "video").info.notes)


def test_the_end_of_cut_sound_is_missed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.ogg"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        noise = np.random.default_rng(0).normal(0, 3000, (1, 960 * 100)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(noise, "s16", "mono")
        frame.sample_rate, frame.pts = 48_000, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    open_input(path, "sound")
    assert caplog.text == ""
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    open_input(path, "sound")
    assert str(path) in caplog.text
    assert "no end mark" in caplog.text
