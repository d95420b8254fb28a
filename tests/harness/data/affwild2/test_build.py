"""The index of an Aff-Wild2 folder: every mask, every folder variant, and an error for everything that is wrong."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.data.affwild2.annotation_files import read_frame_labels
from harness.data.affwild2.build import build_index
from plugins.editions import abaw2, abaw10
from tests.support.indexes import index_va, track, video
from tests.support.refusals import Part, Refusal, refused
from tests.support.trees import EIGHT, MTL_HEADER, SEVEN, UNITS, VA_HEADER, small_va, write_crops, write_lines, write_va

NAN = float("nan")


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
    ("lines", "refusal"),
    [
        ([], refused("annotation-empty")),
        ([VA_HEADER], refused("annotation-no-rows")),
        (
            ["arousal,valence", *GOOD],
            refused("annotation-header", got="arousal,valence", wanted="'valence,arousal'", name="va"),
        ),
        (GOOD, refused("annotation-header", got="0.5,0.5")),
        (
            [VA_HEADER, *GOOD, "0.5"],
            refused("annotation-field-count", line=5, wanted=2, found=Part("found 1", "'0.5'")),
        ),
        ([VA_HEADER, "0.5,0.5,0.5", *GOOD], refused("annotation-field-count", line=2, wanted=2, found=Part("found 3"))),
        ([VA_HEADER, *GOOD, "", *GOOD], refused("annotation-field-count", line=5, wanted=2, found=Part("found 0"))),
        ([VA_HEADER, *GOOD, "0.5,x"], refused("annotation-not-a-number", line=5, name="arousal", part="x")),
        ([VA_HEADER, *GOOD, ",0.5"], refused("annotation-not-a-number", line=5, name="valence", part="")),
        (
            [VA_HEADER, *GOOD, "nan,0.5"],
            refused("annotation-out-of-range", line=5, name="valence", part="nan", wanted=Part("-1 to 1")),
        ),
        (
            [VA_HEADER, *GOOD, "0.5,1.01"],
            refused(
                "annotation-out-of-range",
                line=5,
                name="arousal",
                part="1.01",
                wanted=Part("-1 to 1, or -5"),
            ),
        ),
        ([VA_HEADER, '"0.5",0.5', *GOOD], refused("annotation-not-a-number", line=2, name="valence", part='"0.5"')),
    ],
)
def test_faulty_va_lines(tmp_path: Path, lines: list[str], refusal: Refusal) -> None:
    small_va(tmp_path)
    path = tmp_path / "annotations/VA_Estimation_Challenge/Validation_Set/3.txt"
    path.write_text("\n".join(lines))
    with refusal as error:
        index_va(tmp_path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("track", "lines", "refusal"),
    [
        (
            track(abaw10, "expr"),
            [EIGHT, "7", "8"],
            refused("annotation-out-of-range", line=3, name="expression", part=8.0, wanted=Part("0 to 7")),
        ),
        (
            track(abaw2, "expr"),
            [SEVEN, "6", "7"],
            refused("annotation-out-of-range", line=3, name="expression", part=7.0, wanted=Part("0 to 6")),
        ),
        (
            track(abaw10, "expr"),
            [EIGHT, "1.5"],
            refused("annotation-out-of-range", line=2, name="expression", part="1.5"),
        ),
        (
            track(abaw10, "expr"),
            [EIGHT, "-2"],
            refused("annotation-out-of-range", line=2, name="expression", part=-2.0),
        ),
        (
            track(abaw10, "expr"),
            [EIGHT, "3", "", "3"],
            refused("annotation-field-count", line=3, wanted=1, found=Part("found 0")),
        ),
        (track(abaw10, "expr"), [SEVEN, "3"], refused("annotation-header", got=Part("Neutral,"))),
        (
            track(abaw10, "au"),
            [UNITS, ",".join(["0"] * 11)],
            refused("annotation-field-count", line=2, wanted=12, found=Part("found 11")),
        ),
        (
            track(abaw10, "au"),
            [UNITS, ",".join(["0"] * 11 + ["2"])],
            refused("annotation-out-of-range", line=2, name="AU26", part=2.0, wanted=Part("0 or 1")),
        ),
    ],
)
def test_faulty_classes(tmp_path: Path, track, lines: list[str], refusal: Refusal) -> None:
    with refusal:
        read_frame_labels(write_lines(tmp_path / "a.txt", *lines), track)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"valence,arousal\n\xff\xfe,1\n")
    with refused("text-not-utf8", start=16):
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


@pytest.mark.parametrize("name", ["batch_of_monday", "batch1", "cropped_talk", "cropped", "cropped_aligned_left"])
@pytest.mark.parametrize("where", ["cropped_aligned", "cropped_aligned/batch1"])
def test_videos_may_be_called_as_parts_of_a_release_begin(tmp_path: Path, where: str, name: str) -> None:
    write_va(tmp_path / "VA_Set", {"train": {name: 3, "1": 2}, "val": {"2": 2}})
    write_crops(tmp_path / where / name, [1, 3])
    write_crops(tmp_path / where / "1", [1])
    index = index_va(tmp_path)
    assert video(index, name).crop_frames.tolist() == [True, False, True]
    assert video(index, "1").crop_frames.tolist() == [True, False]


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
    with refused(
        "annotations-ambiguous",
        name="va",
        names=Part("6th_ABAW_Annotations/VA_Estimation_Challenge, Third ABAW Annotations/VA_Estimation_Challenge"),
    ):
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
    with refused("data-folder-missing"):
        index_va(tmp_path / "missing")
    (tmp_path / "holiday.jpg").touch()
    with refused("annotations-none"):
        index_va(tmp_path)


def test_a_track_without_annotations_lists_those_that_have_some(tmp_path: Path) -> None:
    small_va(tmp_path)
    write_lines(tmp_path / "MTL_Challenge/training_set_annotations.txt", MTL_HEADER)
    with refused("annotations-none"):
        build_index(tmp_path, abaw10.EDITION, track(abaw10, "au"))


def test_a_video_in_two_splits(tmp_path: Path) -> None:
    write_va(small_va(tmp_path) / "annotations/VA_Estimation_Challenge", {"val": {"video1": 5}})
    with refused("annotated-twice", file="Validation_Set/video1.txt", name="video1", source="Train_Set/video1.txt"):
        index_va(tmp_path)
