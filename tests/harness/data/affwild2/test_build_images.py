"""The index of an Aff-Wild2 folder: lists of images, fingerprints, and the real videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.data.affwild2.build import build_index
from harness.data.index.index import Index
from plugins.editions import abaw10, abaw11
from tests.support.indexes import index_va, track, video
from tests.support.refusals import Part, Refusal, refused
from tests.support.trees import MTL_HEADER, small_va, write_crops, write_lines, write_video

NAN = float("nan")


# --- image lists -----------------------------------------------------------------------------------------------------


def mtl_row(image: str, valence: str = "0.5", arousal: str = "0.25", expression: str = "3", unit: str = "1") -> str:
    return ",".join([image, valence, arousal, expression, *[unit] * 12])


@pytest.fixture
def mtl(tmp_path: Path) -> Path:
    rows = [
        mtl_row("video45_1/00004.jpg"),
        mtl_row("9-30-640x360/00001.jpg", expression="-1"),
        mtl_row("video45_1/00002.jpg", valence="-5", unit="-1"),
    ]
    write_lines(tmp_path / "training_set_annotations.txt", MTL_HEADER, *rows)
    write_lines(tmp_path / "validation_set_annotations.txt", MTL_HEADER, mtl_row("video46/00001.jpg"))
    write_lines(tmp_path / "MTL_Challenge_test_set_release.txt", "image", "video47/00003.jpg", "video47/00001.jpg")
    for name in ("video45_1", "9-30-640x360", "video46", "video47"):
        write_crops(tmp_path / "cropped_aligned" / name, range(1, 9))
    return tmp_path


def index_mtl(root: Path) -> Index:
    return build_index(root, abaw11.EDITION, track(abaw11, "mtl"))


def test_image_lists_have_holes(mtl: Path) -> None:
    index = index_mtl(mtl)
    assert [(v.name, v.split, v.n_frames) for v in index.videos] == [
        ("video45_1", "train", 4),
        ("9-30-640x360", "train", 1),
        ("video46", "val", 1),
        ("video47", "test", 3),
    ]
    one = video(index, "video45_1")
    assert one.group == "video45"
    assert one.rows.tolist() == one.crop_frames.tolist() == [False, True, False, True]
    assert np.isnan(one.labels[[0, 2]]).all()
    np.testing.assert_array_equal(one.labels[1], np.float32([NAN, NAN, 3, *[NAN] * 12]))
    np.testing.assert_array_equal(one.labels[3], np.float32([0.5, 0.25, 3, *[1] * 12]))
    np.testing.assert_array_equal(video(index, "9-30-640x360").labels[0, :3], np.float32([0.5, 0.25, NAN]))
    assert video(index, "video47").rows.tolist() == [True, False, True]
    assert index.notes == ("no raw videos: the streams body, context and audio are absent",)
    index.check_length(one, 900)  # an image list may end anywhere before the video does
    with refused("annotation-length", found=Part("2 frames"), difference=2):
        index.check_length(one, 2)


def test_the_lists_of_edition_three(mtl: Path) -> None:
    (mtl / "MTL_Challenge").mkdir()
    (mtl / "training_set_annotations.txt").rename(mtl / "MTL_Challenge/train_set.txt")
    (mtl / "validation_set_annotations.txt").rename(mtl / "MTL_Challenge/validation_set.txt")
    index = index_mtl(mtl)
    assert index.variant == "MTL_Challenge"
    assert [v.name for v in index.split("val")] == ["video46"]


@pytest.mark.parametrize(
    ("row", "refusal"),
    [
        ("video1/00001.jpg,0.5,0.5,3,1", refused("annotation-field-count", line=2, wanted=16, found=Part("found 5"))),
        (mtl_row("video1"), refused("list-not-an-image", line=2, got="video1")),
        (mtl_row("video1/00000.jpg"), refused("list-frame-zero", line=2, got="video1/00000.jpg")),
        (
            mtl_row("video1/00001.jpg", expression="8"),
            refused("annotation-out-of-range", line=2, name="expression", part=8.0),
        ),
        (
            mtl_row("v/00001.jpg") + "\n" + mtl_row("v/00001.jpg"),
            refused("list-row-twice", line=3, got="v/00001.jpg", earlier=2),
        ),
        (
            mtl_row("v/00001.jpg") + "\n" + mtl_row("video45_1/00001.jpg"),
            refused("annotated-twice", line=Part("line 3"), name="video45_1"),
        ),
    ],
)
def test_faulty_image_lists(mtl: Path, row: str, refusal: Refusal) -> None:
    write_lines(mtl / "validation_set_annotations.txt", MTL_HEADER, row)
    with refusal as error:
        index_mtl(mtl)
    assert str(error.value).startswith(str(mtl / "validation_set_annotations.txt"))


def test_an_image_track_without_a_list_has_no_test_videos(mtl: Path) -> None:
    (mtl / "MTL_Challenge_test_set_release.txt").unlink()
    index = index_mtl(mtl)
    assert index.split("test") == []
    assert [note for note in index.notes if "no test videos" in note]


# --- fingerprint, real videos ----------------------------------------------------------------------------------------


def test_the_fingerprint_follows_labels_rows_and_splits(tmp_path: Path) -> None:
    root = small_va(tmp_path)
    before = index_va(root).fingerprint()
    assert index_va(root).fingerprint() == before
    write_video(root / "videos" / "video1.mp4", 5)
    assert index_va(root).fingerprint() == before
    label = root / "annotations/VA_Estimation_Challenge/Train_Set/video1.txt"
    text = label.read_text()
    label.write_text(text.replace("0.5,-0.25", "0.5,-0.26", 1))
    changed = index_va(root).fingerprint()
    label.write_text(text)
    label.rename(label.parent.parent / "Validation_Set" / label.name)
    moved = index_va(root).fingerprint()
    listed = write_lines(tmp_path / "mine.txt", "4/00001.jpg", "4/00003.jpg")
    assert len({before, changed, moved, index_va(root, test_list=listed).fingerprint()}) == 4


def test_the_real_videos(real: Path) -> None:
    index = build_index(real, abaw10.EDITION, track(abaw10, "expr"))
    assert [len(index.split(split)) for split in ("train", "val")] == [5, 3]
    assert "talking_face_unlabelled" in [v.name for v in index.split("test")]
    assert video(index, "01-01-03-01-01-02-05").labels[:, 0].tolist() == [4.0] * 97
    with refused(
        "annotations-none",
        message=Part("track va", "EXPR_Recognition_Challenge (track expr)"),
    ):
        index_va(real)
