"""The index of an Aff-Wild2 folder: pictures, test videos, groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data.affwild2.groups import group_of
from harness.data.index.picture_folders import crop_frames
from tests.support.indexes import index_va, video
from tests.support.refusals import Part, Refusal, refused
from tests.support.trees import EIGHT, small_va, write_crops, write_lines, write_va, write_video

NAN = float("nan")


def test_annotations_in_another_form_are_named(tmp_path: Path) -> None:
    split = small_va(tmp_path) / "annotations" / "VA_Estimation_Challenge" / "Train_Set"
    assert split.is_dir()
    (split / "video9.csv").write_text("valence,arousal\n0,0\n")
    (split / "video1.mp4").write_text("looks like a video, and is noted elsewhere")
    (note,) = [note for note in index_va(tmp_path).notes if "annotations are .txt files" in note]
    assert note.endswith("Train_Set/video9.csv")


# --- pictures --------------------------------------------------------------------------------------------------------


def test_crops_one_beyond_the_annotation_are_noted_and_not_used(tmp_path: Path) -> None:
    write_crops(small_va(tmp_path) / "cropped_aligned" / "video1", [6])
    index = index_va(tmp_path)
    assert video(index, "video1").crop_frames.tolist() == [True] * 5
    assert [note for note in index.notes if "crops of one video continue beyond" in note]


def test_crops_far_beyond_the_annotation(tmp_path: Path) -> None:
    write_crops(small_va(tmp_path) / "cropped_aligned" / "video1", [8])
    with refused("annotation-length", source="video1.txt", name="video1", n_frames=5, difference=3):
        index_va(tmp_path)
    assert video(index_va(tmp_path, frame_tolerance=3), "video1").n_frames == 5


@pytest.mark.parametrize(
    ("frames", "tolerance", "good"),
    [(5, 0, True), (6, 1, True), (4, 1, True), (7, 1, False), (3, 1, False), (3, 2, True)],
)
def test_check_length(tmp_path: Path, frames: int, tolerance: int, good: bool) -> None:
    index = index_va(small_va(tmp_path), frame_tolerance=tolerance)
    one = video(index, "video1")
    if good:
        index.check_length(one, frames)
    else:
        with refused("annotation-length", name="video1", n_frames=5, found=Part(f"{frames} frames"), difference=2):
            index.check_length(one, frames)


def test_empty_and_missing_crops(tmp_path: Path) -> None:
    small_va(tmp_path)
    for path in (tmp_path / "cropped_aligned" / "video1").iterdir():
        path.unlink()
    with refused("crops-empty", first="cropped_aligned/video1", name="video1"):
        index_va(tmp_path)
    write_video(tmp_path / "videos" / "video1.mp4", 5)
    assert video(index_va(tmp_path), "video1").crops is None
    (tmp_path / "videos" / "video1.mp4").unlink()
    (tmp_path / "cropped_aligned" / "video1").rmdir()
    assert "neither crops nor raw video: video1" in index_va(tmp_path).notes


def test_nothing_but_annotations(tmp_path: Path) -> None:
    write_va(tmp_path / "VA_Set", {"train": {"1": 4}, "val": {"2": 2}})
    with refused("data-no-media"):
        index_va(tmp_path)


def test_names_of_crops(tmp_path: Path) -> None:
    write_crops(tmp_path, [3, 1, 12345])
    assert crop_frames(tmp_path).tolist() == [1, 3, 12345]
    (tmp_path / "123456.jpg").touch()
    (tmp_path / "Thumbs.db").touch()
    (tmp_path / "._00002.jpg").touch()
    assert crop_frames(tmp_path).tolist() == [1, 3, 12345, 123456]


def test_pictures_beside_the_crops_are_not_used_and_that_is_noted(tmp_path: Path) -> None:
    root = small_va(tmp_path)
    folder = next(path for path in sorted((root / "cropped_aligned").iterdir()) if any(path.iterdir()))
    for name in ("cover.JPG", "frame_2.png"):
        (folder / name).touch()
    for _ in range(2):  # the second time from what is kept
        (note,) = [note for note in index_va(root).notes if "not frame numbers" in note]
        assert note.endswith(f"are not used: {folder / 'cover.JPG'} (2)")


def test_crops_of_kinds_that_are_not_read_are_noted(tmp_path: Path) -> None:
    root = small_va(tmp_path)
    folder = root / "cropped_aligned" / "video1"
    for name in ("00002.tif", "00004.tif"):
        (folder / name).touch()
    for _ in range(2):  # the second time from what is kept
        (note,) = [note for note in index_va(root).notes if "kinds that are not read" in note]
        assert note.endswith(f"are not used: {folder / '00002.tif'} (2)")


def test_crops_of_other_names(tmp_path: Path) -> None:
    (tmp_path / "frame1.jpg").touch()
    with refused("crop-name", file="frame1.jpg"):
        crop_frames(tmp_path)
    write_crops(tmp_path, [0, 1])
    with refused("crop-frame-zero"):
        crop_frames(tmp_path)


# --- test videos -----------------------------------------------------------------------------------------------------


def test_rows_of_the_official_list(tmp_path: Path) -> None:
    small_va(tmp_path)
    index = index_va(tmp_path)
    assert index.test_list is not None
    assert index.test_list.path.name == "CVPR_10th_ABAW_VA_test_set_example.txt"
    mine = write_lines(tmp_path / "mine.txt", "5_right/00003.jpg", "5_right/00001.jpg", "4/00002.jpg")
    with refused("test-list-videos-missing", test_list="mine.txt", some="5_right"):
        index_va(tmp_path, test_list=mine)
    write_crops(tmp_path / "cropped_aligned" / "5_right", [3])
    index = index_va(tmp_path, test_list=mine)
    first, second = index.split("test")
    assert (first.name, first.n_frames, first.rows.tolist()) == ("5_right", 3, [True, False, True])
    assert (second.name, second.rows.tolist(), second.crop_frames.tolist()) == ("4", [False, True], [True, True])
    assert index.absent == ()


def test_listed_videos_that_are_not_there_are_no_test_videos(tmp_path: Path) -> None:
    (small_va(tmp_path) / "CVPR_10th_ABAW_VA_test_set_example.txt").unlink()
    for name, lines in (
        ("Valence_Arousal_Estimation_Challenge_test_set_release.txt", ("8_left", "4", "nobody")),
        ("CVPR_10th_ABAW_VA_test_set_example.txt", ("8_left/00001.jpg", "4/00003.jpg", "nobody/00001.jpg")),
    ):
        listed = write_lines(tmp_path / name, *lines)
        index = index_va(tmp_path)
        assert [v.name for v in index.split("test")] == ["4"]
        assert index.absent == ("8_left", "nobody")
        with refused("test-list-videos-missing", test_list=listed, some="8_left, nobody"):
            index_va(tmp_path, test_list=listed)


def test_the_editions_own_list_is_chosen_among_several(tmp_path: Path) -> None:
    small_va(tmp_path)
    other = write_lines(tmp_path / "examples" / "CVPR_6th_ABAW_VA_test_set_example.txt", "9/00001.jpg")
    index = index_va(tmp_path)
    assert index.test_list is not None
    assert "10th" in index.test_list.path.name
    other.rename(tmp_path / "CVPR_8th_ABAW_VA_test_set_example.txt")
    (tmp_path / "CVPR_10th_ABAW_VA_test_set_example.txt").rename(tmp_path / "CVPR_6th_ABAW_VA_test_set_example.txt")
    with refused(
        "test-lists-ambiguous",
        name="va",
        names=Part("CVPR_6th_ABAW_VA_test_set_example.txt, CVPR_8th_ABAW_VA_test_set_example.txt"),
    ):
        index_va(tmp_path)


def test_a_list_of_names_takes_lengths_from_videos_or_crops(tmp_path: Path) -> None:
    (small_va(tmp_path) / "CVPR_10th_ABAW_VA_test_set_example.txt").unlink()
    names = tmp_path / "names" / "Valence_Arousal_Estimation_Challenge_test_set_release.txt"
    write_lines(names, "7_left", "4", "7_right")
    write_video(tmp_path / "videos" / "7.mp4", 9)
    index = index_va(tmp_path)
    assert [(v.name, v.n_frames, v.group) for v in index.split("test")] == [
        ("7_left", 9, "7"),
        ("4", 3, "4"),
        ("7_right", 9, "7"),
    ]


def test_a_test_video_that_is_annotated(tmp_path: Path) -> None:
    mine = write_lines(small_va(tmp_path) / "mine.txt", "4/00001.jpg", "video1/00001.jpg")
    with refused(
        "test-video-annotated",
        path="mine.txt",
        name="video1",
        part="annotations/VA_Estimation_Challenge/Train_Set/video1.txt",
    ):
        index_va(tmp_path, test_list=mine)


def test_videos_without_annotation_are_test_videos_if_no_other_track_is_annotated(tmp_path: Path) -> None:
    (small_va(tmp_path) / "CVPR_10th_ABAW_VA_test_set_example.txt").unlink()
    write_video(tmp_path / "videos" / "new.mp4", 7)
    write_video(tmp_path / "videos" / "video1.mp4", 5)
    write_crops(tmp_path / "cropped_aligned" / "video1_right", [1, 2])
    index = index_va(tmp_path)
    assert [(v.name, v.n_frames, v.rows.all()) for v in index.split("test")] == [("4", 3, True), ("new", 7, True)]
    assert index.test_list is None
    assert [note for note in index.notes if "4, new" in note and "not an official row set" in note]
    assert [note for note in index.notes if "video1_right" in note]  # shows people of a training video
    write_lines(tmp_path / "annotations/EXPR_Recognition_Challenge/Train_Set/new.txt", EIGHT, "1")
    index = index_va(tmp_path)
    assert index.split("test") == []
    assert [note for note in index.notes if "EXPR_Recognition_Challenge" in note]


def test_groups_of_the_table_keep_kin_out_of_the_test(tmp_path: Path) -> None:
    (small_va(tmp_path) / "CVPR_10th_ABAW_VA_test_set_example.txt").unlink()
    write_lines(tmp_path / "groups.csv", "video,group", "4,anna", "video1,anna")
    index = index_va(tmp_path)
    assert index.split("test") == []
    assert video(index, "video1").group == "anna"


# --- groups ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("10-60-1280x720", "10-60-1280x720"),
        ("10-60-1280x720_right", "10-60-1280x720"),
        ("video59", "video59"),
        ("video59_right", "video59"),
        ("video2_left", "video2"),
        ("video12", "video12"),
        ("video45_1", "video45"),
        ("video45_7", "video45"),
        ("video10_1_left", "video10"),
        ("5-60-1920x1080-3", "5-60-1920x1080-3"),
        ("127", "127"),
        ("01-01-06-02-01-01-05", "01-01-06-02-01-01-05"),
        ("subject_01", "subject_01"),
    ],
)
def test_groups(name: str, group: str) -> None:
    assert group_of(name) == group


def test_the_table_of_groups_goes_first() -> None:
    table = {"video45": "x", "a_left": "y", "a": "z"}
    assert [group_of(name, table) for name in ("video45_1", "video45_left", "a_left", "a_right")] == [
        "video45",
        "x",
        "y",
        "z",
    ]


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        ("a", refused("groups-field-count")),
        ("a,\n", refused("groups-field-count")),
        ("a,x\na,y", refused("groups-two-groups", first="a")),
    ],
)
def test_faulty_tables_of_groups(tmp_path: Path, line: str, refusal: Refusal) -> None:
    write_lines(small_va(tmp_path) / "groups.csv", "video,group", line)
    with refusal:
        index_va(tmp_path)
