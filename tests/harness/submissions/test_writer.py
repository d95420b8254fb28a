"""What is written where lists and predictions do not quite meet, and what is refused, with nothing written."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest

from harness.submissions import submission
from harness.submissions.submission import SubmissionResult, link_record, make_submission, submit_videos
from harness.submissions.verifier import Finding, Report
from harness.submissions.writer import from_videos, read_list, read_table
from tests.support.refusals import Part, Refusal, refused
from tests.support.submission_cases import MADE_UP, Rows, key, runs_of_frames, write_list, write_table
from zoo.metrics.scores import confusion, f1_per_class
from zoo.tracks import TrackSpec, VideoAnswers

VA, EXPR, AU = MADE_UP["keyed-va"], MADE_UP["keyed-expr"], MADE_UP["keyed-au"]
OUT = "out"


def answered(track: TrackSpec, lengths: dict[str, int]) -> list[VideoAnswers]:
    """A run's answers: valence n/100 at frame n, arousal its negative, class n mod their number."""
    videos = []
    for name, n in lengths.items():
        frames = np.arange(1, n + 1)
        values = {
            a.name: (frames / 100 * (-1) ** i if a.kind == "value" else np.eye(len(a.classes))[frames % len(a.classes)])
            for i, a in enumerate(track.answers)
        }
        videos.append(VideoAnswers(name, name, values, {}, {"face": np.ones(n, bool)}, frames / 25))
    return videos


def made(
    track: TrackSpec, lengths: dict[str, int], rows: Rows | None, folder: Path, **more: object
) -> SubmissionResult:
    listed = write_list(folder / "list.txt", track, rows) if rows is not None else None
    return make_submission(track, from_videos(track, answered(track, lengths)), listed, folder / OUT, **more)  # type: ignore[arg-type]


def table(track: TrackSpec, content: str, rows: Rows | None, folder: Path, name: str = "p.csv") -> SubmissionResult:
    listed = write_list(folder / "list.txt", track, rows) if rows is not None else None
    (folder / name).write_text(content)
    return make_submission(track, read_table(folder / name, track), listed, folder / OUT)


def lines(one: SubmissionResult) -> list[str]:
    return one.path.read_text("utf-8").splitlines()[1:]


# --- frames that do not meet ------------------------------------------------------------------------------------------


def test_frame_counts_that_differ_by_one_are_held_or_left_out_and_reported(tmp_path: Path) -> None:
    rows = runs_of_frames(VA, {"a": 4, "b": 2})
    one = made(VA, {"b": 3, "a": 3}, rows, tmp_path)
    assert lines(one)[2] == "a/00003.jpg,0.030000,-0.030000"
    assert lines(one)[3] == "a/00004.jpg,0.030000,-0.030000"
    assert lines(one)[4:] == ["b/00001.jpg,0.010000,-0.010000", "b/00002.jpg,0.020000,-0.020000"]
    assert (one.manifest["held_rows"], one.manifest["left_out_frames"]) == (1, 1)
    assert any("filled with it: 1" in note for note in one.notes)
    assert any("left out: 1" in note for note in one.notes)


@pytest.mark.parametrize(
    ("lengths", "refusal"),
    [
        ({"a": 2}, refused("list-longer-than-answers", part="a", frame="4", part3="2")),
        ({"a": 6}, refused("list-shorter-than-answers", part="a", frame="4", part3="6")),
    ],
)
def test_counts_that_differ_by_more_are_refused(lengths: dict[str, int], refusal: Refusal, tmp_path: Path) -> None:
    with refusal:
        made(VA, lengths, runs_of_frames(VA, {"a": 4}), tmp_path)
    assert not (tmp_path / OUT).exists()


def test_gaps_of_a_table_are_interpolated_as_numpy_does_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    have = np.sort(rng.choice(np.arange(3, 58), 21, replace=False))
    p = rng.dirichlet(np.ones(8), 21)
    columns = {"video": "v", "frame": have} | {f"p_{c}": p[:, i] for i, c in enumerate(EXPR.answers[0].classes)}
    write_table(tmp_path / "p.parquet", pd.DataFrame(columns).sample(frac=1, random_state=0))
    rows = runs_of_frames(EXPR, {"v": 60})
    listed = write_list(tmp_path / "list.txt", EXPR, rows)
    one = make_submission(EXPR, read_table(tmp_path / "p.parquet", EXPR), listed, tmp_path / OUT)
    wanted = np.stack([np.interp(np.arange(1, 61), have, p[:, i]) for i in range(8)], axis=1).argmax(1)
    assert [int(line.split(",")[1]) for line in lines(one)] == wanted.tolist()
    held = have[0] - 1 + 60 - have[-1]
    assert (one.manifest["held_rows"], one.manifest["interpolated_rows"]) == (held, 60 - 21 - held)


