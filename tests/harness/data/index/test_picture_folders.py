"""Folders of pictures: the frame is the number, however it is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.affwild2.cached_files import Files
from harness.data.decoding.containers import kind_by_name
from harness.data.decoding.jpeg import read_jpeg
from harness.data.index.picture_folders import crop_frames, picture_folder, pictures_digest
from harness.data.preprocessing.pack_build import make_pack
from harness.data.preprocessing.pack_plan import Settings, plan
from harness.data.streams.readers import FaceReader
from harness.io.hashing import crops_digest
from plugins.editions import abaw10
from tests.support.refusals import Part, refused
from zoo.corpora import list_pictures
from zoo.readers import Source

ENDINGS = (".jpg", ".JPG", ".Jpeg", ".jfif", ".png", ".PNG", ".bmp", ".webp")
NAMED = st.dictionaries(st.integers(1, 123_456), st.tuples(st.integers(0, 9), st.sampled_from(ENDINGS)), max_size=20)


@settings(max_examples=60)
@given(NAMED)
def test_any_padding_ending_and_case(tmp_path_factory: pytest.TempPathFactory, named: dict) -> None:
    folder = tmp_path_factory.mktemp("crops")
    files = {frame: f"{frame:0{width}d}{ending}" for frame, (width, ending) in named.items()}
    for name in (*files.values(), "Thumbs.db", "._00001.jpg"):
        (folder / name).touch()
    found = picture_folder(folder)
    assert found.frames.tolist() == sorted(files)
    assert {frame: found.path(frame) for frame in files} == {f: f"{folder}/{name}" for f, name in files.items()}


@pytest.mark.parametrize("others", [("1.jpg",), ("000001.jpg",), ("00001.JPG",), ("00001.png",), ("01.webp", "2.jpg")])
def test_two_files_for_one_frame_are_an_error(tmp_path: Path, others: tuple[str, ...]) -> None:
    for name in ("00001.jpg", *others):
        (tmp_path / name).touch()
    with refused("crop-frame-twice", folder=tmp_path, frame=1):
        picture_folder(tmp_path)


def test_only_files_are_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    folder, away = tmp_path / "data" / "cropped_aligned" / "one", tmp_path / "away.jpg"
    (folder / "00002.jpg").mkdir(parents=True)
    os.mkfifo(folder / "00003.jpg")
    for frame, target in ((4, away), (5, tmp_path / "gone.jpg"), (6, "00006.jpg")):
        (folder / f"{frame:05d}.jpg").symlink_to(target)
    for path in (away, folder / "00001.jpg"):
        path.touch()
    monkeypatch.setattr("zoo.files.TICK", -(10**9))  # files count as old enough to be taken by their times
    assert crop_frames(folder).tolist() == [1, 4]
    for frames in ([1, 4], [1, 4, 5]):  # the folder does not change as the target of its link comes back
        files = Files(tmp_path / "data", abaw10.EDITION.tracks[0])
        assert files.crop_frames(folder).tolist() == frames
        assert files.absent_pictures[folder] == f"{folder / '00002.jpg'} ({6 - len(frames)})"
        files.save()
        (tmp_path / "gone.jpg").touch()


def test_numbers_that_are_dates_are_no_frames(tmp_path: Path) -> None:
    (tmp_path / "20260101123456.jpg").touch()
    with refused("crop-name", file=tmp_path / "20260101123456.jpg"):
        crop_frames(tmp_path)


def test_what_was_read_before_keeps_its_digest_and_all_else_has_another(tmp_path: Path) -> None:
    for name in ("00001.jpg", "00002.jpg", "Thumbs.db"):
        (tmp_path / name).write_text(name)
    assert pictures_digest(tmp_path) == crops_digest(tmp_path)
    (tmp_path / "3.jpg").write_text("now a frame")
    assert pictures_digest(tmp_path) != crops_digest(tmp_path)


def test_reader_and_pack_take_a_mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data" / "cropped_aligned" / "one"
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 255, (5, 9, 9, 3), np.uint8)
    images = [cv2.resize(image, (112, 112)) for image in images]
    for name, image in zip(("1.png", "0002.JPG", "000003.jpeg", "00004.bmp", "6.PNG"), images, strict=True):
        (folder / name).write_bytes(cv2.imencode(Path(name).suffix, image[..., ::-1])[1].tobytes())
    made = make_pack(plan(tmp_path / "data"), Settings(tmp_path / "data", tmp_path / "pack"), jobs=1, progress=False)
    assert [one.outcome for one in made] == ["packed"]
    bare = FaceReader(Source("one", tmp_path, 7, lambda: np.zeros(7), crops=folder))
    packed = FaceReader(Source("one", tmp_path, 7, lambda: np.zeros(7), crops=folder, pack=tmp_path / "pack"))
    assert packed.packed is not None
    for reader in (bare, packed):
        assert reader.present().tolist() == [True, True, True, True, False, True, False]
        np.testing.assert_array_equal(reader.image(0, None, 112), images[0])
        np.testing.assert_array_equal(reader.image(5, None, 112), images[4])
    for frame in range(4):
        np.testing.assert_array_equal(bare.image(frame, None, 48), packed.image(frame, None, 48))
    before = bare.fingerprint()
    shutil.copy(folder / "1.png", folder / "7.png")
    assert FaceReader(Source("one", tmp_path, 7, lambda: np.zeros(7), crops=folder)).fingerprint() != before


def test_jfif_is_jpeg_everywhere(tmp_path: Path) -> None:
    (tmp_path / "00001.jfif").write_bytes(cv2.imencode(".jpg", np.zeros((9, 9, 3), np.uint8))[1].tobytes())
    assert read_jpeg(picture_folder(tmp_path).path(1)).shape == (9, 9, 3)
    assert crops_digest(tmp_path) != crops_digest(tmp_path.parent)
    assert kind_by_name("a.JFIF") == "still image"
    assert list_pictures(tmp_path).tolist() == [b"00001.jfif"]


def test_numbered_pictures_of_other_kinds(tmp_path: Path) -> None:
    for name in ("00001.jpg", "2.TIF", "00003.gif", "4.jp2", "cover.tif", "Thumbs.db"):
        (tmp_path / name).touch()
    found = picture_folder(tmp_path)
    assert (found.frames.tolist(), found.others) == ([1], ())
    assert found.unread == ("00003.gif", "2.TIF", "4.jp2")
    (tmp_path / "00001.jpg").unlink()
    with refused("crop-kind", folder=tmp_path, kinds=".gif, .jp2, .tif", known=Part(".jpg, .jpeg")):
        picture_folder(tmp_path)


@pytest.mark.parametrize("ending", [".png", ".bmp", ".webp"])
def test_a_picture_that_is_cut_short_is_an_error(tmp_path: Path, ending: str) -> None:
    image = cv2.resize(np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8), (112, 112))
    data = cv2.imencode(ending, image)[1].tobytes()
    path = tmp_path / f"00001{ending}"
    path.write_bytes(data)
    assert read_jpeg(path).shape == (112, 112, 3)
    for length in (len(data) // 3, len(data) - 9):
        path.write_bytes(data[:length])
        with refused("jpeg-damaged", file=path, count=length):
            read_jpeg(path)


@pytest.mark.parametrize("kind", ["a folder", "a link to a missing file"])
def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "00001.jpg"
    path.mkdir() if kind == "a folder" else path.symlink_to("nowhere")
    with refused("file-unreadable", file=path):
        pictures_digest(tmp_path)
