"""The index of an Aff-Wild2 folder: every folder variant, every mask, and an error for everything that is wrong."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trees import EIGHT, MTL_HEADER, SEVEN, UNITS, VA_HEADER, small_va, write_crops, write_lines, write_va, write_video

from harness.data.affwild2 import Index, Video, build_index
from harness.data.annotations import read_frame_labels
from harness.data.groups import group_of
from harness.data.layout import crop_frames
from plugins.editions import abaw2, abaw10, abaw11
from zoo.errors import UserError
from zoo.tracks import TrackSpec

NAN = float("nan")


def track(edition: ModuleType, name: str) -> TrackSpec:
    return next(track for track in edition.EDITION.tracks if track.name == name)


def index_va(root: Path, **options: object) -> Index:
    return build_index(root, abaw10.EDITION, track(abaw10, "va"), **options)  # type: ignore[arg-type]


def video(index: Index, name: str) -> Video:
    (found,) = [video for video in index.videos if video.name == name]
    return found


# --- labels ----------------------------------------------------------------------------------------------------------


def test_a_small_folder(tmp_path: Path) -> None:
    index = index_va(small_va(tmp_path))
    assert [(v.name, v.split, v.n_frames) for v in index.videos] == [
        ("2-30-640x360", "train", 4),
        ("video1", "train", 5),
        ("3", "val", 6),
        ("4", "test", 3),
    ]
    assert index.variant == "annotations/VA_Estimation_Challenge"
    assert [v.name for v in index.split("train")] == ["2-30-640x360", "video1"]
    one = video(index, "video1")
    np.testing.assert_array_equal(one.labels, np.tile(np.float32([0.5, -0.25]), (5, 1)))
    assert one.labels.dtype == np.float32
    assert one.rows.all()
    assert one.crop_frames.all()
    assert one.crops == tmp_path / "cropped_aligned" / "video1"
    assert one.video is None
    assert np.isnan(video(index, "4").labels).all()


def test_va_is_unlabelled_where_either_value_is_minus_five(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.txt", VA_HEADER, "0.1,0.2", "-5,0.3", "0.4,-5", "-5,-5.0", "-1,1")
    expected = [[0.1, 0.2], [NAN, NAN], [NAN, NAN], [NAN, NAN], [-1, 1]]
    np.testing.assert_array_equal(read_frame_labels(path, track(abaw10, "va")), np.float32(expected))


def test_expressions_and_units(tmp_path: Path) -> None:
    expr = write_lines(tmp_path / "e.txt", EIGHT, "0", "-1", "7")
    np.testing.assert_array_equal(read_frame_labels(expr, track(abaw10, "expr")), np.float32([[0], [NAN], [7]]))
    units = write_lines(tmp_path / "u.txt", UNITS, "1,-1," + ",".join("0" * 10), ",".join(["-1"] * 12))
    labels = read_frame_labels(units, track(abaw10, "au"))
    np.testing.assert_array_equal(labels[0], np.float32([1, NAN, *[0] * 10]))
    assert np.isnan(labels[1]).all()


FIELD = st.sampled_from(["-5", "-5.0", "0", "1", "-1", "0.125", "1e-3", "-.5"])


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(FIELD, FIELD), min_size=1),
    comma=st.sampled_from([",", ", "]),
    end=st.sampled_from(["", "\n", "\r\n", "\n\n\n", "  \n"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_labels_are_what_a_plain_reader_reads(
    tmp_path: Path, rows: list[tuple[str, str]], comma: str, end: str, newline: str, mark: str
) -> None:
    path = tmp_path / "a.txt"
    text = newline.join([VA_HEADER, *(comma.join(row) for row in rows)]) + end
    path.write_bytes((mark + text).encode())
    lines = io.StringIO(text.split(newline, 1)[1])
    plain = np.float32([[float(field) for field in row] for row in csv.reader(lines) if any(f.strip() for f in row)])
    plain[(plain == -5).any(axis=1)] = NAN
    np.testing.assert_array_equal(read_frame_labels(path, track(abaw10, "va")), plain)


GOOD = ["0.5,0.5"] * 3


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "the annotation file is empty"),
        ([VA_HEADER], "no line after the header"),
        (["arousal,valence", *GOOD], r"line 1: found the header 'arousal,valence', expected 'valence,arousal'"),
        (GOOD, "line 1: found the header '0.5,0.5'"),
        ([VA_HEADER, *GOOD, "0.5"], "line 5: expected 2 fields, found 1: '0.5'"),
        ([VA_HEADER, "0.5,0.5,0.5", *GOOD], "line 2: expected 2 fields, found 3"),
        ([VA_HEADER, *GOOD, "", *GOOD], "line 5: expected 2 fields, found 0"),
        ([VA_HEADER, *GOOD, "0.5,x"], "line 5: arousal is 'x', expected a number"),
        ([VA_HEADER, *GOOD, ",0.5"], "line 5: valence is '', expected a number"),
        ([VA_HEADER, *GOOD, "nan,0.5"], "line 5: valence is nan, expected a number from -1 to 1"),
        ([VA_HEADER, *GOOD, "0.5,1.01"], "line 5: arousal is 1.01, expected a number from -1 to 1, or -5"),
        ([VA_HEADER, '"0.5",0.5', *GOOD], "line 2: valence is '\"0.5\"', expected a number"),
    ],
)
def test_faulty_va_lines(tmp_path: Path, lines: list[str], message: str) -> None:
    small_va(tmp_path)
    path = tmp_path / "annotations/VA_Estimation_Challenge/Validation_Set/3.txt"
    path.write_text("\n".join(lines))
    with pytest.raises(UserError, match=message) as error:
        index_va(tmp_path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("track", "lines", "message"),
    [
        (track(abaw10, "expr"), [EIGHT, "7", "8"], "line 3: expression is 8, expected a class from 0 to 7, or -1"),
        (track(abaw2, "expr"), [SEVEN, "6", "7"], "line 3: expression is 7, expected a class from 0 to 6, or -1"),
        (track(abaw10, "expr"), [EIGHT, "1.5"], "line 2: expression is 1.5"),
        (track(abaw10, "expr"), [EIGHT, "-2"], "line 2: expression is -2"),
        (track(abaw10, "expr"), [EIGHT, "3", "", "3"], "line 3: expected 1 fields, found 0"),
        (track(abaw10, "expr"), [SEVEN, "3"], "line 1: found the header 'Neutral,"),
        (track(abaw10, "au"), [UNITS, ",".join(["0"] * 11)], "line 2: expected 12 fields, found 11"),
        (track(abaw10, "au"), [UNITS, ",".join(["0"] * 11 + ["2"])], "line 2: AU26 is 2, expected 0 or 1"),
    ],
)
def test_faulty_classes(tmp_path: Path, track, lines: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_frame_labels(write_lines(tmp_path / "a.txt", *lines), track)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"valence,arousal\n\xff\xfe,1\n")
    with pytest.raises(UserError, match=r"no text file \(byte 16"):
        read_frame_labels(tmp_path / "a.txt", track(abaw10, "va"))


# --- folders ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where",
    [
        "annotations/VA_Set",
        "VA_Set",
        "Third ABAW Annotations/VA_Estimation_Challenge",
        "6th_ABAW_Annotations/VA_Estimation_Challenge",
        "annotations/8th_ABAW_Annotations/va_estimation_challenge",
        "Aff-Wild2/annotations/6th_ABAW_Annotations/VA_Estimation_Challenge",
    ],
)
def test_annotation_folders(tmp_path: Path, where: str) -> None:
    write_va(tmp_path / where, {"train": {"1": 2}, "val": {"2": 2}})
    write_crops(tmp_path / "cropped_aligned" / "1", [1])
    assert index_va(tmp_path).variant == where


@pytest.mark.parametrize(
    "where",
    [
        "cropped_aligned",
        "cropped_aligned/batch1",
        "cropped_aligned/cropped_aligned",
        "batch2/cropped_aligned",
        "cropped_aligned_new_50_vids",
        "cropped_aligned_new_50_vids/cropped_aligned_new_50_vids",
    ],
)
def test_crop_folders(tmp_path: Path, where: str) -> None:
    write_va(tmp_path / "VA_Set", {"train": {"1": 4}, "val": {"2": 2}})
    write_crops(tmp_path / where / "1", [1, 2, 4])
    write_crops(tmp_path / "cropped" / "1", [3])
    one = video(index_va(tmp_path), "1")
    assert one.crops == tmp_path / where / "1"
    assert one.crop_frames.tolist() == [True, True, False, True]
    assert video(index_va(tmp_path, crops="cropped"), "1").crop_frames.tolist() == [False, False, True, False]


@pytest.mark.parametrize("where", ["raw_video", "batch1", "videos/batch2", "Test_Set", "videos/Train_Set"])
@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".MOV", ".webm"])
def test_raw_videos(tmp_path: Path, where: str, suffix: str) -> None:
    write_va(tmp_path / "VA_Set", {"train": {"1": 2}, "val": {"2": 2}})
    (tmp_path / where).mkdir(parents=True)
    raw = tmp_path / where / f"1{suffix}"
    raw.touch()
    assert video(index_va(tmp_path), "1").video == raw


def test_raw_videos_of_two_people_and_of_special_names(tmp_path: Path) -> None:
    names = [
        "6-30-1920x1080_left",
        "6-30-1920x1080_right",
        "10-60-1280x720",
        "10-60-1280x720_right",
        "video2_left",
        "video5_left",
    ]
    write_va(tmp_path / "VA_Set", {"train": dict.fromkeys(names, 2), "val": {"2": 2}})
    (tmp_path / "videos").mkdir()
    for stem in ("6-30-1920x1080", "10-60-1280x720", "video2", "video5", "video5_left"):
        (tmp_path / "videos" / f"{stem}.mp4").touch()
    index = index_va(tmp_path)
    assert {v.name: v.video.stem for v in index.split("train") if v.video} == {
        "6-30-1920x1080_left": "6-30-1920x1080",
        "6-30-1920x1080_right": "6-30-1920x1080",
        "10-60-1280x720": "10-60-1280x720",
        "10-60-1280x720_right": "10-60-1280x720",
        "video2_left": "video2",
        "video5_left": "video5_left",  # a file of that very name
    }
    assert any("cropped_aligned" in note and "face" in note for note in index.notes)


def test_the_raw_video_nearest_to_the_root_is_used_and_named(tmp_path: Path) -> None:
    write_va(tmp_path / "VA_Set", {"train": {"1": 2}, "val": {"2": 2}})
    for folder in ("a/b", "videos"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.mp4").touch()
    index = index_va(tmp_path)
    assert video(index, "1").video == tmp_path / "videos/1.mp4"
    assert [note for note in index.notes if str(tmp_path / "videos/1.mp4") in note]


def test_several_annotations(tmp_path: Path) -> None:
    for folder in ("Third ABAW Annotations", "6th_ABAW_Annotations"):
        write_va(tmp_path / folder / "VA_Estimation_Challenge", {"train": {"1": 2}, "val": {"2": 2}})
    write_crops(tmp_path / "cropped_aligned" / "1", [1])
    with pytest.raises(UserError, match=r"several annotations of track va: 6th_ABAW.*, Third ABAW.*move all but one"):
        index_va(tmp_path)
    sixth = replace(abaw10.EDITION, name="abaw6")
    third = replace(abaw10.EDITION, name="abaw3")
    assert build_index(tmp_path, sixth, track(abaw10, "va")).variant == "6th_ABAW_Annotations/VA_Estimation_Challenge"
    assert build_index(tmp_path, third, track(abaw10, "va")).variant == "Third ABAW Annotations/VA_Estimation_Challenge"


def test_annotations_with_the_editions_header_are_chosen(tmp_path: Path) -> None:
    write_lines(tmp_path / "annotations/EXPR_Set/Train_Set/1.txt", SEVEN, "0", "6")
    write_lines(tmp_path / "5th/EXPR_Classification_Challenge/Train_Set/1.txt", EIGHT, "0", "7")
    write_crops(tmp_path / "cropped_aligned" / "1", [1])
    assert build_index(tmp_path, abaw2.EDITION, track(abaw2, "expr")).variant == "annotations/EXPR_Set"
    assert build_index(tmp_path, abaw10.EDITION, track(abaw10, "expr")).variant == "5th/EXPR_Classification_Challenge"


def test_a_linked_folder_is_not_a_second_one(tmp_path: Path) -> None:
    small_va(tmp_path)
    (tmp_path / "labels").symlink_to(tmp_path / "annotations", target_is_directory=True)
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert len(index_va(tmp_path).videos) == 4


def test_folders_that_are_not_aff_wild2(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        index_va(tmp_path / "missing")
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(UserError, match=r"no Aff-Wild2 folder.*VA_Set/Train_Set or VA_Est.*holiday.jpg; 0 videos"):
        index_va(tmp_path)


def test_a_track_without_annotations_lists_those_that_have_some(tmp_path: Path) -> None:
    small_va(tmp_path)
    write_lines(tmp_path / "MTL_Challenge/training_set_annotations.txt", MTL_HEADER)
    with pytest.raises(UserError, match=r"no annotations of track au.*VA_Estimation_Challenge \(track va\).*\(MTL\)"):
        build_index(tmp_path, abaw10.EDITION, track(abaw10, "au"))


def test_a_video_in_two_splits(tmp_path: Path) -> None:
    write_va(small_va(tmp_path) / "annotations/VA_Estimation_Challenge", {"val": {"video1": 5}})
    with pytest.raises(UserError, match=r"Validation_Set/video1.txt: video1 is annotated a second time.*Train_Set"):
        index_va(tmp_path)


# --- pictures --------------------------------------------------------------------------------------------------------


def test_crops_one_beyond_the_annotation_are_noted_and_not_used(tmp_path: Path) -> None:
    write_crops(small_va(tmp_path) / "cropped_aligned" / "video1", [6])
    index = index_va(tmp_path)
    assert video(index, "video1").crop_frames.tolist() == [True] * 5
    assert [note for note in index.notes if "crops of one video go on beyond" in note]


def test_crops_far_beyond_the_annotation(tmp_path: Path) -> None:
    write_crops(small_va(tmp_path) / "cropped_aligned" / "video1", [8])
    with pytest.raises(UserError, match=r"video1.txt: video1 has 5 frames.* frame 8.*data.frame_tolerance=3$"):
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
        with pytest.raises(UserError, match=rf"video1 has 5 frames.*has {frames} frames.*frame_tolerance=2"):
            index.check_length(one, frames)


def test_empty_and_missing_crops(tmp_path: Path) -> None:
    small_va(tmp_path)
    for path in (tmp_path / "cropped_aligned" / "video1").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"cropped_aligned/video1: the folder has no images and there is no raw video"):
        index_va(tmp_path)
    write_video(tmp_path / "videos" / "video1.mp4", 5)
    assert video(index_va(tmp_path), "video1").crops is None
    (tmp_path / "videos" / "video1.mp4").unlink()
    (tmp_path / "cropped_aligned" / "video1").rmdir()
    assert "neither crops nor raw video: video1" in index_va(tmp_path).notes


def test_nothing_but_annotations(tmp_path: Path) -> None:
    write_va(tmp_path / "VA_Set", {"train": {"1": 4}, "val": {"2": 2}})
    with pytest.raises(UserError, match="neither crops"):
        index_va(tmp_path)


def test_names_of_crops(tmp_path: Path) -> None:
    write_crops(tmp_path, [3, 1, 12345])
    assert crop_frames(tmp_path).tolist() == [1, 3, 12345]
    (tmp_path / "123456.jpg").touch()
    (tmp_path / "Thumbs.db").touch()
    (tmp_path / "._00002.jpg").touch()
    assert crop_frames(tmp_path).tolist() == [1, 3, 12345, 123456]


def test_crops_of_other_names(tmp_path: Path) -> None:
    (tmp_path / "frame1.jpg").touch()
    with pytest.raises(UserError, match=r"frame1.jpg: a crop is named by its frame"):
        crop_frames(tmp_path)
    write_crops(tmp_path, [0, 1])
    with pytest.raises(UserError, match="a crop of frame 0"):
        crop_frames(tmp_path)


# --- test videos -----------------------------------------------------------------------------------------------------


def test_rows_of_the_official_list(tmp_path: Path) -> None:
    small_va(tmp_path)
    index = index_va(tmp_path)
    assert index.test_list is not None
    assert index.test_list.path.name == "CVPR_10th_ABAW_VA_test_set_example.txt"
    mine = write_lines(tmp_path / "mine.txt", "5_right/00003.jpg", "5_right/00001.jpg", "4/00002.jpg")
    with pytest.raises(UserError, match=r"mine.txt: .* has neither crops nor raw videos of 5_right: give the list"):
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
        with pytest.raises(UserError, match=rf"{name}: .* nor raw videos of 8_left, nobody: give the list"):
            index_va(tmp_path, test_list=listed)


def test_the_editions_own_list_is_chosen_among_several(tmp_path: Path) -> None:
    small_va(tmp_path)
    other = write_lines(tmp_path / "examples" / "CVPR_6th_ABAW_VA_test_set_example.txt", "9/00001.jpg")
    index = index_va(tmp_path)
    assert index.test_list is not None
    assert "10th" in index.test_list.path.name
    other.rename(tmp_path / "CVPR_8th_ABAW_VA_test_set_example.txt")
    (tmp_path / "CVPR_10th_ABAW_VA_test_set_example.txt").rename(tmp_path / "CVPR_6th_ABAW_VA_test_set_example.txt")
    with pytest.raises(UserError, match=r"several test lists of track va: CVPR_6th.*CVPR_8th.*--list FILE"):
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
    with pytest.raises(UserError, match=r"mine.txt: the test video video1 is annotated in .*Train_Set/video1.txt"):
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
    ("line", "message"),
    [("a", "line 2: expected two fields"), ("a,\n", "line 2"), ("a,x\na,y", "line 3: a is in two groups")],
)
def test_faulty_tables_of_groups(tmp_path: Path, line: str, message: str) -> None:
    write_lines(small_va(tmp_path) / "groups.csv", "video,group", line)
    with pytest.raises(UserError, match=message):
        index_va(tmp_path)


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
    with pytest.raises(UserError, match="has 2 frames"):
        index.check_length(one, 2)


def test_the_lists_of_edition_three(mtl: Path) -> None:
    (mtl / "MTL_Challenge").mkdir()
    (mtl / "training_set_annotations.txt").rename(mtl / "MTL_Challenge/train_set.txt")
    (mtl / "validation_set_annotations.txt").rename(mtl / "MTL_Challenge/validation_set.txt")
    index = index_mtl(mtl)
    assert index.variant == "MTL_Challenge"
    assert [v.name for v in index.split("val")] == ["video46"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("video1/00001.jpg,0.5,0.5,3,1", "line 2: expected 16 fields, found 5"),
        (mtl_row("video1"), "line 2: expected <video>/00001.jpg, found 'video1'"),
        (mtl_row("video1/00000.jpg"), "line 2: 'video1/00000.jpg': frames count from 00001"),
        (mtl_row("video1/00001.jpg", expression="8"), "line 2: expression is 8"),
        (mtl_row("v/00001.jpg") + "\n" + mtl_row("v/00001.jpg"), "line 3: 'v/00001.jpg' was already on line 2"),
        (
            mtl_row("v/00001.jpg") + "\n" + mtl_row("video45_1/00001.jpg"),
            "line 3: video45_1 is annotated a second time",
        ),
    ],
)
def test_faulty_image_lists(mtl: Path, row: str, message: str) -> None:
    write_lines(mtl / "validation_set_annotations.txt", MTL_HEADER, row)
    with pytest.raises(UserError, match=message) as error:
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
    with pytest.raises(UserError, match=r"no annotations of track va.*EXPR_Recognition_Challenge \(track expr\)"):
        index_va(real)