def test_class_numbers_decide_and_fill_gaps_from_the_nearer_side(tmp_path: Path) -> None:
    content = "video,frame,expression\nv,1,7\nv,4,2\nv,8,5\n"
    one = table(EXPR, content, runs_of_frames(EXPR, {"v": 9}), tmp_path)
    assert [line[-1] for line in lines(one)] == list("772222555")
    p = ",".join(f"p_{c}" for c in EXPR.answers[0].classes)
    both = f"video,frame,expression,{p}\nv,1,7,1,0,0,0,0,0,0,0\nv,3,6,0,1,0,0,0,0,0,0\nv,6,5,0,1,0,0,0,0,0,0\n"
    one = table(EXPR, both, runs_of_frames(EXPR, {"v": 6}), tmp_path)
    assert [line[-1] for line in lines(one)] == list("706115")  # given at 1, 3, 6; by probability between


def test_frames_no_slot_saw_are_counted(tmp_path: Path) -> None:
    listed = write_list(tmp_path / "list.txt", VA, runs_of_frames(VA, {"a": 8, "b": 3}))
    videos = answered(VA, {"a": 7, "b": 3})
    videos[0].present["face"][:] = [0, 0, 1, 0, 1, 1, 0]
    videos[1].present["face"][:] = False  # never seen: the model's own answers
    one = make_submission(VA, from_videos(VA, videos), listed, tmp_path / OUT)
    counts = [cast(dict[str, object], one.manifest)[f"{kind}_rows"] for kind in ("unseen", "interpolated", "held")]
    assert counts == [3 + 2 + 3, 1, 2 + 2]  # frame 8 is beyond the video's last, which is unseen itself


# --- lists ------------------------------------------------------------------------------------------------------------


def test_names_set_the_order_and_no_list_sorts_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("b.mp4\r\na\r\n\r\n")
    answers = from_videos(VA, answered(VA, {"a": 1, "b": 2, "c": 1}))
    by_name = make_submission(VA, answers, tmp_path / "names.txt", tmp_path / OUT)
    assert [line.split(",")[0] for line in lines(by_name)] == ["b/00001.jpg", "b/00002.jpg", "a/00001.jpg"]
    assert by_name.manifest["list"]["kind"] == "names"
    assert any("not in the list, left out: 1 (c)" in note for note in by_name.notes)
    without = make_submission(VA, answers, None, tmp_path / OUT)
    assert [line[0] for line in lines(without)] == list("abbc")
    assert (without.manifest["official"], without.manifest["list"]) == (False, None)
    assert any("not an official row set" in note for note in without.notes)


def test_without_a_list_videos_are_sorted_whatever_order_they_were_answered_in(tmp_path: Path) -> None:
    one = made(VA, {"c": 1, "a": 2, "b": 1}, None, tmp_path)
    assert [line.split(",")[0] for line in lines(one)] == ["a/00001.jpg", "a/00002.jpg", "b/00001.jpg", "c/00001.jpg"]
    assert lines(one)[1].endswith(",0.020000,-0.020000")


def test_numbers_outside_the_range_are_brought_to_its_ends_and_counted(tmp_path: Path) -> None:
    content = "video,frame,valence,arousal\nv,1,1.5,-1.0000001\nv,2,-7,0.25\nv,3,1,-1\n"
    one = table(VA, content, runs_of_frames(VA, {"v": 3}), tmp_path)
    assert [line.split(",")[1:] for line in lines(one)] == [
        ["1.000000", "-1.000000"],
        ["-1.000000", "0.250000"],
        ["1.000000", "-1.000000"],
    ]
    assert one.manifest["clipped_rows"] == 2


