"""Every way to spoil a submission is found at its line; the golden files are clean."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.data.lists import TestList, read_test_list
from harness.verify import SHOWN, Finding, verify
from plugins.editions import abaw2, abaw10, abaw11
from zoo.tracks import TrackSpec

GOLDEN = Path(__file__).parent / "golden"
TRACKS = {"va": abaw10.VA, "expr": abaw10.EXPR, "au": abaw10.AU, "mtl": abaw11.MTL}
LONG, SHORT = "10-60-1280x720_right", "video2"


def names(*videos: str) -> TestList:
    return TestList(Path("names.txt"), "names", videos, np.zeros(0, np.int32), np.zeros(0, np.int32))


def spoilt(tmp_path: Path, name: str, change: Callable[[str], str | bytes]) -> list[Finding]:
    """What is found in a golden file after a change, against the list that the golden file is."""
    content = change((GOLDEN / f"{name}.txt").read_text())
    path = tmp_path / "predictions.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return verify(path, TRACKS[name], read_test_list(GOLDEN / f"{name}.txt", TRACKS[name]))


@pytest.mark.parametrize("name", TRACKS)
def test_golden_files_are_clean(name: str, tmp_path: Path) -> None:
    assert spoilt(tmp_path, name, str) == []


def swap(a: str, b: str, count: int = 1) -> Callable[[str], str]:
    """Replace text that must be there."""

    def change(text: str) -> str:
        assert a in text
        return text.replace(a, b, count)

    return change


@pytest.mark.parametrize(
    ("name", "change", "line", "says"),
    [
        ("va", swap("image_location", "image"), 1, "the header is 'image,valence,arousal'"),
        ("va", swap("arousal", "arousal "), 1, "the header is"),
        ("expr", swap(",Other", ""), 1, "the header is"),
        ("va", swap("0.500000", "nan"), 2, "valence is 'nan', not a number"),
        ("va", swap("0.500000", "inf"), 2, "valence is 'inf', not a number"),
        ("va", swap("0.500000", " 0.5"), 2, "valence is ' 0.5', not a number"),
        ("va", swap("0.500000", "0_5"), 2, "valence is '0_5', not a number"),
        ("va", swap("0.500000", ""), 2, "valence is '', not a number"),
        ("va", swap("0.250000", "1.000001"), 3, "arousal is 1.000001, outside -1 to 1"),
        ("va", swap("-1.000000", "-5"), 3, "valence is -5, outside -1 to 1"),
        ("va", swap(",0.250000", ""), 3, "2 fields, not 3"),
        ("va", swap("0.250000", "0.250000,"), 3, "4 fields, not 3"),
        ("expr", swap("jpg,7", "jpg,8"), 2, "expression is '8', not a number from 0 to 7"),
        ("expr", swap("jpg,7", "jpg,-1"), 2, "expression is '-1'"),
        ("expr", swap("jpg,7", "jpg,7.0"), 2, "expression is '7.0'"),
        ("expr", swap("jpg,7", "jpg,Other"), 2, "expression is 'Other'"),
        ("au", swap("1,0,1,1,1,0,0,1,0,0,0,1", "1,0,1,1,1,0,2,1,0,0,0,1"), 2, "AU12 is '2', not a number from 0 to 1"),
        ("mtl", swap(",4,1", ",8,1"), 3, "expression is '8'"),
        ("mtl", swap("0.250000,0,", "0.250000,"), 2, "15 fields, not 16"),
        ("va", swap("\n", "\r\n", 99), 1, "carriage return"),
        ("va", lambda text: text[:-1], 7, "the last line has no line end"),
        ("va", lambda text: text + "\n", 8, "the line is empty"),
        ("va", swap("0.250000\n", "0.250000\n\n"), 4, "the line is empty"),
        ("va", lambda text: b"\xef\xbb\xbf" + text.encode(), 1, "byte order mark"),
        ("va", lambda text: text.encode().replace(b"0.250000", b"0.25\xff000"), 3, "a byte is not UTF-8"),
        ("va", swap("video2/00002.jpg", "video2/00001.jpg"), 3, "video2/00001.jpg was already on line 2"),
        ("va", swap("video2/00002.jpg", "video2/00001.jpg"), 3, "video2/00002.jpg is missing"),
        ("va", swap("video2/00002.jpg", "video2/2.jpg"), 3, "'video2/2.jpg' is not in the list"),
        ("va", swap("video2/00002.jpg,-1.000000,0.250000\n", ""), 3, "video2/00002.jpg is missing"),
        ("va", lambda text: text + "video2/00003.jpg,0,0\n", 8, "'video2/00003.jpg' is not in the list"),
        ("va", lambda text: "", 1, "the header is ''"),
    ],
)
def test_each_fault_is_found_at_its_line(
    name: str, change: Callable[[str], str | bytes], line: int, says: str, tmp_path: Path
) -> None:
    found = spoilt(tmp_path, name, change)
    assert any(f.line == line and says in f.text for f in found), found


def test_one_fault_is_one_finding(tmp_path: Path) -> None:
    assert spoilt(tmp_path, "va", swap("0.500000", "nan")) == [Finding(2, "valence is 'nan', not a number")]
    key = f"{LONG}/00003.jpg"
    gone = spoilt(tmp_path, "va", swap(f"{key},1.000000,-0.500000\n", ""))
    assert gone == [Finding(6, f"{key} is missing; this is its line in the list")]


def test_rows_out_of_order_are_found_once_where_the_order_breaks(tmp_path: Path) -> None:
    def last_first(text: str) -> str:
        header, *rows = text.splitlines()
        return "\n".join([header, rows[-1], *rows[:-1]]) + "\n"

    found = spoilt(tmp_path, "va", last_first)
    assert found == [Finding(3, f"video2/00001.jpg comes after {LONG}/00004.jpg, in the list before it")]


def test_twenty_of_a_kind_are_listed_and_the_rest_counted(tmp_path: Path) -> None:
    path = tmp_path / "predictions.txt"
    rows = "".join(f"video2/{frame:05d}.jpg,9,0\n" for frame in range(1, 101))
    path.write_text("image_location,valence,arousal\n" + rows)
    found = verify(path, abaw10.VA, None)
    assert [f.line for f in found] == [*range(2, 2 + SHOWN), 0]
    assert found[-1].text == "80 more like this (range)"


@pytest.mark.parametrize("name", TRACKS)
def test_no_random_damage_passes(name: str, tmp_path: Path) -> None:
    """Lines deleted, doubled, swapped, and characters put out of place."""
    rng = random.Random(0)
    text = (GOLDEN / f"{name}.txt").read_text()
    for _ in range(200):
        lines = text.splitlines(keepends=True)
        i, j = rng.sample(range(len(lines)), 2)
        damage = rng.randrange(4)
        if damage == 0:
            del lines[i]
        elif damage == 1:
            lines.insert(i, lines[j])
        elif damage == 2:
            lines[i], lines[j] = lines[j], lines[i]
        else:
            at = rng.randrange(len(lines[i]))
            lines[i] = lines[i][:at] + rng.choice(",;x \r\n/") + lines[i][at + 1 :]
        damaged = "".join(lines)
        if damaged != text:
            assert spoilt(tmp_path, name, lambda _, damaged=damaged: damaged), damaged


# --- lists of names, no list, folders, nothing ------------------------------------------------------------------------


def checked(tmp_path: Path, rows: str, track: TrackSpec = abaw10.EXPR, listed: TestList | None = None) -> list[Finding]:
    path = tmp_path / "predictions.txt"
    path.write_text(track.submission_header + "\n" + "".join(f"{row}\n" for row in rows.split()))
    return verify(path, track, listed)


def test_a_list_of_names_fixes_videos_their_order_and_whole_runs_of_frames(tmp_path: Path) -> None:
    whole = "b/00001.jpg,0 b/00002.jpg,0 a/00001.jpg,0"
    assert checked(tmp_path, whole, listed=names("b", "a")) == []
    assert checked(tmp_path, whole) == []
    assert checked(tmp_path, whole, listed=names("a", "b")) == [Finding(0, "b stands where the list has a")]
    assert checked(tmp_path, whole, listed=names("b", "a", "c")) == [Finding(0, "c is missing")]
    assert checked(tmp_path, whole, listed=names("b")) == [Finding(4, "a is not in the list")]


@pytest.mark.parametrize(
    ("rows", "line", "says"),
    [
        ("a/00002.jpg,0", 2, "before a/00002.jpg 1 frames of its video are missing"),
        ("a/00001.jpg,0 a/00004.jpg,0", 3, "before a/00004.jpg 2 frames"),
        ("a/00001.jpg,0 a/00001.jpg,0", 3, "a/00001.jpg comes after frame 1"),
        ("a/00001.jpg,0 b/00001.jpg,0 a/00002.jpg,0", 4, "a comes a second time"),
        ("a/1.jpg,0", 2, "is not <video>/00001.jpg"),
        ("a.jpg,0", 2, "is not <video>/00001.jpg"),
        ("", 0, "there is no row"),
    ],
)
def test_without_a_list_frames_still_run_from_1_on(rows: str, line: int, says: str, tmp_path: Path) -> None:
    found = checked(tmp_path, rows)
    assert [f.line for f in found] == [line]
    assert says in found[0].text


def test_images_of_the_multi_task_track_may_have_gaps_but_no_doubles(tmp_path: Path) -> None:
    row = ",0,0,0" + ",1" * 12
    assert checked(tmp_path, f"a/00002.jpg{row} a/00007.jpg{row}", abaw11.MTL) == []
    assert len(checked(tmp_path, f"a/00002.jpg{row} a/00002.jpg{row}", abaw11.MTL)) == 1


def test_a_folder_with_a_file_a_video(tmp_path: Path) -> None:
    folder = tmp_path / "predictions"
    shutil.copytree(GOLDEN / "per_video", folder)
    both = names(SHORT, LONG)
    three = np.array([0, 0, 1, 1, 1], np.int32), np.array([1, 2, 1, 2, 3], np.int32)
    assert verify(folder, abaw2.VA, both) == []
    assert verify(folder, abaw2.VA, None) == []
    assert verify(folder, abaw2.VA, TestList(Path("list.txt"), "rows", both.videos, *three)) == []
    two = np.array([0, 0, 1, 1], np.int32), np.array([1, 2, 1, 2], np.int32)
    assert verify(folder, abaw2.VA, TestList(Path("list.txt"), "rows", both.videos, *two)) == [
        Finding(4, f"{LONG}.txt: 3 rows, expected 2")
    ]
    (folder / f"{SHORT}.txt").write_text("valence,arousal\n0.5,0\n2,0\n")
    (folder / "other.txt").write_text("valence,arousal\n")
    (folder / "notes.md").touch()
    texts = [(f.line, f.text) for f in verify(folder, abaw2.VA, names(SHORT, "gone"))]
    assert (0, "gone.txt is missing") in texts
    assert (0, f"{LONG}.txt is not in the list") in texts
    assert (3, f"{SHORT}.txt: valence is 2, outside -1 to 1") in texts
    assert (1, "other.txt: 0 rows, expected at least 1") in texts
    assert (0, "notes.md: is no .txt file") in texts


def test_nothing_there(tmp_path: Path) -> None:
    for track in (abaw10.VA, abaw2.VA):
        (finding,) = verify(tmp_path / "nowhere", track, None)
        assert finding.line == 0
        assert "there is no such" in finding.text
    (finding,) = verify(tmp_path, abaw2.VA, None)
    assert "is empty" in finding.text
