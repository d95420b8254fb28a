"""`harness run --trees`: a row like any other without a network, and what cannot be is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from zoo.metrics.scores import ccc

Read = Callable[[Path], dict[str, Any]]
GIVEN = ("--trees", "--encoders", "face=lite0,context=lite0", "--track", "va")


@pytest.fixture(scope="module")
def done(program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program.run(tmp_path_factory.mktemp("runs"), "trees", *GIVEN, "--post", "interpolate,smooth,clip")


@pytest.mark.slow
def test_the_run_is_one_like_any_other(done: Path, record: Read) -> None:
    result = record(done)["result"]
    assert result["combination"] == {"encoders": "face=lite0,context=lite0", "fusion": "", "head": "trees"}
    assert result["trees"]["frames"] == result["trees"]["of_frames"] > 0
    assert result["trees"]["trees"] == 200
    assert (result["n_selections"], result["selection_split"], result["selected_on_reported"]) == (0, None, False)
    rows = pd.read_parquet(done / "predictions" / "val.parquet")
    known = rows["valence_true"].notna() & rows["arousal_true"].notna()
    each = [
        ccc(rows[name][known].to_numpy(), rows[f"{name}_true"][known].to_numpy()) for name in ("valence", "arousal")
    ]
    assert result["scores"]["raw"]["main"] == pytest.approx(np.mean(each), abs=1e-6)
    assert "post" in result["scores"]
    files = {path.relative_to(done).as_posix() for path in done.rglob("*") if path.is_file()}
    assert {"config.toml", "record.json", "predictions/test.parquet", "submission/predictions.txt"} <= files
    assert "weights.safetensors" not in files
    assert "trees" in (done.parent / "leaderboard.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_same_command_gives_the_same_record_and_nothing_is_predicted_from_it(
    program, done: Path, record: Read, tmp_path: Path
) -> None:
    again = program.run(tmp_path, "again", "--recipe", done / "config.toml")
    assert record(again)["result_sha256"] == record(done)["result_sha256"]
    program("evaluate", done).refused("trees-run")
    program("predict", program.demo, "--model", done, "--out", tmp_path / "out").refused("trees-run")
    program("submit", done, "--out", tmp_path / "submitted")
    answer = program("ensemble", done, again, "--method", "stack", "--name", "both", "--out", tmp_path)
    assert answer.code == 0, answer.err
    assert "the members' plain mean: " in answer.out
    result = record(tmp_path / "both")["result"]
    assert result["ensemble"]["method"] == "stack"
    assert (result["selection_split"], result["n_selections"]) == ("other groups of val", 2)
    assert result["ensemble"]["stack"]["inputs"] == 4


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--seeds", 2], "trees-options"),
        (["--folds", 3], "trees-options"),
        (["--zero-shot"], "trees-options"),
        (["--set", "features.views=2"], "trees-options"),
        (["--tta", "flip"], "trees-options"),
        (["--compile"], "trees-options"),
        (["--distill", "runs/teacher"], "trees-options"),
        (["--finetune", "face"], "trees-trained-slot"),
        (["--post", "confidence_gate", "--fusion", "late", "--track", "expr"], "trees-options"),
    ],
)
def test_what_needs_a_network_is_refused(program, tmp_path: Path, more: list[object], code: str) -> None:
    answer = program("run", *GIVEN, *more, "--data", program.demo, "--out", tmp_path / "runs")
    answer.refused(code)
    assert not (tmp_path / "runs").exists()


def test_the_record_of_a_trained_run_says_nothing_of_it(program, record: Read) -> None:
    result = record(program.kept("--track", "va", "--epochs", 2))["result"]
    assert "trees" not in result
    assert "trees" not in result["config"]
