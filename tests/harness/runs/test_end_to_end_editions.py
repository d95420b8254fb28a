"""Editions 6 (VA, EXPR, AU) and 11 (MTL) from training to a clean verdict, by lists in the organisers' form, every
written line worked out anew from the run's raw answers."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow

EXPRESSIONS = ["Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Other"]
UNITS = [f"AU{n}" for n in (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)]
LONGER, SHORTER = "17-8-640x360", "video108"  # as the list has them: a frame more, and a frame less, than the video
FRAMES = 24
KEYED = {
    "va": ("CVPR_6th_ABAW_VA_test_set_example.txt", "image_location,valence,arousal", ",0.5,-0.5"),
    "expr": ("CVPR_6th_ABAW_Expr_test_set_example.txt", ",".join(["image_location", *EXPRESSIONS]), ",0"),
    "au": ("CVPR_6th_ABAW_AU_test_set_example.txt", ",".join(["image_location", *UNITS]), ",1,0,1,1,1,0,0,1,0,0,0,1"),
}


def official_list(folder: Path, track: str) -> tuple[Path, str, list[tuple[str, int]]]:
    """A list as the organisers write it, its header, and its rows: dummy answers and Windows line ends (edition 6);
    image, comma and nothing (edition 11), not every image, videos in another order than the data's."""
    if track == "mtl":
        name, header, dummy, end = "MTL.txt", "image,valence,arousal,expression,aus", ",", "\n"
        rows = [(SHORTER, frame) for frame in range(1, FRAMES, 3)] + [(LONGER, frame) for frame in (2, 1, 20, 21)]
        rows = [(video, frame) for video, frame in rows if frame in IMAGES[video]]
    else:
        (name, header, dummy), end = KEYED[track], "\r\n"
        rows = [(SHORTER, frame) for frame in range(1, FRAMES)] + [(LONGER, frame) for frame in range(1, FRAMES + 2)]
    lines = [header, *(f"{video}/{frame:05d}.jpg{dummy}" for video, frame in rows), ""]
    (folder / name).write_bytes((end.join(lines) + end).encode())
    return folder / name, header, rows


IMAGES: dict[str, set[int]] = {}


@pytest.fixture(scope="module", autouse=True)
def _images(program: Any) -> None:
    for video in (LONGER, SHORTER):
        crops = (program.demo / "cropped_aligned" / video).glob("*.jpg")
        IMAGES[video] = {frame for path in crops if (frame := int(path.stem)) <= FRAMES}


def worked_out(raw: pd.DataFrame, track: str, rows: list[tuple[str, int]]) -> tuple[list[str], int, int]:
    """The answers to the rows as text, how many of them are interpolated between seen frames, how many held.

    Valence and arousal are linear between the frames where there is a face, classes and units by their probabilities
    there; before the first and after the last face, and beyond the video, the nearest holds.
    """
    columns = {
        "va": ["valence", "arousal"],
        "expr": [f"p_{name}" for name in EXPRESSIONS],
        "au": [f"p_{unit}" for unit in UNITS],
    }
    kinds = ["va", "expr", "au"] if track == "mtl" else [track]
    out, between, held = [], 0, 0
    for video, frame in rows:
        own = raw[raw["video"] == video].sort_values("frame")
        seen = own[own["present_face"]]
        inside = int(seen["frame"].min()) < frame < int(seen["frame"].max())
        between += inside and frame not in set(seen["frame"])
        held += not inside and frame not in set(seen["frame"])
        fields: list[str] = []
        for kind in kinds:
            at = [np.interp(frame, seen["frame"], seen[name]) for name in columns[kind]]
            if kind == "va":
                fields += [f"{value + 0.0:.6f}" for value in at]
            else:
                fields += [str(int(np.argmax(at)))] if kind == "expr" else [str(int(p >= 0.5)) for p in at]
        out.append(",".join(fields))
    return out, between, held


