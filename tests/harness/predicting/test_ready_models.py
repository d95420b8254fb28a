"""A ready model has the options that are given, and a zero-shot run those of the run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

import harness
from harness.predicting.command import load_model
from tests.support.media import write_click_video
from tests.support.program import Program
from tests.support.refusals import Part, refused

MODEL = "mobilenetv3_small_050"
OPTIONS = (
    f"encoder.frame.model={MODEL}", "encoder.frame.size=32", "encoder.frame.classes=happy,sad,neutral"
)  # fmt: skip
SETS = tuple(part for text in OPTIONS for part in ("--set", text))


def write_checkpoint(path: Path, seed: int = 0) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = timm.create_model(MODEL, num_classes=3).state_dict()
    torch.save({"state_dict": state}, path)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "own.pt"
    write_checkpoint(path)
    return path


@pytest.fixture(scope="module")
def run(program: Program, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    encoder = f"frame=checkpoint:{weights}"
    out = tmp_path_factory.mktemp("runs")
    return program.run(out, "zero", "--zero-shot", "--encoders", encoder, *SETS, "--track", "expr")


@pytest.fixture(autouse=True)
def _cache(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))


def test_a_zero_shot_run_predicts_as_it_did(program: Program, run: Path) -> None:
    """Same classes in the same order, same numbers; `load`, `predict` and the command agree."""
    loaded = harness.load(run)
    known = loaded.predictions()
    columns = [column for column in known if str(column).startswith("p_")]
    assert len(columns) == 8
    compared = 0
    for video in sorted((program.demo / "videos").iterdir()):
        own = known[known["video"] == video.stem].reset_index(drop=True)
        if own.empty:
            continue
        table, half = loaded.predict(video), len(own) // 2  # annotations may be shorter than their video
        np.testing.assert_allclose(table[columns][:half], own[columns][:half], atol=1e-6)
        np.testing.assert_array_equal(table["expression"][:half], own["expression"][:half])
        np.testing.assert_array_equal(harness.predict(video, model=loaded)[columns], table[columns])
        compared += half
    assert compared
    assert set(table["expression_name"]) <= {"Happiness", "Sadness", "Neutral"}
    model = load_model(str(run))
    assert (model.about.model, model.about.kind, model.about.track) == ("zero", "run", "expr")
    row = loaded.predictor(rate=10)(np.zeros((48, 64, 3), np.uint8))
    assert sum(row[column] for column in columns) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_a_run_that_is_gated_by_its_encoder_predicts_files_and_live_frames(
    program: Program, weights: Path, tmp_path: Path
) -> None:
    gate = ("--post", "interpolate,smooth,encoder_gate,clip", "--set", "encoder.frame.scores=true")
    few = ("--epochs", 1, "--set", "train.batch=2", "--set", "train.clip=12")
    given = ("--encoders", f"frame=checkpoint:{weights}", *SETS, "--track", "expr", *gate, *few)
    loaded = harness.load(program.run(tmp_path, "gated", *given))
    table = loaded.predict(sorted((program.demo / "videos").iterdir())[0])
    columns = [column for column in table if str(column).startswith("p_")]
    np.testing.assert_allclose(table[columns].sum(axis=1), 1, atol=1e-4)
    row = loaded.predictor(rate=10)(np.zeros((48, 64, 3), np.uint8))
    assert sum(row[column] for column in columns) == pytest.approx(1, abs=1e-4)


def test_other_weights_than_the_recorded_ones_are_refused(run: Path, weights: Path) -> None:
    before = weights.read_bytes()
    ledgers = [path for path in weights.parent.iterdir() if path != weights]
    kept = {path: path.read_bytes() for path in ledgers}
    try:
        write_checkpoint(weights, seed=1)
        for path in ledgers:  # as if they were used for the first time
            path.unlink()
        recorded = json.loads((run / "record.json").read_text())["result"]["passports"][0]["sha256"]
        with refused("run-weights-other", folder=run, known=recorded[:12]):
            load_model(str(run))
    finally:
        weights.write_bytes(before)
        for path, content in kept.items():
            path.write_bytes(content)


def test_a_checkpoint_predicts_if_its_classes_are_named(weights: Path, tmp_path: Path) -> None:
    video = tmp_path / "v.mp4"
    write_click_video(video, n_frames=6, click_frame=None)
    settings = {
        "encoder.frame.model": MODEL,
        "encoder.frame.size": 32,
        "encoder.frame.classes": ["sad", "happy", "odd"],
    }
    table = harness.predict(video, model=f"frame=checkpoint:{weights}", settings=settings)
    assert [name for name in table if name.startswith("p_")] == ["p_Sadness", "p_Happiness", "p_Odd"]
    with refused("predict-model-not-ready", known=Part("encoder.SLOT.classes=")):
        load_model(f"frame=checkpoint:{weights}", settings=OPTIONS[:2])
    with refused("predict-model-not-ready", known=Part("encoder.SLOT.classes=")):
        load_model(f"checkpoint:{weights}")


def test_what_is_no_ready_model(run: Path) -> None:
    with refused("predict-model-slots", got="face=lite0,audio=melcnn", count=2):
        load_model("face=lite0,audio=melcnn")
    with refused("predict-run-settings", model=run, got="encoder.frame.size=64"):
        load_model(str(run), settings=["encoder.frame.size=64"])
    with refused("predict-model-unknown", got="none/such"):
        load_model("none/such")
