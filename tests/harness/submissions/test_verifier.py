"""Every way to spoil a submission is found at its line, and named for what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.submissions.verifier import SHOWN, Finding, Listing, Report, read_list, verify
from tests.support.submission_cases import MADE_UP, registered
from zoo.registry.registry import load

LONG, SHORT = "10-60-1280x720_right", "video2"
KEYS = [f"{SHORT}/00001.jpg", f"{SHORT}/00002.jpg", *(f"{LONG}/0000{i}.jpg" for i in (1, 2, 3, 4))]
IDS = [f"8268{i}/Visite_1/8268{i}_Video.mp4" for i in range(4)]
EDITIONS = [entry.spec for entry in load([]).entries("editions")]


def written(header: str, keys: list[str], *rests: str) -> str:
    """One row a key; the answers in turn."""
    rows = [f"{key},{rests[i % len(rests)]}" for i, key in enumerate(keys)]
    return "".join(f"{line}\n" for line in ([header] if header else []) + rows)


SOUND = {
    "keyed-va": written("image_location,valence,arousal", KEYS, "0.500000,0.000000", "-1.000000,0.250000"),
    "keyed-expr": written(MADE_UP["keyed-expr"].submission_header, KEYS, "7", "0"),
    "keyed-au": written(
        MADE_UP["keyed-au"].submission_header, KEYS, "1,0,1,1,1,0,0,1,0,0,0,1", "0,0,0,0,0,0,0,0,0,0,0,0"
    ),
    "mtl": written(
        MADE_UP["mtl"].submission_header, KEYS[1:4], "-1.000000,0.250000,0" + ",0" * 12, "1,-0.5,4" + ",1" * 12
    ),
    "items-emi": written(MADE_UP["items-emi"].submission_header, ["12660", "00417"], "0,0,0.5,1,1,0.25"),
    "items-eri": written("File_ID,Fear", ["[12]", "[00417]"], "0.5"),
    "trials": written("", IDS, "0.250000,0.750000,1", "1.000000,0.000000,0"),
    "frame_trials": written("", [f"{IDS[0]}/frame-{i}.jpg" for i in range(4)], "1", "0"),
}


def listing(tmp_path: Path, name: str) -> Listing:
    (tmp_path / "list.txt").write_text(SOUND[name])
    return read_list(tmp_path / "list.txt", MADE_UP[name])


def spoilt(tmp_path: Path, name: str, change: Callable[[str], str | bytes], by_list: bool = True) -> list[Finding]:
    """What is found in a sound file after a change, against the list that the sound file is."""
    content = change(SOUND[name])
    path = tmp_path / "predictions.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return verify(path, MADE_UP[name], listing(tmp_path, name) if by_list else None, EDITIONS).findings  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SOUND)
def test_sound_files_are_clean(name: str, tmp_path: Path) -> None:
    assert spoilt(tmp_path, name, str) == []
    assert spoilt(tmp_path, name, str, by_list=False) == []


def swap(a: str, b: str, count: int = 1) -> Callable[[str], str]:
    """Replace text that must be there."""

    def change(text: str) -> str:
        assert a in text
        return text.replace(a, b, count)

    return change


def spreadsheet(text: str) -> bytes:
    """As a spreadsheet of another country saves it."""
    return b"\xef\xbb\xbf" + text.replace(",", ";").replace(".", ",").replace("\n", "\r\n").encode()


@pytest.mark.parametrize(
    ("name", "change", "line", "says"),
    [
        ("keyed-va", swap("image_location", "image"), 1, "the header is 'image,valence,arousal'"),
        ("keyed-va", swap("arousal", "arousal "), 1, "the header is"),
        ("keyed-expr", swap(",Other", ""), 1, "not 'image_location,Neutral"),
        (
            "keyed-va",
            swap("image_location,valence,arousal", "image,expression"),
            1,
            "that of abaw4 lsd, not 'image_loc",
        ),
        ("keyed-va", lambda text: text.partition("\n")[2], 1, "the header is 'video2/00001.jpg"),
        ("keyed-va", swap("0.500000", "nan"), 2, "valence is 'nan', not a number"),
        ("keyed-va", swap("0.500000", "inf"), 2, "valence is 'inf', not a number"),
        ("keyed-va", swap("0.500000", " 0.5"), 2, "valence is ' 0.5', not a number"),
        ("keyed-va", swap("0.500000", "0_5"), 2, "valence is '0_5', not a number"),
        ("keyed-va", swap("0.500000", "٠"), 2, "valence is '٠', not a number"),
        ("keyed-va", swap("0.500000", ""), 2, "valence is '', not a number"),
        ("keyed-va", swap("0.250000", "1.000001"), 3, "arousal is 1.000001, outside -1 to 1"),
        ("keyed-va", swap("-1.000000", "-5"), 3, "valence is -5, outside -1 to 1"),
        ("keyed-va", swap(",0.250000", ""), 3, "2 fields, not 3"),
        ("keyed-va", swap("0.250000", "0.250000,"), 3, "4 fields, not 3"),
        ("items-emi", swap("0.5,1", "-0.5,1"), 2, "Determination is -0.5, outside 0 to 1"),
        ("keyed-expr", swap("jpg,7", "jpg,8"), 2, "expression is '8', not a number from 0 to 7"),
        ("keyed-expr", swap("jpg,7", "jpg,-1"), 2, "expression is '-1'"),
        ("keyed-expr", swap("jpg,7", "jpg,7.0"), 2, "expression is '7.0'"),
        ("keyed-expr", swap("jpg,7", "jpg,Other"), 2, "expression is 'Other'"),
        ("keyed-au", swap("1,0,1,1,1,0,0,1", "1,0,1,1,1,0,2,1"), 2, "AU12 is '2', not a number from 0 to 1"),
        ("mtl", swap(",4,1", ",8,1"), 3, "expression is '8'"),
        ("mtl", swap("0.250000,0,", "0.250000,"), 2, "15 fields, not 16"),
        ("keyed-va", swap("\n", "\r\n", 99), 1, "carriage return, as Windows programs write"),
        ("keyed-va", lambda text: text[:-1], 7, "the last line has no line end"),
        ("keyed-va", lambda text: text + "\n", 8, "the line is empty"),
        ("keyed-va", swap("0.250000\n", "0.250000\n\n"), 4, "the line is empty"),
        ("keyed-va", lambda text: b"\xef\xbb\xbf" + text.encode(), 1, "byte order mark, as a spreadsheet writes"),
        ("keyed-va", lambda text: text.encode("utf-16"), 1, "the file is UTF-16-LE, as a spreadsheet saves text"),
        ("keyed-va", lambda text: text.encode().replace(b"0.25", b"0.25\xff", 1), 3, "a byte is not UTF-8"),
        ("keyed-va", spreadsheet, 1, "fields are separated by semicolons, as a spreadsheet writes them"),
        ("keyed-va", swap(",", "\t", 99), 1, "fields are separated by tabs"),
        ("keyed-va", swap("0.25", '"0.25"'), 3, "the line has quotes"),
        ("keyed-va", swap("video2/00001.jpg", '"video2/00001.jpg"'), 2, "the line has quotes, as a spreadsheet"),
        (
            "keyed-expr",
            swap("jpg,7", "jpg,7" + "," * 7),
            2,
            "9 fields, not 2: 'video2/00001.jpg,7,,,,,,,': a spreadsheet",
        ),
        ("keyed-va", swap("video2/00002.jpg", "video2/00001.jpg"), 3, "video2/00001.jpg was already on line 2"),
        ("keyed-va", swap("video2/00002.jpg", "video2/00001.jpg"), 3, "video2/00002.jpg is missing"),
        ("keyed-va", swap("video2/00002.jpg", "video2/2.jpg"), 3, "'video2/2.jpg' is not in the list"),
        ("keyed-va", swap("video2/00002.jpg,-1.000000,0.250000\n", ""), 3, "video2/00002.jpg is missing"),
        ("keyed-va", lambda text: text + "video2/00003.jpg,0,0\n", 8, "'video2/00003.jpg' is not in the list"),
        ("keyed-va", lambda text: "", 1, "the header is ''"),
        ("items-eri", swap("[00417]", "00417"), 3, "'00417' is not in the list"),
        ("items-eri", swap("[00417]", "[12]"), 3, "[12] was already on line 2"),
        ("trials", swap("0.250000", "0.250001"), 1, "p0 + p1 is 1.000001, not 1"),
        ("trials", swap("1.000000,0.000000", "1.5,-0.5"), 2, "p0 is 1.5, outside 0 to 1"),
        ("trials", swap("0.750000,1", "0.750000,2"), 1, "ah is '2', not a number from 0 to 1"),
        ("trials", swap("0.250000,0.750000,", ""), 2, "4 fields, not 2"),
        ("trials", swap(",0.750000", ""), 1, "3 fields, not 2 or 4"),
        ("trials", swap("82681/Visite_1", "82681/Visite 1"), 2, "there is a space in"),
        ("trials", swap("82680/", "video_id,p0,p1,label\n82680/"), 1, "p0 is 'p0', not a number"),
        ("frame_trials", swap("frame-0", "frame-9"), 1, "is not in the list"),
        ("frame_trials", swap("frame-1.jpg,0", "frame-1.jpg,0.5"), 2, "ah is '0.5'"),
    ],
)
def test_each_fault_is_found_at_its_line(
    name: str, change: Callable[[str], str | bytes], line: int, says: str, tmp_path: Path
) -> None:
    found = spoilt(tmp_path, name, change)
    assert any(f.line == line and says in f.text for f in found), found


def test_one_fault_is_one_finding(tmp_path: Path) -> None:
    assert spoilt(tmp_path, "keyed-va", swap("0.500000", "nan")) == [Finding(2, "valence is 'nan', not a number")]
    gone = spoilt(tmp_path, "keyed-va", swap(f"{LONG}/00003.jpg,0.500000,0.000000\n", ""))
    assert gone == [Finding(6, f"{LONG}/00003.jpg is missing; this is its line in the list")]
    sheet = spoilt(tmp_path, "keyed-va", lambda text: text.replace(",", ";").replace(".5", ",5"))
    assert len(sheet) == 1  # the marks are taken off, and what is behind them is sound


def test_rows_out_of_order_are_found_once_where_the_order_breaks(tmp_path: Path) -> None:
    def last_first(text: str) -> str:
        header, *rows = text.splitlines()
        return "\n".join([header, rows[-1], *rows[:-1]]) + "\n"

    found = spoilt(tmp_path, "keyed-va", last_first)
    assert found == [Finding(3, f"video2/00001.jpg comes after {LONG}/00004.jpg, but before it in the list")]


def test_twenty_of_a_kind_are_listed_and_the_rest_counted(tmp_path: Path) -> None:
    path = tmp_path / "predictions.txt"
    rows = "".join(f"video2/{frame:05d}.jpg,9,0\n" for frame in range(1, 101))
    path.write_text("image_location,valence,arousal\n" + rows)
    found = verify(path, MADE_UP["keyed-va"], None).findings
    assert [f.line for f in found] == [*range(2, 2 + SHOWN), 0]
    assert found[-1].text == "80 more like this (range)"


def test_a_submission_to_the_wrong_edition_is_recognised_by_its_header(tmp_path: Path) -> None:
    seven = registered()["abaw2-expr"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "v.txt").write_text(f"{seven.submission_header}\n0\n")
    found = verify(tmp_path / "out", registered()["abaw3-expr"], None, EDITIONS).findings  # type: ignore[arg-type]
    assert [f.line for f in found] == [1]
    assert "that of abaw1 expr, abaw2 expr" in found[0].text


# --- without a list, and with names -----------------------------------------------------------------------------------


def checked(tmp_path: Path, rows: str, name: str = "keyed-expr", names: tuple[str, ...] = ()) -> Report:
    path = tmp_path / "predictions.txt"
    header = MADE_UP[name].submission_header
    path.write_text((f"{header}\n" if header else "") + "".join(f"{row}\n" for row in rows.split()))
    if not names:
        return verify(path, MADE_UP[name], None)
    (tmp_path / "names.txt").write_text("".join(f"{one}\n" for one in names))
    return verify(path, MADE_UP[name], read_list(tmp_path / "names.txt", MADE_UP[name]))


def test_a_list_of_names_fixes_videos_their_order_and_whole_runs_of_frames(tmp_path: Path) -> None:
    whole = "b/00001.jpg,0 b/00002.jpg,0 a/00001.jpg,0"
    assert checked(tmp_path, whole).unchecked == "rows not checked: no official list"
    assert checked(tmp_path, whole).findings == []
    by_name = checked(tmp_path, whole, names=("b", "a"))
    assert (by_name.findings, by_name.rows) == ([], 3)
    assert by_name.unchecked == "rows not checked: names.txt names videos only, not their frames"
    assert checked(tmp_path, whole, names=("a", "b")).findings == [Finding(0, "b stands where the list has a")]
    assert checked(tmp_path, whole, names=("b", "a", "c")).findings == [Finding(0, "c is missing")]
    assert checked(tmp_path, whole, names=("b",)).findings == [Finding(4, "a is not in the list")]
    counted = checked(tmp_path, whole, names=("b,2", "a,1"))
    assert (counted.findings, counted.unchecked) == ([], None)
    assert checked(tmp_path, whole, names=("b 3", "a 1")).findings == [
        Finding(4, "b/00003.jpg is missing; this is its line in the list")
    ]


@pytest.mark.parametrize(
    ("name", "rows", "line", "says"),
    [
        ("keyed-expr", "a/00002.jpg,0", 2, "before a/00002.jpg 1 frames of its video are missing"),
        ("keyed-expr", "a/00001.jpg,0 a/00004.jpg,0", 3, "before a/00004.jpg 2 frames"),
        ("keyed-expr", "a/00001.jpg,0 a/00001.jpg,0", 3, "a/00001.jpg comes after frame 1"),
        ("keyed-expr", "a/00001.jpg,0 b/00001.jpg,0 a/00002.jpg,0", 4, "a comes a second time"),
        ("keyed-expr", "a/1.jpg,0", 2, "is not <video>/00001.jpg"),
        ("keyed-expr", "a/000001.jpg,0", 2, "is not <video>/00001.jpg"),
        ("keyed-expr", "../00001.jpg,0", 2, "is not <video>/00001.jpg"),
        ("keyed-expr", "a.jpg,0", 2, "is not <video>/00001.jpg"),
        ("keyed-expr", "a/00000.jpg,0", 2, "frames count from 00001"),
        ("keyed-expr", "", 0, "there is no row"),
        ("frame_trials", "", 0, "there is no row"),
        ("frame_trials", "a/b.mp4/frame-1.jpg,0", 1, "before a/b.mp4/frame-1.jpg 1 frames"),
        ("frame_trials", "a/b.mp4/frame-00.jpg,0", 1, "is not <video>/frame-0.jpg"),
        ("trials", "a/b.mp4,0 a/b.mp4,1", 2, "a/b.mp4 was already on line 1"),
        ("items-eri", "7,0.5", 2, "'7' is not an id of the form [...]"),
        ("items-lsd", "7.jpg,0 7.jpg,0", 3, "7.jpg was already on line 2"),
        ("mtl", "a/00000.jpg,0,0,0" + ",1" * 12, 2, "frames count from 00001"),
    ],
)
def test_without_a_list_the_form_alone_is_held(name: str, rows: str, line: int, says: str, tmp_path: Path) -> None:
    found = checked(tmp_path, rows, name).findings
    assert [f.line for f in found] == [line]
    assert says in found[0].text


def test_images_of_the_multi_task_track_may_have_gaps_and_any_order_but_no_doubles(tmp_path: Path) -> None:
    row = ",0,0,0" + ",1" * 12
    assert checked(tmp_path, f"a/00007.jpg{row} b/00001.jpg{row} a/00002.jpg{row}", "mtl").findings == []
    assert len(checked(tmp_path, f"a/00002.jpg{row} a/00002.jpg{row}", "mtl").findings) == 1