@pytest.mark.parametrize(("edition", "track"), [("abaw6", "va"), ("abaw6", "expr"), ("abaw6", "au"), ("abaw11", "mtl")])
def test_from_training_to_a_clean_verdict(edition: str, track: str, program: Any, record: Any, tmp_path: Path) -> None:
    listed, header, rows = official_list(tmp_path, track)
    asked = ("--edition", edition, "--track", track)
    more = ("--list", listed) if track == "mtl" else ()  # elsewhere the run goes by the videos, the list comes later
    run = program.run(
        tmp_path / "runs", "r", *asked, "--encoders", "face", "--epochs", 1, "--post", "interpolate", *more
    )
    out = tmp_path / "out"
    answer = program("submit", run, *asked, "--list", listed, "--out", out, "--zip")
    assert (answer.code, answer.err) == (0, "")

    text = (out / "predictions.txt").read_bytes().decode()
    assert "\r" not in text
    assert text.endswith("\n")
    lines = text.split("\n")[:-1]
    assert lines[0] == header
    keys, answers = zip(*(line.split(",", 1) for line in lines[1:]), strict=True)
    assert list(keys) == [f"{video}/{frame:05d}.jpg" for video, frame in rows]
    raw = pd.read_parquet(run / "predictions" / "test.parquet")
    expected, between, held = worked_out(raw, track, rows)
    for one, two in zip(answers, expected, strict=True):
        np.testing.assert_allclose(np.array(one.split(","), float), np.array(two.split(","), float), atol=1.01e-6)

    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["edition"], manifest["track"], manifest["run"]) == (edition, track, "r")
    assert manifest["record_sha256"] == record(run)["result_sha256"]
    assert manifest["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert manifest["list"] == {
        "name": listed.name,
        "sha256": hashlib.sha256(listed.read_bytes()).hexdigest(),
        "kind": "rows",
    }
    assert (manifest["rows"], manifest["interpolated_rows"], manifest["held_rows"]) == (len(rows), between, held)
    assert manifest["left_out_frames"] == (track != "mtl")
    if track != "mtl":
        assert between > 0, "the synthetic set hides faces, or this shows nothing"
        assert held > 0, "the list goes on one frame beyond a video, or this shows nothing"
        assert f"rows without a prediction, interpolated: {between}\n" in answer.out
    assert manifest["class_histogram"] == histogram(track, answers)
    with zipfile.ZipFile(out / manifest["zip"]) as archive:
        assert archive.namelist() == ["predictions.txt"]
        assert archive.read("predictions.txt") == text.encode()

    for more in (("--list", listed), ("--list", listed, "--manifest", out / "manifest.json")):
        answer = program("verify", out / "predictions.txt", *asked, *more)
        assert (answer.code, answer.err) == (0, "")
        assert f"clean as {edition} {track}, {len(rows)} rows, in the order of the list" in answer.out
    assert program("verify", out / "predictions.txt", *asked).code == 3
    changed = lines[5][:-1] + ("1" if lines[5][-1] != "1" else "0")
    (out / "predictions.txt").write_text(text.replace(lines[5], changed))
    assert program("verify", out, *asked, "--list", listed).code == 0  # a value is seen with the manifest alone
    answer = program("verify", out, *asked, "--list", listed, "--manifest", out / "manifest.json")
    assert answer.code == 1
    assert "the content was changed after it was written" in answer.out

    answer = program("submissions", tmp_path / "runs")
    assert answer.code == 0
    assert f"{edition} {track}: 1 " in answer.out
    assert str(out / "predictions.txt") in answer.out
    other = track != "mtl"  # there the run's own went by this list, and is the same
    assert ("written by the runs themselves and not counted: r; " in answer.out) == other


def histogram(track: str, answers: tuple[str, ...]) -> dict[str, int]:
    """Expression -> rows answered with it; action unit -> rows answered with 1."""
    fields = [line.split(",") for line in answers]
    counts: dict[str, int] = {}
    if track in ("expr", "mtl"):
        chosen = Counter(row[2 if track == "mtl" else 0] for row in fields)
        counts |= {name: chosen[str(i)] for i, name in enumerate(EXPRESSIONS)}
    if track in ("au", "mtl"):
        counts |= {unit: sum(row[i - 12] == "1" for row in fields) for i, unit in enumerate(UNITS)}
    return counts