def test_a_unit_is_present_from_one_half_on_as_the_score_has_it(tmp_path: Path) -> None:
    half, below = np.float64(0.5), np.nextafter(0.5, 0)
    p = np.array([half, below, 0.0, 1.0])
    values = {a.name: p for a in AU.answers}
    videos = [VideoAnswers("v", "v", values, {}, {"face": np.ones(4, bool)}, np.arange(4) / 25)]
    one = make_submission(AU, from_videos(AU, videos), None, tmp_path / OUT)
    assert [line.split(",")[1:] for line in lines(one)] == [[c] * len(AU.answers) for c in "1001"]
    counts = confusion(p >= 0.5, np.array([1, 0, 0, 1]), 2)
    assert f1_per_class(counts)[1] == 1.0


@pytest.mark.parametrize(("form", "first"), [("frame_trials", 0), ("keyed-au", 1)])
def test_without_a_list_frames_are_numbered_as_the_form_numbers_them(form: str, first: int, tmp_path: Path) -> None:
    track = MADE_UP[form]
    names = ",".join(a.name for a in track.answers)
    rows = "".join(f"{video},{frame}{',1' * len(track.answers)}\n" for video in "ba" for frame in (1, 2, 3))
    written = table(track, f"video,frame,{names}\n{rows}", None, tmp_path).path.read_text("utf-8").splitlines()
    keys = [line.split(",")[0] for line in written[bool(track.submission_header) :]]
    image = "frame-{}.jpg" if first == 0 else "{:05d}.jpg"
    assert keys == [f"{video}/{image.format(first + i)}" for video in "ab" for i in range(3)]


@pytest.mark.parametrize("form", MADE_UP)
def test_what_is_listed_and_not_predicted_is_named(form: str, tmp_path: Path) -> None:
    track = MADE_UP[form]
    rows = runs_of_frames(track, {f"v{i}": 2 for i in range(6)})
    have = "video,frame," + ",".join(a.name for a in track.answers) + "\nv1,1" + ",0" * len(track.answers)
    with refused("listed-unanswered", where="list.txt: ", what="there are no predictions for v0, v2, v3 and 2 more"):
        table(track, have + "\n", rows, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"list.txt", "p.csv"}


def test_a_listed_image_without_an_answer_is_no_gap(tmp_path: Path) -> None:
    track = MADE_UP["mtl"]
    cells = ",0" * len(track.answers)
    content = "image," + ",".join(a.name for a in track.answers) + f"\nv/00001.jpg{cells}\nv/00003.jpg{cells}\n"
    assert table(track, content, [("v", 3), ("v", 1)], tmp_path).manifest["rows"] == 2
    with refused("image-unanswered", part="v"):
        table(track, content, [("v", 3), ("v", 2)], tmp_path)


def test_the_example_decides_about_an_unconfirmed_header(tmp_path: Path) -> None:
    track = MADE_UP["csv"]
    (tmp_path / "template").mkdir()
    (tmp_path / "template" / "v.csv").write_text("Frame_Num,Label\n1,\n2,\n")
    (tmp_path / "p.csv").write_text("video,frame,p_violence\nv,1,0.2\nv,2,0.9\n")
    answers = read_table(tmp_path / "p.csv", track)
    followed = make_submission(track, answers, tmp_path / "template", tmp_path / OUT)
    assert (followed.path / "v.csv").read_text() == "Frame_Num,Label\n1,0\n2,1\n"
    assert any("the header follows the list: 'Frame_Num,Label'" in note for note in followed.notes)
    (tmp_path / "template" / "v.csv").write_text("Predictions,Probability\n1,\n2,\n")
    with refused("list-header-of-other-track", name="vd"):
        make_submission(track, answers, tmp_path / "template", tmp_path / OUT)
    own = make_submission(track, answers, None, tmp_path / OUT)
    assert (own.path / "v.csv").read_text().startswith("Frame_Number,Label\n")
    assert any("is unconfirmed (others: 'Frame_Num,Label' or" in note for note in own.notes)


