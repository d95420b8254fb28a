"""Names that people read as one are one: Unicode forms and the case of endings, wherever a video is named."""

from __future__ import annotations

import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.affwild2.build import build_index
from harness.data.affwild2.folder_layout import survey
from harness.data.affwild2.groups import group_of
from harness.data.index.group_tables import read_groups
from harness.data.tracking.person_boxes import Boxes, have_boxes, person_boxes, write_boxes
from plugins.editions import abaw10
from plugins.encoders._feature_manifest import Manifest
from tests.support.indexes import index_va, track
from tests.support.refusals import Part, refused
from tests.support.trees import small_va, write_crops, write_lines, write_va
from zoo.files import name_key

NAMES = st.text(st.sampled_from("aé\u1e69ñ\uac00Å1_ö"), min_size=1, max_size=5).map(lambda text: f"v{text}")
FORMS = st.sampled_from(["NFC", "NFD"])


@settings(max_examples=25, deadline=None)
@given(NAMES, st.tuples(FORMS, FORMS, FORMS, FORMS), st.sampled_from(["jpg", "JPG", "Jpeg", "png"]))
def test_one_video_in_four_spellings_is_one_video(name: str, forms: tuple[str, ...], ending: str) -> None:
    annotated, cropped, grouped, listed = (unicodedata.normalize(form, name) for form in forms)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        annotations = root / "annotations" / "VA_Estimation_Challenge"
        write_va(annotations, {"train": {annotated: 3, "plain": 3}, "val": {"other": 2}})
        for video in (cropped, "plain", "other", f"{cropped}_test"):
            write_crops(root / "cropped_aligned" / video, (1, 2))
        write_lines(root / "groups.csv", "video,group", f"{grouped}.MP4,g", "plain,g")
        wanted = write_lines(root / "list.txt", "image,valence,arousal", f"{listed}_test/00001.{ending},")
        index = build_index(root, abaw10.EDITION, track(abaw10, "va"), test_list=wanted)
    found = {video.name: video for video in index.videos}
    assert set(found) == {name_key(name), "plain", "other", name_key(f"{name}_test")}
    assert found[name_key(name)].crop_frames.tolist() == [True, True, False]
    assert found[name_key(name)].group == found["plain"].group == "g"
    assert found[name_key(f"{name}_test")].split == "test"


@settings(max_examples=25, deadline=None)
@given(NAMES, FORMS, FORMS)
def test_files_beside_a_video_are_found_in_either_form(name: str, form: str, other: str) -> None:
    written, asked = unicodedata.normalize(form, name), unicodedata.normalize(other, name)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_boxes(root / "boxes" / f"{written}.parquet", Boxes(np.ones((2, 4)), np.ones((2, 4)), np.ones(2), "d"))
        assert have_boxes(root, asked, root / "none.mp4")
        boxes = person_boxes(root, asked, root / "none.mp4", 2)
        assert boxes is not None
        assert len(boxes.score) == 2
        (root / f"{written}.NPY").touch()
        found = Manifest(root, "numbers", 1, "frame").find(asked)
        assert found is not None
        assert found.name == f"{written}.NPY"
        (root / f"{written}.MP4").touch()
        assert set(survey(root).videos) == {name_key(name)}


def test_two_files_of_one_name_are_seen_as_two(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        (tmp_path / f"{unicodedata.normalize(form, 'é')}.mp4").touch()
    assert [len(files) for files in survey(tmp_path).videos.values()] == [2]


def test_groups_name_videos_or_their_files(tmp_path: Path) -> None:
    rows = ("a.mp4,g", "b,g", "c.d,h", "e.gif,g", "videos/f.MOV,g", "x\\y\\i.txt,g", "j.v1,h", "k.wav,g")
    write_lines(tmp_path / "groups.csv", "Video,Group", *rows)
    table = read_groups(tmp_path)
    assert table == {"a": "g", "b": "g", "c.d": "h", "e": "g", "f": "g", "i": "g", "j.v1": "h", "k": "g"}
    assert [group_of(name, table) for name in ("a", "b_left", "c.d")] == ["g", "g", "h"]


@pytest.mark.parametrize("row", ["a\0,g", "a,g\x1b[31m", "\u200ba,g", "a,g\u202e"])
def test_names_that_do_not_print_are_refused(tmp_path: Path, row: str) -> None:
    write_lines(tmp_path / "groups.csv", "video,group", "b,g", row)
    with refused("groups-unprintable", at=Part("line 3")):
        read_groups(tmp_path)


def test_entries_that_name_no_video_are_noted_with_the_nearest_name(tmp_path: Path) -> None:
    root = small_va(tmp_path)
    write_lines(root / "annotations" / "EXPR_Challenge" / "Train_Set" / "other_left.txt", "Neutral", "0")
    known = ("video1,g", "3.mp4,g", "4,g", "other_left,g", "other,g")  # those of other tracks are known too
    write_lines(root / "groups.csv", "video,group", *known)
    assert not [note for note in index_va(root).notes if "groups.csv" in note]
    write_lines(root / "groups.csv", "video,group", *known, "Video1,g", "nobody,h")
    (note,) = (note for note in index_va(root).notes if "groups.csv" in note)
    assert note.startswith(
        "groups.csv has entries that name no video: Video1 (did you mean 'video1'?), nobody; correct"
    )
