"""What a user can get wrong when handing in, by the command line: one line that says what and where, an exit code of
its own, and nothing written, not even a folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.runs.finished import note_files
from tests.support.refusals import Part, Refusal, refused
from tests.support.submission_cases import registered

TRACKS = registered()
HEAD = "video,frame,valence,arousal\n"
VA = ("--edition", "abaw6", "--track", "va")
LIST = "image_location,valence,arousal\n"
CLEAN = LIST + "v/00001.jpg,0.500000,0.000000\nv/00002.jpg,-0.250000,1.000000\n"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def harness(tmp_path: Path) -> Any:
    from tests.support.program import Program

    return Program(tmp_path / "cache", tmp_path / "none")


def files() -> set[str]:
    return {str(path) for path in Path().rglob("*")}


def one_line(harness: Any, table: str, listed: str, refusal: Refusal, asked: tuple[str, ...] = VA) -> None:
    """`harness submit` is refused in one line; nothing is there that was not before."""
    Path("table.csv").write_text(table)
    Path("list.txt").write_text(listed)
    before = files()
    answer = harness("submit", "--predictions", "table.csv", *asked, "--list", "list.txt", "--out", "new/out", "--zip")
    assert answer.code == 2, answer.out
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    refusal.check(answer.error)
    assert files() == before


# --- a list of another edition or track, or of other videos -----------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "refusal"),
    [
        (
            "image,valence,arousal,expression,aus\nv/00001.jpg,\n",
            refused("list-header-of-other-track", whose=Part("abaw3 mtl")),
        ),
        (
            TRACKS["abaw6-ce"].submission_header + "\n01/00001.jpg,\n",
            refused("list-header-of-other-track", whose=Part("abaw6 ce")),
        ),
        ("image,expression\n0.jpg,\n", refused("list-header-of-other-track", whose=Part("abaw4 lsd"))),
        (
            TRACKS["abaw6-emi"].submission_header + "\n12660,0,0,0,0,0,0\n",
            refused("list-header-of-other-track", whose=Part("abaw6 emi")),
        ),
        (
            "valence,arousal\nw\n",
            refused("listed-unanswered", what=Part("w")),
        ),  # names of videos under the header of editions 1 to 3
        ("8/v.mp4/frame-0.jpg,0\n", refused("list-line-invalid")),
        ('"v/00001.jpg",0,0\n', refused("list-spreadsheet", name="quotes")),
        ("v/00001.jpg;0;0\n", refused("list-spreadsheet", name="semicolons")),
        (LIST + "v/00001.jpg,0,0\n\nv/00002.jpg,0,0\n", refused("list-row-invalid", file="list.txt", line=3)),
        (LIST + "v/00001.jpg,\nv/00009.jpg,\nw/00001.jpg,\n", refused("listed-unanswered", what=Part("w"))),
        (
            LIST + "".join(f"x{i}/00001.jpg,\n" for i in range(9)),
            refused("listed-unanswered", what=Part("x0, x1, x2 and 6 more")),
        ),
    ],
)
def test_lists_of_something_else(listed: str, refusal: Refusal, harness: Any) -> None:
    one_line(harness, HEAD + "u,1,0.5,0\n" + "v,1,0.5,0\n", listed, refusal)


def test_the_list_of_another_edition_is_known_by_its_number_of_rows(harness: Any) -> None:
    rows = "".join(f"v/{i:05d}.jpg,\n" for i in range(1, 51_246))  # edition 3's; those after have 51,159
    answers = {a.name: 0 for a in TRACKS["abaw11-mtl"].answers}
    table = pd.DataFrame([{"video": "v", "frame": 1, **answers}]).to_csv(index=False)
    refusal = refused("list-of-other-edition", count=51_245, names="abaw3 mtl", name="mtl", own=51_159)
    one_line(harness, table, rows, refusal, ("--edition", "abaw11", "--track", "mtl"))


# --- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "refusal"),
    [
        (
            HEAD + "v,1,nan,0\nv,2,0,0\n",
            refused("answer-not-finite", where="table.csv: ", part="v", frame="1", name="valence", rows=1),
        ),
        (HEAD + "v,1,0,inf\n", refused("answer-not-finite", name="arousal")),
        (HEAD + "v,1,,0\n", refused("predictions-empty-value", row=1, whose=" (v)", name="valence", null_count=1)),
        ("video,frame,expression\nv,1,3\n", refused("predictions-no-column", name="va")),
        ((HEAD + "v,1,0.5,0\n").replace(",", ";"), refused("predictions-semicolons")),
        (HEAD + 'v,1,"0,5",0\n', refused("predictions-not-numbers", name="valence")),
        (HEAD + "v,1,0,0\nv,1,0.5,0\n", refused("predictions-row-twice", what="v, frame 1,", most=1)),
    ],
)
def test_tables_that_are_refused(table: str, refusal: Refusal, harness: Any) -> None:
    one_line(harness, table, LIST + "v/00001.jpg,\n", refusal)


def test_what_a_spreadsheet_leaves_of_a_sound_table_does_no_harm(harness: Any) -> None:
    """Quotes around fields, a byte order mark, Windows line ends."""
    Path("list.txt").write_text(LIST + "v/00001.jpg,\n")
    Path("table.csv").write_bytes(
        b"\xef\xbb\xbf" + ('"video","frame",' + HEAD[12:] + '"v","1",0.5,"0"\n').replace("\n", "\r\n").encode()
    )
    answer = harness("submit", "--predictions", "table.csv", *VA, "--list", "list.txt", "--out", "out")
    assert (answer.code, answer.err) == (0, "")
    assert Path("out/predictions.txt").read_text() == LIST + "v/00001.jpg,0.500000,0.000000\n"


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "track", ["abaw6-va", "abaw3-va", "abaw10-vd", "abaw6-emi", "abaw8-ah", "abaw10-ah", "abaw11-mtl"]
)
@pytest.mark.parametrize("name", ["..", "../../x", "/tmp/x", "a/../../b", "a\\b", "a,b", 'a"b', " a"])
def test_names_that_are_none(track: str, name: str, harness: Any, tmp_path: Path) -> None:
    """A file a video may have a comma or a quote in its name; a row may not. Nothing leaves the output folder."""
    spec, (edition, _, asked) = TRACKS[track], track.partition("-")
    table = pd.DataFrame([{"video": name, "frame": 1, **{a.name: 0 for a in spec.answers}}])
    table.to_parquet("table.parquet")
    before = {str(path) for path in tmp_path.rglob("*")}
    answer = harness("submit", "--predictions", "table.parquet", "--edition", edition, "--track", asked, "--out", "out")
    folders = spec.submission in ("per_video", "csv")
    if folders and name in ("a,b", 'a"b', " a"):
        assert answer.code == 0, answer.err
        assert [path.stem for path in Path("out/predictions").iterdir()] == [name]
        return
    assert answer.code == 2, answer.out
    assert answer.err.count("\n") == 1
    code = "name-not-in-rows" if name in ("a,b", 'a"b', " a") else "name-is-path"
    answer.refused(code, shown=repr(name))
    assert {str(path) for path in tmp_path.rglob("*")} == before


def test_names_with_spaces_and_two_people_in_one_video(harness: Any) -> None:
    rows = [("my video_left", 1, 0.25), ("my video_right", 1, -0.25), ("my video", 1, 0.75)]
    Path("table.csv").write_text(HEAD + "".join(f"{name},{frame},{v},0\n" for name, frame, v in rows))
    Path("list.txt").write_text(LIST + "".join(f"{name}/0000{frame}.jpg,\n" for name, frame, _ in rows[::-1]))
    answer = harness("submit", "--predictions", "table.csv", *VA, "--list", "list.txt", "--out", "out")
    assert (answer.code, answer.err) == (0, "")
    lines = [f"{name}/0000{frame}.jpg,{v:.6f},0.000000\n" for name, frame, v in rows[::-1]]
    assert Path("out/predictions.txt").read_text() == LIST + "".join(lines)
    assert harness("verify", "out", *VA, "--list", "list.txt").code == 0
    Path("table.csv").write_text(HEAD + "my video_left,1,0,0\nmy video,1,0,0\n")
    one_line(
        harness,
        Path("table.csv").read_text(),
        Path("list.txt").read_text(),
        refused("listed-unanswered", what=Part("my video_right")),
    )


# --- verify -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xef\xbb\xbf" + CLEAN.encode(), "line 1: the file begins with a byte order mark, as a spreadsheet writes"),
        (CLEAN.replace(",", ";").encode(), "line 1: fields are separated by semicolons, as a spreadsheet writes them"),
        (CLEAN.replace("v/00001.jpg", '"v/00001.jpg"').encode(), "line 2: the line has quotes, as a spreadsheet"),
        (CLEAN.replace("\n", "\r\n").encode(), "line 1: the line has a carriage return, as Windows programs write"),
        (CLEAN.encode("utf-16"), "line 1: the file is UTF-16-LE, as a spreadsheet saves text"),
        (CLEAN.replace("0.500000", "nan").encode(), "line 2: valence is 'nan', not a number"),
        (CLEAN.replace(LIST, TRACKS["abaw6-expr"].submission_header + "\n").encode(), "line 1: the header is"),
        (CLEAN.replace("v/00002", "v/00003").encode(), "line 3: 'v/00003.jpg' is not in the list"),
    ],
)
def test_files_that_were_spoilt(content: bytes, says: str, harness: Any) -> None:
    Path("list.txt").write_text(LIST + "v/00001.jpg,\nv/00002.jpg,\n")
    Path("p.txt").write_bytes(CLEAN.encode())
    assert harness("verify", "p.txt", *VA, "--list", "list.txt").code == 0
    Path("p.txt").write_bytes(content)
    answer = harness("verify", "p.txt", *VA, "--list", "list.txt")
    assert (answer.code, answer.err) == (1, "")
    assert says in answer.out
    assert "findings as abaw6 va" in answer.out
    assert files() == {"list.txt", "p.txt"}


@pytest.mark.parametrize(
    ("asked", "code", "says"),
    [
        (("abaw6", "expr"), 1, "that of abaw5 va"),
        (("abaw3", "va"), 1, "this track is handed in as a file a video"),
        (("abaw11", "mtl"), 1, "line 1: the header is"),
        (("abaw10", "ah"), 1, "3 findings"),
        (("abaw7", "va"), 2, "edition abaw7 has no track 'va'"),
        (("abaw12", "va"), 2, "abaw12"),
    ],
)
def test_a_submission_of_another_edition_or_track(asked: tuple[str, str], code: int, says: str, harness: Any) -> None:
    Path("p.txt").write_bytes(CLEAN.encode())
    answer = harness("verify", "p.txt", "--edition", asked[0], "--track", asked[1])
    assert answer.code == code, answer.out + answer.err
    assert says in answer.out + answer.err
    if code == 2:
        assert answer.err.count("\n") == 1


# --- a run ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(program: Any) -> Path:
    folder: Path = program.kept("--encoders", "face", "--epochs", 1)
    return folder


def test_a_run_whose_answers_are_no_numbers_and_a_run_of_another_track(
    finished: Path, program: Any, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "r"))
    path = run / "predictions" / "test.post.parquet"
    table = pd.read_parquet(path)
    table.loc[3, "valence"] = np.nan
    table.to_parquet(path)
    note_files(run, ["predictions/test.post.parquet"])
    before = {str(p): p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    for more, refusal in (
        ((), refused("predictions-empty-value", name="valence")),
        (
            ("--track", "expr"),
            refused("submit-other-answers", folder="r", a="valence, arousal", name="expr", b=Part("Neutral")),
        ),
        (
            ("--edition", "abaw11", "--track", "mtl"),
            refused(
                "submit-other-answers",
                folder="r",
                a="valence, arousal",
                name="mtl",
                b=Part("valence, arousal, Neutral"),
            ),
        ),
        (
            ("--track", "ah"),
            refused("submit-other-answers", folder="r", a="valence, arousal", name="ah", b="absence, presence"),
        ),
    ):
        answer = program("submit", run, *more)
        assert answer.code == 2
        assert answer.err.count("\n") == 1
        refusal.check(answer.error)
        assert {str(p): p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
