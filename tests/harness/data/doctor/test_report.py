"""The doctor on small folders with one thing wrong at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.data.doctor.report import Report, diagnose, render
from plugins.editions import abaw2, abaw10, abaw11
from tests.support.refusals import refused
from tests.support.trees import (
    EIGHT,
    MTL_HEADER,
    SEVEN,
    VA_HEADER,
    small_va,
    write_crops,
    write_lines,
    write_va,
    write_video,
)
from zoo.registry.registry import Entry, Registry

FIGURES = {
    "videos_train": 2,
    "videos_val": 1,
    "videos_test": 1,
    "labelled_train": None,
    "labelled_with_crop_train": (8, 9),
    "labelled_val": 6,
    "labelled_with_crop_val": 6,
    "test_rows": 3,
}
"""What ``small_va`` holds."""


def registry(**figures: Any) -> Registry:
    """The built-in editions, the counts of abaw10 va replaced by those of the small folder."""
    va, expr, au, *_ = abaw10.EDITION.tracks
    tracks = (replace(va, figures=FIGURES | figures), expr, au)
    known = Registry()
    for spec in (abaw2.EDITION, replace(abaw10.EDITION, tracks=tracks), abaw11.EDITION):
        known.add(Entry("editions", spec, "plugins.editions", "abaw-zoo"))
    return known


def verdicts(report: Report) -> dict[str, str]:
    return {row.what: row.verdict for row in report.rows}


def problem(report: Report, *words: str) -> bool:
    return any(all(word in text for word in words) for text in report.problems)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small folder with everything: raw videos with sound, crops, a test list."""
    root = small_va(tmp_path / "data")
    for name, n in {"video1": 5, "2-30-640x360": 4, "3": 6, "4": 3}.items():
        write_video(root / "batch1" / f"{name}.mp4", n)
    return root


def test_a_clean_folder(folder: Path) -> None:
    report = diagnose(folder, registry())
    assert report.problems == ()
    assert report.clean
    assert verdicts(report) == {
        "videos, train": "equal",
        "videos, val": "equal",
        "videos, test": "equal",
        "labelled, train": "official figure unconfirmed",
        "labelled with crop, train": "equal",  # to one of two published counts
        "labelled, val": "equal",
        "labelled with crop, val": "equal",
        "test rows": "equal",
    }
    assert {(row.edition, row.track) for row in report.rows} == {("abaw10", "va")}
    assert any("raw videos of 4 of 4 names have as many frames" in note for note in report.notes)
    text = render(report)
    assert (
        "va (abaw10): annotations/VA_Estimation_Challenge; test list CVPR_10th_ABAW_VA_test_set_example.txt (rows)"
        in text
    )
    assert "8 | 9" in text
    assert "Clean" in text
    assert "Problems" not in text


def test_figures_that_are_off(folder: Path) -> None:
    report = diagnose(folder, registry(videos_train=356, labelled_with_crop_val=8, test_rows=1))
    found = {row.what: row for row in report.rows}
    assert not report.clean
    assert found["videos, train"].verdict == "off by -354"
    assert "a part of the data" in found["videos, train"].cause
    assert found["labelled with crop, val"].verdict == "off by -2"
    assert found["labelled with crop, val"].cause == "another release of the crops, or some are missing"
    assert found["test rows"].verdict == "off by +2"
    assert found["test rows"].cause == "the test list of another edition, or of a part of the data"
    assert "figures that are off: 3 of 8" in render(report)


def test_class_counts(tmp_path: Path) -> None:
    write_lines(tmp_path / "EXPR_Recognition_Challenge/Train_Set/1.txt", EIGHT, "0", "3", "-1", "3", "7")
    write_lines(tmp_path / "EXPR_Recognition_Challenge/Validation_Set/2.txt", EIGHT, "0")
    write_crops(tmp_path / "cropped_aligned/1", [1, 2, 3])
    rows = {row.what: row.found for row in diagnose(tmp_path, registry()).rows}
    assert [rows[f"class counts with crop, train, {name}"] for name in ("Neutral", "Fear", "Other")] == ["1", "1", "0"]
    assert rows["labelled, train"] == "4"
    assert (rows["labelled with crop, train"], rows["labelled without crop, train"]) == ("2", "2")


def test_every_faulty_annotation_is_named(folder: Path) -> None:
    train = folder / "annotations/VA_Estimation_Challenge/Train_Set"
    write_lines(train / "a.txt", VA_HEADER, "x,0")
    write_lines(train / "b.txt", VA_HEADER, "2,0")
    report = diagnose(folder, registry())
    assert report.rows == ()
    assert problem(report, "a.txt, line 2", "got 'x'")
    assert problem(report, "b.txt, line 2", "got 2")


