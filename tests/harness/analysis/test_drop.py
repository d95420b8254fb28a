"""`harness evaluate --drop`: a run without some of its streams."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis.rescore import slots_of
from tests.support.refusals import refused

QUICK = ("--epochs", 2, "--set", "train.batch=2", "--set", "train.clip=12", "--post", "interpolate")


def test_a_withheld_stream_is_absent_and_changes_the_answers(program, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(program.kept("--track", "va", "--epochs", 2), folder)
    answer = program("evaluate", folder, "--drop", "context")
    assert answer.code == 0, answer.err
    table = pd.read_parquet(folder / "predictions" / "val-without-context.parquet")
    whole = pd.read_parquet(folder / "predictions" / "val.parquet")
    assert not table["present_context"].any()
    assert whole["present_context"].any()
    assert (table["present_face"] == whole["present_face"]).all()
    assert (table["valence"] - whole["valence"]).abs().max() > 0
    assert (table["valence_true"].dropna() == whole["valence_true"].dropna()).all()
    scores = json.loads((folder / "predictions" / "val-without-context.scores.json").read_text())
    frames = json.loads((folder / "record.json").read_text())["result"]["scores"]["raw"]["frames"]
    assert scores["raw"]["frames"] == frames  # all labelled frames are scored, with or without the stream
    wrong = program("evaluate", folder, "--drop", "audio")
    wrong.refused("drop-unknown-slot", name="audio", names="face, context")
    nothing = program("evaluate", folder, "--drop", "context", "--drop", "face")
    nothing.refused("drop-nothing-left")


@pytest.mark.slow
def test_a_fold_is_evaluated_on_what_it_reports(program, record, tmp_path: Path) -> None:
    folder = program.run(tmp_path, "cv", "--folds", 3, *QUICK) / "fold-1"
    before = (folder / "predictions" / "cv3-1.parquet").read_bytes()
    answer = program("evaluate", folder)
    assert answer.code == 0, answer.err
    scores = json.loads((folder / "predictions" / "cv3-1.scores.json").read_text())
    assert scores["post"]["main"] == pytest.approx(record(folder)["result"]["scores"]["post"]["main"], abs=1e-9)
    assert (folder / "predictions" / "cv3-1.parquet").read_bytes() == before
    assert not (folder / "predictions" / "val.parquet").exists()


def test_a_stream_means_all_its_slots() -> None:
    slots = ("face", "face.b", "audio")
    assert slots_of(["face"], slots) == ["face", "face.b"]
    assert slots_of(["face.b", "face.b"], slots) == ["face.b"]
    with refused("drop-unknown-slot"):
        slots_of(["facee"], slots)
