"""Submission files against files written by hand, byte for byte, and what must be refused."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.data.lists import TestList, read_test_list
from harness.submit import write_submission
from harness.verify import verify
from plugins.editions import abaw2, abaw10, abaw11
from zoo.errors import UserError
from zoo.tracks import TrackSpec, VideoAnswers

GOLDEN = Path(__file__).parent / "golden"
VALENCE = {"video2": [0.5, -1.7], "10-60-1280x720_right": [1 / 3, -2 / 3, 1.2]}
AROUSAL = {"video2": [-1e-7, 0.25], "10-60-1280x720_right": [1e-7, -0.0, -0.5]}
EXPRESSION = {"video2": [7, 0], "10-60-1280x720_right": [4, 4, 5]}
UNITS = {"video2": ["101110010001", "0" * 12], "10-60-1280x720_right": ["1" * 12, "000000100010", "100000000001"]}
TRACKS = {"va": abaw10.VA, "expr": abaw10.EXPR, "au": abaw10.AU, "mtl": abaw11.MTL}


def answered(track: TrackSpec, video: str) -> VideoAnswers:
    units = np.array([[0.49, 0.5] for _ in range(12)])
    values: dict[str, Any] = {}
    au = 0
    for a in track.answers:
        if a.kind == "class":
            values[a.name] = np.full((len(EXPRESSION[video]), len(a.classes)), 0.1)
            values[a.name][np.arange(len(EXPRESSION[video])), EXPRESSION[video]] = 0.3
        elif a.kind == "binary":
            values[a.name] = units[au][[int(row[au]) for row in UNITS[video]]]
            au += 1
        else:
            values[a.name] = np.array((VALENCE if a.name == "valence" else AROUSAL)[video], np.float32)
    times = np.arange(len(VALENCE[video])) / 25
    return VideoAnswers(video, video, values, {}, {}, times)


def all_answered(track: TrackSpec) -> dict[str, VideoAnswers]:
    return {video: answered(track, video) for video in VALENCE}


def listed(*rows: tuple[str, int], path: str = "list.txt") -> TestList:
    videos = tuple(dict.fromkeys(video for video, _ in rows))
    at = np.array([videos.index(video) for video, _ in rows], np.int32)
    return TestList(Path(path), "rows", videos, at, np.array([frame for _, frame in rows], np.int32))


def named(*videos: str) -> TestList:
    return TestList(Path("names.txt"), "names", videos, np.zeros(0, np.int32), np.zeros(0, np.int32))


ROWS = listed(*[("video2", f) for f in (1, 2)], *[("10-60-1280x720_right", f) for f in (1, 2, 3, 4)])
IMAGES = listed(("video2", 2), ("10-60-1280x720_right", 1), ("10-60-1280x720_right", 3))


@pytest.mark.parametrize("name", TRACKS)
def test_one_file_is_what_was_written_by_hand(name: str, tmp_path: Path) -> None:
    track, rows = TRACKS[name], IMAGES if name == "mtl" else ROWS
    got = write_submission(tmp_path / "predictions.txt", track, all_answered(track), rows)
    content = got.path.read_bytes()
    assert content == (GOLDEN / f"{name}.txt").read_bytes()
    assert verify(got.path, track, rows) == []
    assert (got.rows, got.held) == ((3, 0) if name == "mtl" else (6, 1))
    assert got.official
    assert got.sha256 == hashlib.sha256(content).hexdigest()
    assert [p.name for p in tmp_path.iterdir()] == ["predictions.txt"]


def test_the_golden_file_is_itself_a_list_that_is_answered_in_its_order(tmp_path: Path) -> None:
    rows = read_test_list(GOLDEN / "va.txt", abaw10.VA)
    got = write_submission(tmp_path / "out.txt", abaw10.VA, all_answered(abaw10.VA), rows)
    assert got.path.read_bytes() == (GOLDEN / "va.txt").read_bytes()


def test_a_file_a_video(tmp_path: Path) -> None:
    got = write_submission(tmp_path / "predictions.txt", abaw2.VA, all_answered(abaw2.VA), named(*VALENCE))
    assert got.path == tmp_path / "predictions"
    golden = GOLDEN / "per_video"
    assert {p.name: p.read_bytes() for p in got.path.iterdir()} == {p.name: p.read_bytes() for p in golden.iterdir()}
    assert verify(got.path, abaw2.VA, named(*VALENCE)) == []
    sums = "".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in sorted(golden.iterdir()))
    assert got.sha256 == hashlib.sha256(sums.encode()).hexdigest()
    # A second one takes the place of the first; files that are no submission stay where they are.
    again = write_submission(tmp_path / "predictions.txt", abaw2.VA, all_answered(abaw2.VA), named("video2"))
    assert [p.name for p in again.path.iterdir()] == ["video2.txt"]
    (again.path / "thesis.docx").touch()
    with pytest.raises(UserError, match="is no submission"):
        write_submission(tmp_path / "predictions.txt", abaw2.VA, all_answered(abaw2.VA), None)
    assert [p.name for p in tmp_path.iterdir()] == ["predictions"]


def test_names_set_the_order_and_no_list_sorts_and_says_so(tmp_path: Path) -> None:
    track, out = abaw10.EXPR, tmp_path / "predictions.txt"
    by_name = write_submission(out, track, all_answered(track), named("video2", "10-60-1280x720_right"))
    assert by_name.path.read_text() == "".join((GOLDEN / "expr.txt").read_text().splitlines(True)[:-1])
    assert by_name.official
    without = write_submission(out, track, all_answered(track), None)
    assert without.path.read_text().splitlines()[1].startswith("10-60-1280x720_right/00001.jpg,")
    assert (without.official, without.rows, without.held) == (False, 5, 0)
    assert verify(out, track, None) == []


def test_the_histogram_counts_rows(tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    expr = write_submission(out, abaw10.EXPR, all_answered(abaw10.EXPR), ROWS).histogram
    assert {name: n for name, n in expr.items() if n} == {"Neutral": 1, "Happiness": 2, "Sadness": 2, "Other": 1}
    assert len(expr) == 8
    au = write_submission(out, abaw10.AU, all_answered(abaw10.AU), ROWS).histogram
    assert list(au) == [a.name for a in abaw10.AU.answers]
    assert (au["AU1"], au["AU26"], au["AU24"]) == (4, 4, 1)
    assert write_submission(out, abaw10.VA, all_answered(abaw10.VA), ROWS).histogram == {}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (listed(("video2", 1), ("video2", 4)), r"row 2 of the list, video2/00004.jpg: the video has 2 answered frames"),
        (listed(("video2", 0)), "row 1 of the list, video2/00000.jpg"),
        (listed(("video2", 1), ("video3", 1)), "list.txt: no answers for video3"),
        (named(*(f"v{i}" for i in range(9))), "no answers for v0, v1, v2 and 6 more"),
        (named(), "no test video"),
    ],
)
def test_rows_that_cannot_be_answered_are_refused(rows: TestList, says: str, tmp_path: Path) -> None:
    out = tmp_path / "predictions.txt"
    out.write_text("an older submission")
    with pytest.raises(UserError, match=says):
        write_submission(out, abaw10.VA, all_answered(abaw10.VA), rows)
    assert out.read_text() == "an older submission"
    assert [p.name for p in tmp_path.iterdir()] == ["predictions.txt"]


def test_an_answer_that_is_no_number_is_never_written(tmp_path: Path) -> None:
    for track, name in ((abaw10.VA, "arousal"), (abaw10.EXPR, "expression"), (abaw10.AU, "AU7")):
        answers = all_answered(track)
        answers["10-60-1280x720_right"].values[name][1] = np.nan
        with pytest.raises(UserError, match=f"10-60-1280x720_right/00002.jpg: the answer {name} is not a finite"):
            write_submission(tmp_path / "out.txt", track, answers, ROWS)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_a_row_cannot_hold_and_files_without_keys_that_need_them(tmp_path: Path) -> None:
    answers = all_answered(abaw10.VA)
    with pytest.raises(UserError, match="comma"):
        write_submission(tmp_path / "out.txt", abaw10.VA, answers | {"a,b": answers["video2"]}, None)
    with pytest.raises(UserError, match="10-60-1280x720_right: the list leaves out or reorders frames"):
        write_submission(tmp_path / "out", abaw2.VA, answers, listed(("video2", 1), ("10-60-1280x720_right", 2)))
    short = answers["video2"]
    short.values["arousal"] = short.values["arousal"][:1]
    with pytest.raises(ValueError, match="more or fewer answers arousal"):
        write_submission(tmp_path / "out.txt", abaw10.VA, answers, None)
    assert list(tmp_path.iterdir()) == []


def test_random_answers_are_read_back_as_they_were_and_verify(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for case in range(30):
        lengths = {f"v{i}{suffix}": int(rng.integers(1, 40)) for i, suffix in enumerate(("", "_left", "-ä b", "_2"))}
        answers = {
            name: VideoAnswers(
                name,
                name,
                {a.name: rng.normal(0, 10.0 ** -(case % 9), n) for a in abaw10.VA.answers},
                {},
                {},
                np.arange(n),
            )
            for name, n in lengths.items()
        }
        rows = [(name, frame) for name, n in lengths.items() for frame in range(1, n + int(rng.integers(0, 2)) + 1)]
        rng.shuffle(rows)
        wanted = listed(*((str(name), int(frame)) for name, frame in rows))
        got = write_submission(tmp_path / "out.txt", abaw10.VA, answers, wanted)
        assert verify(got.path, abaw10.VA, wanted) == []
        for (name, frame), line in zip(rows, got.path.read_text("utf-8").splitlines()[1:], strict=True):
            key, *numbers = line.split(",")
            at = min(int(frame), lengths[name]) - 1
            expected = [np.clip(answers[name].values[a.name][at], -1, 1) for a in abaw10.VA.answers]
            assert key == f"{name}/{int(frame):05d}.jpg"
            np.testing.assert_allclose([float(x) for x in numbers], expected, atol=5.1e-7)
            assert "-0.000000" not in numbers


@pytest.mark.slow
@pytest.mark.parametrize(("name", "total"), [("va", 927_210), ("expr", 1_022_655), ("au", 729_736)])
def test_a_full_submission_is_written_and_verified_in_seconds(name: str, total: int, tmp_path: Path) -> None:
    track, videos = TRACKS[name], 150
    frames = np.full(videos, total // videos)
    frames[: total % videos] += 1
    rng = np.random.default_rng(0)
    answers = {}
    for i, n in enumerate(frames):
        values = {a.name: rng.random((n, len(a.classes)) if a.kind == "class" else n) for a in track.answers}
        answers[f"{i}-30-1920x1080"] = SimpleNamespace(values=values, times=np.arange(n))
    names = tuple(answers)
    at = np.repeat(np.arange(videos), frames).astype(np.int32)
    frame = np.concatenate([np.arange(1, n + 1) for n in frames]).astype(np.int32)
    rows = TestList(Path("list.txt"), "rows", names, at, frame)
    start = time.perf_counter()
    got = write_submission(tmp_path / "out.txt", track, answers, rows)  # type: ignore[arg-type]
    written = time.perf_counter()
    assert verify(got.path, track, rows) == []
    verified = time.perf_counter()
    print(f"{name}: {got.rows:,} rows written in {written - start:.1f} s, verified in {verified - written:.1f} s")
    assert got.rows == total
    assert verified - start < 20