def test_entries_of_groups_that_name_no_video_are_one_problem(folder: Path) -> None:
    write_lines(folder / "groups.csv", "vidoe1,x", "3,x")
    report = diagnose(folder, registry())
    assert problem(report, "groups.csv has entries that name no video", "vidoe1 (did you mean 'video1'?)")
    assert not any("groups.csv has entries" in note for note in report.notes)


def test_what_stands_in_place_of_a_crop_is_one_problem(folder: Path) -> None:
    crop = folder / "cropped_aligned" / "video1" / "00002.jpg"
    crop.unlink()
    crop.symlink_to(folder / "gone.jpg")
    report = diagnose(folder, registry())
    assert problem(report, "lead to no file", str(crop))


def test_groups_that_cross_splits(folder: Path) -> None:
    write_lines(folder / "groups.csv", "video1,x", "3,x")
    report = diagnose(folder, registry())
    assert problem(report, "groups that cross splits", "x (video1 in train, 3 in val)")
    assert not report.clean


def test_missing_parts(folder: Path) -> None:
    (folder / "batch1/3.mp4").unlink()
    for path in (folder / "cropped_aligned/video1").iterdir():
        path.unlink()
    (folder / "CVPR_10th_ABAW_VA_test_set_example.txt").unlink()
    report = diagnose(folder, registry())
    assert problem(report, "no raw video of 3")
    assert problem(report, "no crops of video1")
    assert problem(report, "no official test list", "*_VA_test_set_*.txt")
    causes = {row.what: row.cause for row in report.rows}
    assert causes["labelled with crop, train"] == "videos without crops: 1"
    assert causes["test rows"] == ""  # three frames, though from no official list
    assert any("4" in note and "not an official row set" in note for note in report.notes)


def test_only_annotations_of_train(folder: Path) -> None:
    for path in (folder / "annotations/VA_Estimation_Challenge/Validation_Set").iterdir():
        path.unlink()
    assert problem(diagnose(folder, registry()), "annotations of train or val are missing")


