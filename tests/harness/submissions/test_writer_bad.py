"""Tables, names, lists and folders that cannot be: one line that says what, where and what to do; nothing is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.submissions.submission import make_submission
from harness.submissions.writer import from_videos, read_table
from tests.support.refusals import Part, Refusal, refused
from tests.support.submission_cases import MADE_UP, runs_of_frames, with_figures, write_list, write_table
from zoo.api import EditionSpec
from zoo.errors import UserError
from zoo.tracks import VideoAnswers

VA, EXPR, AU, MTL = (MADE_UP[form] for form in ("keyed-va", "keyed-expr", "keyed-au", "mtl"))
HEAD = "video,frame,valence,arousal\n"


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (HEAD + "v,1,nan,0\n", refused("answer-not-finite", part="v", frame="1", name="valence", rows=1)),
        (HEAD + "v,1,0,inf\n", refused("answer-not-finite", name="arousal")),
        (
            HEAD + "v,1,0,\nv,2,,0\n",
            refused("predictions-empty-value", row=2, whose=" (v)", name="valence", null_count=1),
        ),
        (HEAD + "v,1,high,0\n", refused("predictions-not-numbers", name="valence")),
        (HEAD + "v,0,0,0\n", refused("predictions-frame-invalid")),
        (HEAD + "v,1.5,0,0\n", refused("predictions-frame-invalid")),
        (HEAD + "v,1,0,0\nv,999999999999999999991,0,0\n", refused("predictions-frame-invalid")),
        (HEAD + "v,1,0,0\nv,1,0.5,0\n", refused("predictions-row-twice", what="v, frame 1,", most=1)),
        ("frame,valence,arousal\n1,0,0\n", refused("predictions-no-key")),
        ("video,valence,arousal\nv,0,0\n", refused("predictions-no-frame")),
        ("video,frame,expression\nv,1,0\n", refused("predictions-no-column", wanted="valence", name="va")),
        ("video;frame;valence;arousal\nv;1;0,5;0\n", refused("predictions-semicolons")),
        (HEAD + "v,1\n", refused("predictions-no-table")),
        ("", refused("predictions-no-table")),
        ("video,video,frame,valence,arousal\nv,v,1,0,0\n", refused("predictions-column-twice", first="video")),
        (HEAD, refused("listed-unanswered", what=Part("no test video"))),
    ],
)
def test_tables_that_are_refused(content: str, refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(content)
    with refusal as error:
        make_submission(VA, read_table(tmp_path / "p.csv", VA), None, tmp_path / "out")
    assert "p.csv" in one_line(error)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("form", "columns", "refusal"),
    [
        ("keyed-expr", {"expression": [8]}, refused("predictions-out-of-range", name="expression", rows=1, highest=7)),
        ("keyed-expr", {"expression": [-1]}, refused("predictions-out-of-range", name="expression", rows=1)),
        (
            "keyed-au",
            {f"AU{n}": [2] for n in (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)},
            refused("predictions-out-of-range", name="AU1", rows=1, highest=1),
        ),
        ("frame_trials", {"p_ah": [3.2]}, refused("probabilities-out-of-range", name="ah", low="3.2", high="3.2")),
        (
            "frame_trials",
            {"ah": [None]},
            refused("predictions-empty-value", row=1, whose=" (v)", name="ah", null_count=1),
        ),
    ],
)
def test_classes_and_probabilities_that_are_none(
    form: str, columns: dict[str, list[float]], refusal: Refusal, tmp_path: Path
) -> None:
    for ending in (".csv", ".parquet"):
        path = write_table(tmp_path / f"p{ending}", pd.DataFrame({"video": ["v"], "frame": [1], **columns}))
        with refusal as error:
            read_table(path, MADE_UP[form])
        assert str(path) in one_line(error)


def test_a_file_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_text("no")
    (tmp_path / "p.csv").write_bytes(b"video,frame\n\xff\xfe\x00")
    for name in ("p.parquet", "p.csv", "none.csv", "none.parquet"):
        code = "predictions-unreadable" if name.startswith("none") else "predictions-no-table"
        with refused(code, file=tmp_path / name) as error:
            read_table(tmp_path / name, VA)
        one_line(error)


def test_a_run_whose_answers_are_no_numbers(tmp_path: Path) -> None:
    values = {"valence": np.array([0.0, np.nan]), "arousal": np.zeros(2)}
    with refused("answer-not-finite", part="v", frame="2", name="valence"):
        from_videos(VA, [VideoAnswers("v", "v", values, {}, {}, np.arange(2))])
    values["valence"] = np.zeros(3)
    with pytest.raises(ValueError, match="more or fewer answers valence"):
        from_videos(VA, [VideoAnswers("v", "v", values, {}, {}, np.arange(2))])


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", MADE_UP)
@pytest.mark.parametrize(
    "name", ["..", ".", "../../etc/x", "/tmp/x", "a/../../b", "a\\b", "a\x00b", "a\tb", "C:\\x", "", "a//b", "x/"]
)
def test_a_name_never_leaves_the_output_folder(form: str, name: str, tmp_path: Path) -> None:
    track = MADE_UP[form]
    cells = {a.name: [0.0] for a in track.answers}
    path = write_table(tmp_path / "p.parquet", pd.DataFrame({"video": [name], "frame": [1], **cells}))
    code = "name-is-path" if name.isprintable() else "name-control-character"
    with refused(code, shown=repr(name)) as error:
        make_submission(track, read_table(path, track), None, tmp_path / "deep" / "out")
    one_line(error)
    assert [p.name for p in tmp_path.iterdir()] == ["p.parquet"]


@pytest.mark.parametrize("form", ["keyed-va", "per_video-va", "csv", "items-emi"])
def test_names_with_spaces_are_kept_and_commas_only_where_there_are_no_rows_of_them(form: str, tmp_path: Path) -> None:
    track = MADE_UP[form]
    cells = {a.name: [0.0] for a in track.answers}
    for name, good in (("a b  c", True), ("a,b", track.submission in ("per_video", "csv"))):
        path = write_table(tmp_path / "p.parquet", pd.DataFrame({"video": [name], "frame": [1], **cells}))
        if good:
            made = make_submission(track, read_table(path, track), None, tmp_path / "out")
            files = [file.name for file in made.path.iterdir()] if made.path.is_dir() else [made.path.read_text()]
            assert name in files[0]
        else:
            with refused("name-not-in-rows", shown=repr(name)):
                make_submission(track, read_table(path, track), None, tmp_path / "out")


def test_two_people_of_one_video_are_two_names(tmp_path: Path) -> None:
    track = MADE_UP["per_video-va"]
    rows = runs_of_frames(track, {"6-30_left": 2, "6-30_right": 2, "6-30": 1})
    content = HEAD + "".join(f"{name},{frame},{i / 10},0\n" for i, (name, frame) in enumerate(rows))
    (tmp_path / "p.csv").write_text(content)
    listed = write_list(tmp_path / "list.txt", track, rows)
    made = make_submission(track, read_table(tmp_path / "p.csv", track), listed, tmp_path / "out")
    written = {file.name: file.read_text().splitlines()[1] for file in made.path.iterdir()}
    assert written == {
        "6-30_left.txt": "0.000000,0.000000",
        "6-30_right.txt": "0.200000,0.000000",
        "6-30.txt": "0.400000,0.000000",
    }


@pytest.mark.parametrize("name", ["../x.txt", "a/b", "", ".hidden", "manifest.json", ".."])
def test_a_file_name_of_the_users(name: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(HEAD + "v,1,0,0\n")
    with refused("file-name-invalid"):
        make_submission(VA, read_table(tmp_path / "p.csv", VA), None, tmp_path / "out", name=name)
    assert not (tmp_path / "out").exists()


# --- lists of something else ------------------------------------------------------------------------------------------


def editions() -> list[EditionSpec]:
    one = EditionSpec("abaw4", "", 2022, (MADE_UP["items-lsd"], with_figures(MTL, test_rows=4)))
    return [one, EditionSpec("abaw6", "", 2024, (VA, EXPR, AU, MADE_UP["items-emi"], with_figures(MTL, test_rows=9)))]


@pytest.mark.parametrize(
    ("form", "content", "refusal"),
    [
        (
            "keyed-va",
            "image,expression\n1.jpg,\n",
            refused(
                "list-header-of-other-track",
                whose=Part("abaw4 lsd"),
                wanted="'image_location,valence,arousal'",
                name="va",
            ),
        ),
        (
            "keyed-va",
            "image_location," + ",".join(EXPR.answers[0].classes) + "\nv/00001.jpg,0\n",
            refused("list-header-of-other-track", whose=Part("abaw6 expr")),
        ),
        (
            "keyed-va",
            "image,valence,arousal,expression,aus\nv/00001.jpg\n",
            refused("list-header-of-other-track", whose=Part("abaw4 mtl, abaw6 mtl")),
        ),
        (
            "items-emi",
            "image_location,valence,arousal\nv/00001.jpg,0,0\n",
            refused("list-header-of-other-track", whose=Part("abaw6 va")),
        ),
        ("items-emi", "v/00001.jpg,0,0\n", refused("list-line-invalid")),
        (
            "trials",
            "image_location,valence,arousal\nv/00001.jpg,0,0\n",
            refused("list-header-of-other-track", whose=Part("abaw6 va"), wanted="none"),
        ),
        ("trials", "8/v.mp4/frame-0.jpg,0\n", refused("list-line-invalid")),
        ("frame_trials", "8/v.mp4,0\n", refused("list-line-invalid")),
        ("per_video-va", ",".join(EXPR.answers[0].classes) + "\nv\n", refused("list-header-of-other-track", name="va")),
        ("keyed-va", "image_location,arousal,valence\nv/00001.jpg,0,0\n", refused("list-header-order")),
        (
            "keyed-va",
            "image_location,valence,arousal\nv/00001.jpg\nw\n",
            refused("list-row-invalid", line=3, got="w", name="va"),
        ),
        ("keyed-va", "v/00001.jpg\nv/00001.jpg\n", refused("list-row-again", line=2, got="v/00001.jpg", earlier=1)),
        ("items-emi", "Filename,x\n", refused("list-header-of-other-track", name="emi")),
        ("per_video-va", "v\nv\n", refused("list-name-twice", line=2, name="v")),
        ("keyed-va", "\n\n", refused("list-empty")),
    ],
)
def test_lists_of_something_else(form: str, content: str, refusal: Refusal, tmp_path: Path) -> None:
    track = MADE_UP[form]
    (tmp_path / "list.txt").write_text(content)
    cells = {a.name: [0.0] for a in track.answers}
    path = write_table(tmp_path / "p.csv", pd.DataFrame({"video": ["v"], "frame": [1], **cells}))
    with refusal as error:
        make_submission(track, read_table(path, track), tmp_path / "list.txt", tmp_path / "out", editions=editions())
    assert "list.txt" in one_line(error)
    assert not (tmp_path / "out").exists()


def test_the_list_of_another_edition_is_known_by_its_rows(tmp_path: Path) -> None:
    own = with_figures(MTL, test_rows=9)
    listed = write_list(tmp_path / "list.txt", own, [("v", i) for i in range(1, 5)])
    cells = {a.name: 0.0 for a in own.answers}
    path = write_table(tmp_path / "p.csv", pd.DataFrame([{"video": "v", "frame": i, **cells} for i in range(1, 5)]))
    with refused("list-of-other-edition", count=4, names="abaw4 mtl", name="mtl", own=9):
        make_submission(own, read_table(path, own), listed, tmp_path / "out", editions=editions())
    made = make_submission(own, read_table(path, own), listed, tmp_path / "out", editions=editions()[1:])
    assert made.manifest["rows"] == 4  # a demo's list, or a part: nobody's


def test_a_list_named_after_another_edition_is_noted(tmp_path: Path) -> None:
    rows = runs_of_frames(VA, {"v": 1})
    (tmp_path / "p.csv").write_text(HEAD + "v,1,0,0\n")
    for name, edition, noted in (
        ("CVPR_5th_ABAW_VA_test_set_sample.txt", "abaw6", "abaw5"),
        ("CVPR_6th_ABAW_VA.txt", "abaw6", ""),
        ("abaw-10.txt", "abaw1", "abaw10"),
        ("list.txt", "abaw6", ""),
    ):
        listed = write_list(tmp_path / name, VA, rows)
        made = make_submission(VA, read_table(tmp_path / "p.csv", VA), listed, tmp_path / "out", edition=edition)
        said = [note for note in made.notes if "by its name" in note]
        assert ([f"is a list of {noted};" in note for note in said] == [True]) if noted else not said


# --- folders ----------------------------------------------------------------------------------------------------------


def in_the_way(folder: Path) -> None:
    (folder / "out" / "predictions.txt").mkdir(parents=True)


def a_file(folder: Path) -> None:
    (folder / "out").write_text("")


def a_link(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "elsewhere.txt").write_text("mine")
    os.symlink(folder / "elsewhere.txt", folder / "out" / "predictions.txt")


@pytest.mark.parametrize(
    ("block", "code"),
    [(in_the_way, "submission-in-way"), (a_file, "submission-not-written"), (a_link, "submission-in-way")],
)
def test_what_is_in_the_way_stays(block: Callable[[Path], None], code: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(HEAD + "v,1,0,0\n")
    block(tmp_path)
    before = sorted((str(p), p.is_symlink()) for p in tmp_path.rglob("*"))
    with refused(code) as error:
        make_submission(VA, read_table(tmp_path / "p.csv", VA), None, tmp_path / "out")
    one_line(error)
    assert sorted((str(p), p.is_symlink()) for p in tmp_path.rglob("*")) == before


def test_a_folder_of_something_else_is_not_replaced_and_an_older_submission_is(tmp_path: Path) -> None:
    track = MADE_UP["per_video-va"]
    (tmp_path / "p.csv").write_text(HEAD + "v,1,0,0\n")
    answers = read_table(tmp_path / "p.csv", track)
    folder = make_submission(track, answers, None, tmp_path / "out").path
    (folder / "older.txt").write_text("valence,arousal\n0,0\n")
    assert [p.name for p in make_submission(track, answers, None, tmp_path / "out").path.iterdir()] == ["v.txt"]
    (folder / "thesis.docx").touch()
    with refused("submission-in-way"):
        make_submission(track, answers, None, tmp_path / "out")
    assert sorted(p.name for p in folder.iterdir()) == ["thesis.docx", "v.txt"]


@pytest.mark.parametrize("form", ["keyed-va", "per_video-va"])
def test_a_disk_that_fails_at_any_moment_leaves_what_was_there(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    track = MADE_UP[form]
    (tmp_path / "p.csv").write_text(HEAD + "v,1,0,0\n")
    make_submission(track, read_table(tmp_path / "p.csv", track), None, tmp_path / "out", archive=True)
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    (tmp_path / "p.csv").write_text(HEAD + "w,1,0.5,0\n")
    answers = read_table(tmp_path / "p.csv", track)
    real = os.replace
    left = [0]

    def broken(source: Path, target: Path) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", broken)
    for moment in range(1, 10):  # three files are written, three old ones move away, three new ones take their place
        left[0] = moment
        with refused("submission-not-written", strerror="the disk is full"):
            make_submission(track, answers, None, tmp_path / "out", archive=True)
        assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before
    made = make_submission(track, answers, None, tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"manifest.json", made.path.name}  # no older archive
