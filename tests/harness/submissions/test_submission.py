"""From a trained run to a verified file: editions 6 (VA, EXPR, AU) and 11 (MTL), by lists of the official form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.refusals import Part, refused

EXAMPLES = {
    "va": "VA_test_set_example",
    "expr": "EXPR_test_set_example",
    "au": "AU_test_set_example",
    "mtl": "MTL_Challenge_test_set_release",
}


def example(program: Any, track: str) -> Path:
    (path,) = (program.demo / "test_set_examples").glob(f"*{EXAMPLES[track]}.txt")
    return Path(path)


def check(program: Any, record: Any, tmp_path: Path, track: str) -> Path:
    """Train, look at what the run wrote by itself, hand in again as a user does, verify both."""
    edition = "abaw11" if track == "mtl" else "abaw6"
    asked = ("--edition", edition, "--track", track)
    run = program.run(tmp_path / "runs", "r", *asked, "--epochs", 1)
    listed = example(program, track)
    manifest = json.loads((run / "submission" / "manifest.json").read_text())
    assert (manifest["run"], manifest["edition"], manifest["track"]) == ("r", edition, track)
    assert manifest["record_sha256"] == record(run)["result_sha256"]
    assert record(run)["result"]["submission"]["sha256"] == manifest["sha256"]
    assert manifest["list"]["name"] == listed.name
    answer = program("submit", run, *asked, "--list", listed, "--out", tmp_path / "out", "--zip")
    assert answer.code == 0, answer.err
    again = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert {k: v for k, v in again.items() if k not in ("time", "zip", "seal")} == {
        k: v for k, v in manifest.items() if k not in ("time", "seal")
    }
    for folder in (run / "submission", tmp_path / "out"):
        answer = program("verify", folder, *asked, "--list", listed, "--manifest", folder / "manifest.json")
        assert answer.code == 0, answer.out + answer.err
    answer = program("submissions", tmp_path / "runs")
    assert f"{edition} {track}: 1 " in answer.out
    return run


def test_valence_and_arousal(program: Any, record: Any, tmp_path: Path) -> None:
    run = check(program, record, tmp_path, "va")
    table = pd.read_parquet(run / "predictions" / "test.post.parquet").set_index(["video", "frame"])
    for line in (run / "submission" / "predictions.txt").read_text().splitlines()[1:]:
        key, *numbers = line.split(",")
        video, _, frame = key.removesuffix(".jpg").partition("/")
        at = (video, min(int(frame), int(table.loc[video].index.max())))
        np.testing.assert_allclose([float(n) for n in numbers], table.loc[at, ["valence", "arousal"]], atol=5.1e-7)
    before = sorted(path.name for path in (run / "submission").iterdir())
    for more, refusal in (
        (
            ("--track", "expr"),
            refused("submit-other-answers", folder="r", a="valence, arousal", name="expr", b=Part("Neutral")),
        ),
        (("--track", "ce"), refused("submit-other-answers", folder="r", name="ce")),
        (("--list", example(program, "au")), refused("list-header-of-other-track", name="va")),
        (("--list", example(program, "mtl")), refused("list-header-of-other-track", name="va")),
    ):
        answer = program("submit", run, "--edition", "abaw6", *more)
        assert answer.code == 2
        refusal.check(answer.error)
        assert answer.err.count("\n") == 1
    assert sorted(path.name for path in (run / "submission").iterdir()) == before


@pytest.mark.slow
@pytest.mark.parametrize("track", ["expr", "au", "mtl"])
def test_the_other_tracks(track: str, program: Any, record: Any, tmp_path: Path) -> None:
    check(program, record, tmp_path, track)