def test_videos_without_sound_and_damaged_ones(folder: Path) -> None:
    write_video(folder / "batch1/video1.mp4", 5, sound=False)
    whole = (folder / "batch1/3.mp4").read_bytes()
    (folder / "batch1/3.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "batch1/4.mp4").write_bytes(b"")
    report = diagnose(folder, registry())
    assert any("without sound" in note and "video1.mp4" in note for note in report.notes)
    assert problem(report, "batch1/3.mp4: ")
    assert problem(report, "4.mp4: the file is empty (0 bytes)")


def test_lengths_that_differ(folder: Path) -> None:
    write_video(folder / "batch1/video1.mp4", 6)
    report = diagnose(folder, registry())
    assert report.clean
    assert any("3 of 4 names have as many frames as their annotations, 1 differ by 1" in note for note in report.notes)
    write_video(folder / "batch1/video1.mp4", 9)
    report = diagnose(folder, registry())
    assert problem(report, "video1 has 5 annotated frames, but", "has 9 frames", "data.frame_tolerance=4")


def test_many_problems_of_a_kind_are_summed_up(tmp_path: Path) -> None:
    write_va(tmp_path / "VA_Set", {"train": {f"v{k}": 2 for k in range(9)}, "val": {"w": 2}})
    for k in range(9):
        (tmp_path / f"v{k}.mp4").touch()
    report = diagnose(tmp_path, registry())
    assert sum("0 bytes" in text for text in report.problems) == 5
    assert "4 more raw videos that cannot be read" in report.problems
    assert problem(report, "no raw video of w")


def test_listed_test_videos_that_are_missing(tmp_path: Path) -> None:
    small_va(tmp_path)
    write_lines(tmp_path / "CVPR_10th_ABAW_VA_test_set_example.txt", "4/00003.jpg,", "6/00001.jpg,")
    assert problem(diagnose(tmp_path, registry()), "nor raw video of the listed test videos 6: unpack the archive")


def test_listed_images_that_are_missing(tmp_path: Path) -> None:
    row = "0.5,0.5,1," + ",".join("0" * 12)
    write_lines(tmp_path / "training_set_annotations.txt", MTL_HEADER, f"1/00001.jpg,{row}", f"1/00002.jpg,{row}")
    write_lines(tmp_path / "validation_set_annotations.txt", MTL_HEADER, f"2/00001.jpg,{row}")
    write_lines(tmp_path / "MTL.txt", "3/00001.jpg,")
    for name in "123":
        write_crops(tmp_path / "cropped_aligned" / name, [1])
    report = diagnose(tmp_path, registry())
    assert problem(report, "listed images that are not there, in 1 (1)")
    assert {row.what: row.found for row in report.rows}["class counts, train, Anger"] == "2"


# --- which editions --------------------------------------------------------------------------------------------------


def test_seven_classes_are_an_older_edition(tmp_path: Path) -> None:
    write_lines(tmp_path / "annotations/EXPR_Set/Train_Set/1.txt", SEVEN, "0")
    write_va(tmp_path / "annotations/VA_Set", {"train": {"1": 1}, "val": {"2": 1}})
    write_crops(tmp_path / "cropped_aligned/1", [1])
    report = diagnose(tmp_path, registry())
    assert {(row.edition, row.track) for row in report.rows} == {("abaw2", "va"), ("abaw2", "expr")}
    assert {row.verdict for row in report.rows} == {"official figure unconfirmed"}


def test_edition_and_track_by_name(folder: Path) -> None:
    report = diagnose(folder, registry(), edition="abaw2")
    assert {(row.edition, row.track) for row in report.rows} == {("abaw2", "va")}
    report = diagnose(folder, registry(), track="va")
    assert {(row.edition, row.track) for row in report.rows} == {("abaw10", "va")}
    report = diagnose(folder, registry(), edition="abaw10", track="expr")
    assert problem(report, "expr: ", "no annotations of track expr", "VA_Estimation_Challenge (track va)")
    with refused("edition-no-track", edition="abaw10", track="mtl", names="va, expr, au"):
        diagnose(folder, registry(), edition="abaw10", track="mtl")
    with refused("track-in-no-edition", track="vd", names="au, expr, mtl, va"):
        diagnose(folder, registry(), track="vd")
    with refused("block-unknown", name="abaw12"):
        diagnose(folder, registry(), edition="abaw12")


def test_folders_that_no_edition_fits(tmp_path: Path) -> None:
    assert problem(diagnose(tmp_path, registry()), "no annotations: looked for", "`harness help data` shows their form")
    write_lines(tmp_path / "VA_Set/Train_Set/1.txt", "v,a", "0,0")
    report = diagnose(tmp_path, registry())
    assert problem(report, "no edition fits", "VA_Set has a header that abaw10 does not know", "--edition")
    assert problem(diagnose(tmp_path, registry(), edition="abaw10"), "1.txt, line 1", "'v,a'")
    with refused("data-folder-missing"):
        diagnose(tmp_path / "none", registry())


def test_a_set_of_ones_own_is_judged_on_its_own_terms(tmp_path: Path) -> None:
    """Published counts are of Aff-Wild2's videos; a folder of `harness data crop` has neither those nor a test list."""
    root = tmp_path / "data"
    top = root / "annotations" / "EXPR_Classification_Challenge"
    for split, name, labels in (
        ("Train_Set", "anna", "0003"),
        ("Train_Set", "ben", "33"),
        ("Validation_Set", "eve", "05"),
    ):
        write_lines(top / split / f"{name}.txt", EIGHT, *labels)
        write_crops(root / "cropped_aligned" / name, range(1, len(labels)))
        write_video(root / "videos" / f"{name}.mp4", len(labels), sound=name != "ben")
    report = diagnose(root, registry())
    found = {row.what: row.found for row in report.rows}
    assert (found["videos, train"], found["groups, train"], found["labelled frames, train"]) == ("2", "2", "6")
    assert (found["Fear, train"], found["Sadness, val"]) == ("3", "1")
    assert {row.verdict for row in report.rows} == {"not published"}
    assert report.problems == (
        "expr: no training frame of Anger, Disgust, Happiness, Sadness, Surprise, Other: they cannot be learned; "
        "val has Sadness",
    )
    notes = "\n".join(report.notes)
    assert "2 groups in train, fewer than 10" in notes
    assert "38% of the labelled frames have no face, most of them in anna" in notes
    assert "without sound (the stream audio is absent): ben.mp4" in notes
    text = render(report)
    assert "off by" not in text
    assert "ask the organisers" not in text


def test_a_set_of_ones_own_can_be_clean(tmp_path: Path) -> None:
    write_va(tmp_path / "annotations" / "VA_Estimation_Challenge", {"train": {"anna": 3}, "val": {"eve": 3}})
    for name in ("anna", "eve"):
        write_crops(tmp_path / "cropped_aligned" / name, (1, 2, 3))
        write_video(tmp_path / "videos" / f"{name}.mp4", 3)
    report = diagnose(tmp_path, registry())
    assert report.clean
    assert render(report).endswith("Clean: nothing is missing.\n")
