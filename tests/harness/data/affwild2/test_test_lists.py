"""The organisers' test lists in every form they were seen in."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from harness.data.affwild2.test_lists import read_test_list
from harness.data.index.samples import TestList
from plugins.editions import abaw2, abaw10, abaw11
from tests.support.refusals import Part, Refusal, refused
from tests.support.trees import write_lines
from zoo.tracks import TrackSpec

VA, EXPR, AU, *_ = abaw10.EDITION.tracks
MTL, _ = abaw11.EDITION.tracks


def read(path: Path, text: str, track: TrackSpec = VA) -> TestList:
    path = path / "list.txt"
    path.write_bytes(text.encode())
    return read_test_list(path, track)


def rows(test_list: TestList) -> list[tuple[str, int]]:
    return [(test_list.videos[v], int(k)) for v, k in zip(test_list.row_video, test_list.row_frame, strict=True)]


@pytest.mark.parametrize(
    "text",
    [
        "image_location,valence,arousal\nb/00001.jpg,\nb/00002.jpg,\na_left/00001.jpg,\n",
        "image_location,valence,arousal\r\nb/00001.jpg,0.5,0.5\r\nb/00002.jpg,0,-1\r\na_left/00001.jpg,1,1\r\n\r\n",
        "\ufeffb/00001.jpg\nb/00002.jpg\na_left/00001.jpg",
        "# the list\n#\nimage_location,valence,arousal\nb/00001.jpg,\nb/00002.jpg,\na_left/00001.jpg,\n",
        "image\nb/00001.jpg,,\nb/00002.jpg , 0\n a_left/00001.jpg\n   \n",
        "Image_Location,Valence,Arousal\nb/1.jpg\nb/000002.jpeg,x\na_left/00001.png,",
    ],
)
def test_rows_keep_their_order(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    assert found.kind == "rows"
    assert found.videos == ("b", "a_left")
    assert rows(found) == [("b", 1), ("b", 2), ("a_left", 1)]
    assert found.row_video.dtype == found.row_frame.dtype == np.int32


def test_videos_may_come_back(tmp_path: Path) -> None:
    found = read(tmp_path, "image,valence,arousal,expression,aus\nv/00003.jpg,\nw/00001.jpg,\nv/00001.jpg,\n", MTL)
    assert found.videos == ("v", "w")
    assert rows(found) == [("v", 3), ("w", 1), ("v", 1)]


@pytest.mark.parametrize(
    ("track", "header"),
    [
        (EXPR, "image_location,Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"),
        (AU, "image_location,AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"),
        (MTL, "image,valence,arousal,expression,aus"),
    ],
)
def test_official_headers(tmp_path: Path, track: TrackSpec, header: str) -> None:
    assert rows(read(tmp_path, f"{header}\n2-30-640x360/00001.jpg,\n", track)) == [("2-30-640x360", 1)]
    if track is not MTL:
        with refused("list-header", got=Part("image_location,"), name="va"):
            read(tmp_path, f"{header}\n2-30-640x360/00001.jpg,\n", VA)


@pytest.mark.parametrize(
    "text",
    [
        "b\na_left\nvideo59\n",
        "b,\r\na_left,\r\nvideo59\r\n",
        "video\nb.mp4\na_left.txt\nvideo59.avi",
        "\ufeffvalence,arousal\nb\na_left\nvideo59\n\n",
        "Video ID\nb.gif\na_left.MOV\nvideo59.wav\n",
        "image_location\nb\na_left\nvideo59\n",
        "# test set\n # of 2026\nVideo-Name,\nb\n# the left person\na_left\nvideo59\n",
    ],
)
def test_names(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text, abaw2.EDITION.tracks[0])
    assert (found.kind, found.videos) == ("names", ("b", "a_left", "video59"))
    assert len(found.row_video) == len(found.row_frame) == 0


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", refused("list-empty")),
        ("\n\n", refused("list-empty")),
        ("videos\n", refused("list-names-nothing")),
        (
            "image\na/00001.jpg\na/00002.jpg\na/00001.jpg\n",
            refused("list-row-twice", line=4, got="a/00001.jpg", earlier=2),
        ),
        ("a/00001.jpg\na/1.jpg\n", refused("list-row-twice", line=2, got="a/1.jpg", earlier=1)),
        ("image\na/00001.jpg\na/00000.jpg\n", refused("list-frame-zero", line=3, got="a/00000.jpg")),
        ("image\na/00001.jpg\n\na/00002.jpg\n", refused("list-not-an-image", line=3)),
        ("image\na/00001.jpg\nb\n", refused("list-not-an-image", line=3, got="b")),
        ("a/00001.jpg\nx/a/00002.jpg\n", refused("list-not-an-image", line=2, got="x/a/00002.jpg")),
        ("a/00001.jpg\na/12345678.jpg\n", refused("list-not-an-image", line=2)),
        ("a\nb\na\n", refused("list-name-again", line=3, got="a", earlier=1)),
        ("a\n\nb\n", refused("list-not-a-name", line=2)),
        ("a\nb,0.5\n", refused("list-not-a-name", line=2, got="b,0.5")),
        ("image\texpr\na/00001.jpg\t0\n", refused("list-not-a-name", line=1)),
        ("a\\00001.jpg\n", refused("list-not-a-name", line=1)),
        ("# comments\n# only\n", refused("list-names-nothing")),
        ("a\nvideo\nvideo_id\nvideo\n", refused("list-name-again", line=4, got="video", earlier=2)),
        ("a\x1b[31m\nb\n", refused("list-name-unprintable", line=1, got=ascii("a\x1b[31m"))),
        ("a\nb\u202e\n", refused("list-name-unprintable", line=2)),
        ("# rows\nimage\na/00001.jpg\nb\u202e/00001.jpg\n", refused("list-name-unprintable", line=4)),
        ("a\nb\nc/00001.jpg\n", refused("list-not-a-name", line=3)),
    ],
)
def test_faulty_lists(tmp_path: Path, text: str, refusal: Refusal) -> None:
    with refusal as error:
        read(tmp_path, text)
    assert str(error.value).startswith(str(tmp_path / "list.txt"))
    assert "\n" not in str(error.value)


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    with refused("text-unreadable", file="none.txt"):
        read_test_list(tmp_path / "none.txt", VA)


@pytest.mark.slow
def test_the_largest_official_list_is_read_in_seconds(tmp_path: Path) -> None:
    videos = [f"{k}-30-1280x720" for k in range(228)]
    images = [f"{video}/{frame:05d}.jpg," for video in videos for frame in range(1, 4487)][:1_022_655]
    path = write_lines(tmp_path / "list.txt", EXPR.submission_header, *images)
    start = time.perf_counter()
    found = read_test_list(path, EXPR)
    assert time.perf_counter() - start < 15  # 0.7 to 2.6 s measured
    assert len(found.row_video) == 1_022_655
    assert list(found.videos) == videos
    assert found.row_frame[:4486].tolist() == list(range(1, 4487))
    assert np.bincount(found.row_video)[:3].tolist() == [4486] * 3