def test_trials_follow_the_reference_in_having_probabilities(tmp_path: Path) -> None:
    track, rng = MADE_UP["trials"], np.random.default_rng(0)
    ids = [f"8/{i}.mp4" for i in range(2000)]
    p = rng.random(2000).astype(np.float32)
    write_table(tmp_path / "p.parquet", pd.DataFrame({"id": ids, "p_absence": 1 - p, "p_presence": p}))
    answers = read_table(tmp_path / "p.parquet", track)
    for tail, width in ((",0.5,0.5,0", 4), (",1", 2), ("", 4)):
        (tmp_path / "trial-0.txt").write_text("".join(f"{name}{tail}\n" for name in ids))
        one = make_submission(track, answers, tmp_path / "trial-0.txt", tmp_path / OUT, name="trial-3.txt")
        assert one.path.name == "trial-3.txt"
        rows = [line.split(",") for line in one.path.read_text().splitlines()]
        assert {len(row) for row in rows} == {width}
        assert [int(row[-1]) for row in rows] == (p > 0.5).astype(int).tolist()
        if width == 4:
            assert all(float(row[1]) + float(row[2]) == 1.0 for row in rows)
    write_table(tmp_path / "ids.csv", pd.DataFrame({"id": ids, "ah": 1}))
    (tmp_path / "trial-0.txt").write_text("".join(f"{name},0.5,0.5,0\n" for name in ids))
    with refused("probabilities-missing"):
        make_submission(track, read_table(tmp_path / "ids.csv", track), tmp_path / "trial-0.txt", tmp_path / OUT)


def test_ids_that_a_table_holds_as_numbers_are_found_again(tmp_path: Path) -> None:
    track = MADE_UP["items-lsd"]
    write_table(tmp_path / "p.parquet", pd.DataFrame({"id": [7, 12], "expression": [1, 5]}))
    (tmp_path / "list.txt").write_text("image,expression\n00012.jpg,\n7.jpg,\n")
    one = make_submission(track, read_table(tmp_path / "p.parquet", track), tmp_path / "list.txt", tmp_path / OUT)
    assert lines(one) == ["00012.jpg,5", "7.jpg,1"]
    assert read_list(tmp_path / "list.txt", track).names == ("00012", "7")


def test_the_key_is_the_lists_own(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("image_location,valence,arousal\n v/1.jpg ,,\nv/2.png\n")
    answers = from_videos(VA, answered(VA, {"v": 2}))
    one = make_submission(VA, answers, tmp_path / "list.txt", tmp_path / OUT)
    assert lines(one) == ["v/1.jpg,0.010000,-0.010000", "v/2.png,0.020000,-0.020000"]
    assert key(VA, "v", 1) == "v/00001.jpg"


# --- whole or not at all ----------------------------------------------------------------------------------------------


def test_a_submission_that_does_not_verify_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = made(VA, {"a": 1}, None, tmp_path).path.read_bytes()
    found = Report([Finding(2, "valence is 'x', not a number")], None, 1)
    monkeypatch.setattr(submission, "verify", lambda *_: found)
    with refused("submission-not-verified", shown=Part("line 2: valence is 'x'")):
        made(VA, {"a": 2}, None, tmp_path)
    assert (tmp_path / OUT / "predictions.txt").read_bytes() == before
    assert json.loads((tmp_path / OUT / "manifest.json").read_text())["rows"] == 1
    assert {p.name for p in (tmp_path / OUT).iterdir()} == {"predictions.txt", "manifest.json"}


def test_an_archive_has_the_same_bytes_every_time(tmp_path: Path) -> None:
    track = MADE_UP["per_video-va"]
    first = made(track, {"a b": 2, "ä_left": 1}, None, tmp_path, archive=True)
    zipped = (tmp_path / OUT / "predictions.zip").read_bytes()
    (tmp_path / "later").mkdir()
    made(track, {"ä_left": 1, "a b": 2}, None, tmp_path / "later", archive=True)
    assert (tmp_path / "later" / OUT / "predictions.zip").read_bytes() == zipped
    with zipfile.ZipFile(tmp_path / OUT / "predictions.zip") as archive:
        assert archive.namelist() == ["a b.txt", "ä_left.txt"]
        assert archive.read("a b.txt") == (first.path / "a b.txt").read_bytes()
    assert first.manifest["zip"] == "predictions.zip"


def test_a_run_is_named_and_its_record_entered_later(tmp_path: Path) -> None:
    facts, notes = submit_videos(VA, answered(VA, {"a": 2}), None, tmp_path / OUT, edition="abaw6", run="r")
    assert facts["file"] == "predictions.txt"
    assert (facts["rows"], facts["official"], facts["held"], facts["list"]) == (2, False, 0, None)
    assert len(notes) == 1
    link_record(tmp_path / OUT, "abc")
    manifest = json.loads((tmp_path / OUT / "manifest.json").read_text())
    assert (manifest["run"], manifest["edition"], manifest["record_sha256"]) == ("r", "abaw6", "abc")
    link_record(tmp_path / "nowhere", "abc")  # a run without test videos has no submission
