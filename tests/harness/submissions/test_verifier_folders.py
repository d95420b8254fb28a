"""Submissions that are a folder, lists in every shape, the manifest, and how two submissions differ."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.submissions.submission import make_submission
from harness.submissions.verifier import check_manifest, compare, read_list, submission_in, verify
from harness.submissions.writer import read_table
from tests.harness.submissions.test_golden import GOLDEN, TRACKS, list_of
from tests.support.refusals import refused
from tests.support.submission_cases import MADE_UP, Look, runs_of_frames, write_list, write_table

VA = MADE_UP["per_video-va"]


def texts(folder: Path, form: str, rows: str | None, tmp_path: Path) -> list[tuple[int, str]]:
    track = MADE_UP[form]
    if rows is not None:
        (tmp_path / "list.txt").write_text(rows)
    listed = read_list(tmp_path / "list.txt", track) if rows is not None else None
    return [(f.line, f.text) for f in verify(folder, track, listed).findings]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "predictions"
    path.mkdir()
    (path / "a b.txt").write_text("valence,arousal\n0.5,0\n-1,0.25\n")
    (path / "v_left.txt").write_text("valence,arousal\n0,0\n")
    return path


def test_a_folder_with_a_file_a_video(folder: Path, tmp_path: Path) -> None:
    for rows in (None, "a b\nv_left\n", "a b,2\nv_left,1\n", "a b/00001.jpg,\na b/00002.jpg,\nv_left/00001.jpg,\n"):
        assert texts(folder, "per_video-va", rows, tmp_path) == []
    assert texts(folder, "per_video-va", "a b,3\nv_left,1\n", tmp_path) == [(3, "a b.txt: 2 rows, expected 3")]
    (folder / "a b.txt").write_text("valence,arousal\n0.5,0\n2,0\n")
    (folder / "other.txt").write_text("valence,arousal\n")
    (folder / "notes.md").touch()
    found = texts(folder, "per_video-va", "a b\ngone\n", tmp_path)
    assert (0, "gone.txt is missing") in found
    assert (0, "v_left.txt: is not in the list") in found
    assert (3, "a b.txt: valence is 2, outside -1 to 1") in found
    assert (1, "other.txt: 0 rows, expected at least 1") in found
    assert (0, "notes.md: is not a .txt file") in found


def test_a_folder_of_tables_has_frames_from_1_on(folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    path = folder / "v.csv"
    for rows, said in (
        ("1,0\n2,1\n", []),
        ("1,0\n3,1\n", [(3, "v.csv: frame 3 comes after frame 1")]),
        ("1,0\n1,1\n", [(3, "v.csv: frame 1 comes after frame 1")]),
        ("0,0\n1,1\n", [(2, "v.csv: frame 0 comes after frame 0")]),
        ("1,0\n02,1\n", [(3, "v.csv: the frame is '02', not a number from 1 on")]),
    ):
        path.write_text(f"Frame_Number,Label\n{rows}")
        assert texts(folder, "csv", None, tmp_path) == said
    for header in ("Frame_Num,Label", "Frame_Number,Predicted_Label"):
        path.write_text(f"{header}\n1,0\n")
        assert texts(folder, "csv", None, tmp_path) == []
    (tmp_path / "template").mkdir()
    (tmp_path / "template" / "v.csv").write_text("Frame_Num,Label\r\n1,\r\n")
    listed = read_list(tmp_path / "template", MADE_UP["csv"])
    (finding,) = verify(folder, MADE_UP["csv"], listed).findings
    assert "'Frame_Number,Predicted_Label', not 'Frame_Num,Label'" in finding.text


def test_nothing_there(tmp_path: Path) -> None:
    for form in ("keyed-va", "per_video-va"):
        (finding,) = verify(tmp_path / "nowhere", MADE_UP[form], None).findings
        assert finding.line == 0
        assert "there is no such" in finding.text
    (finding,) = verify(tmp_path, VA, None).findings
    assert "is empty" in finding.text


# --- lists ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", [Look(), Look(True), Look(comma=True), Look(True, True, "\r\n", True, "\r\n\n")])
@pytest.mark.parametrize("form", MADE_UP)
def test_both_programs_read_a_list_the_same_however_it_is_written(form: str, look: Look, tmp_path: Path) -> None:
    from harness.submissions.writer import read_list as writers

    track = MADE_UP[form]
    rows = runs_of_frames(track, {"8/b": 2, "8/a": 1} if "trials" in form else {"b c": 2, "a_left": 1})
    path = write_list(tmp_path / "list.txt", track, rows, look)
    own, theirs = read_list(path, track), writers(path, track)
    assert own.kind == theirs.kind
    assert own.header == theirs.header
    assert own.keys == (theirs.keys.to_pylist() if theirs.keys is not None else [])
    if own.kind == "counts":
        assert own.counts == {name: int((theirs.unit == i).sum()) for i, name in enumerate(theirs.names)}


def test_the_golden_lists_are_read_the_same_by_both(tmp_path: Path) -> None:
    from harness.submissions.writer import read_list as writers

    for name, track in TRACKS.items():
        own, theirs = read_list(list_of(GOLDEN / name), track), writers(list_of(GOLDEN / name), track)
        assert (own.kind, own.header) == (theirs.kind, theirs.header), name
        assert own.keys == (theirs.keys.to_pylist() if theirs.keys is not None else []), name


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "latin.txt").write_bytes(b"vid\xe9o\n")
    for path, refusal in (
        (tmp_path / "none.txt", refused("text-unreadable")),
        (tmp_path / "latin.txt", refused("text-not-utf8")),
        (tmp_path / "empty", refused("list-folder-empty", part=".txt")),
    ):
        with refusal:
            read_list(path, VA)
    with refused("list-is-one-file", name="va"):
        read_list(tmp_path / "empty", MADE_UP["keyed-va"])


# --- manifest ---------------------------------------------------------------------------------------------------------


def test_the_manifest_sees_a_changed_value_another_list_and_another_track(tmp_path: Path) -> None:
    track = MADE_UP["keyed-va"]
    (tmp_path / "p.csv").write_text("video,frame,valence,arousal\nv,1,0.1,0.2\nv,2,0.3,0.4\n")
    listed = write_list(tmp_path / "list.txt", track, runs_of_frames(track, {"v": 2}))
    made = make_submission(track, read_table(tmp_path / "p.csv", track), listed, tmp_path / "out", edition="abaw6")
    manifest = tmp_path / "out" / "manifest.json"
    assert submission_in(tmp_path / "out", track, False) == made.path
    assert check_manifest(manifest, made.path, "abaw6", track, 2, listed) == []
    made.path.write_text(made.path.read_text().replace("0.300000", "0.300001"))
    (finding,) = check_manifest(manifest, made.path, "abaw6", track, 2, listed)
    assert finding.line == 0
    assert "the content was changed after it was written" in finding.text
    listed.write_text(listed.read_text() + "\n")
    found = check_manifest(manifest, made.path, "abaw10", MADE_UP["keyed-expr"], 3, listed)
    assert [f.text.partition(": ")[2].split(" is ")[0] for f in found[:3]] == ["edition", "track", "rows"]
    assert "was written for another list, 'list.txt'" in found[-1].text
    for name in ("x" * 300, "../p.csv", ".."):  # no name that could stand in this folder
        manifest.write_text(json.dumps({"sha256": "0" * 64, "track": "va", "file": name}))
        assert submission_in(tmp_path / "out", track, False) == made.path
    for content in ("{}", "[]", "no", json.dumps({"sha256": 1, "track": "va"})):
        manifest.write_text(content)
        with refused("manifest-invalid"):
            check_manifest(manifest, made.path, "abaw6", track, 2, None)


# --- two of them ------------------------------------------------------------------------------------------------------


def test_two_submissions_are_compared(tmp_path: Path) -> None:
    one, two = tmp_path / "1.txt", tmp_path / "2.txt"
    expr, va = MADE_UP["keyed-expr"], MADE_UP["keyed-va"]
    one.write_text(f"{expr.submission_header}\n" + "".join(f"v/{i:05d}.jpg,{i % 3}\n" for i in range(1, 7)))
    two.write_text(f"{expr.submission_header}\n" + "".join(f"v/{i:05d}.jpg,{i % 2}\n" for i in range(1, 6)))
    assert compare(one, two, expr) == [
        f"only in {one}: 1 rows",
        "4 of 5 rows differ",
        "expression: 4 rows differ: Disgust -> Neutral 1, Neutral -> Anger 1, Anger -> Neutral 1, Disgust -> Anger 1",
    ]
    assert compare(one, one, expr) == ["0 of 6 rows differ", "expression: the same everywhere"]
    one.write_text(f"{va.submission_header}\nv/00001.jpg,0.0,0\nv/00002.jpg,0.5,0\nv/00003.jpg,1,0\n")
    two.write_text(f"{va.submission_header}\nv/00001.jpg,0.5,0\nv/00002.jpg,0.5,0\nv/00003.jpg,1,0\n")
    # CCC by hand: means 1/2, 2/3; variances 1/6, 1/18; covariance 1/12 -> (1/6) / (1/6 + 1/18 + 1/36) = 2/3
    assert compare(one, two, va) == [
        "1 of 3 rows differ",
        "valence: CCC between them 0.6667, mean difference 0.1667, largest 0.5000",
        "arousal: CCC between them 0.0000, mean difference 0.0000, largest 0.0000",
    ]


def test_two_folders_are_compared(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (other / "a b.txt").write_text("valence,arousal\n0.5,0\n-1,0.5\n")
    assert compare(folder, other, VA)[0] == "1 of 3 rows differ"
    with refused("submission-missing"):
        compare(folder, tmp_path / "none", VA)
    (tmp_path / "file").touch()
    with refused("submission-not-a-folder"):
        compare(folder, tmp_path / "file", VA)


def test_trials_are_compared_by_their_class(tmp_path: Path) -> None:
    track = MADE_UP["trials"]
    (tmp_path / "1").write_text("a/b,0.25,0.75,1\na/c,1,0,0\n")
    (tmp_path / "2").write_text("a/b,0\na/c,0\n")
    assert compare(tmp_path / "1", tmp_path / "2", track)[1] == "ah: 1 rows differ: presence -> absence 1"


def test_a_table_written_for_the_tests_is_read_back(tmp_path: Path) -> None:
    """The generator of the other tests, against itself: csv and parquet hold the same."""
    import numpy as np

    from tests.support.submission_cases import predictions

    track = MADE_UP["mtl"]
    table = predictions(track, runs_of_frames(track, {"v": 3}), np.random.default_rng(0))
    both = [read_table(write_table(tmp_path / name, table), track) for name in ("p.csv", "p.parquet")]
    for name, values in both[0].values.items():
        np.testing.assert_allclose(values, both[1].values[name], rtol=1e-12)
