"""The main job, end to end, on a crumb of a demo set: what a run writes, and that it can be checked from outside."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import f1_score

from harness.io.digests import opened
from tests.support.paths import STRANGERS
from zoo.model.model import build_encoder
from zoo.registry.plan import make_plan
from zoo.registry.registry import load
from zoo.registry.tracks import find_track
from zoo.weights.loading import load_pretrained

TRACKS = ("va", "expr", "au", "mtl")
EXAMPLES = {"va": "VA_test_set_example", "expr": "EXPR_test_set_example", "au": "AU_test_set_example"}
Read = Callable[[Path], dict[str, Any]]


@pytest.fixture(scope="module")
def runs(program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One short run a track."""
    out = tmp_path_factory.mktemp("runs")
    for track in TRACKS:
        shutil.copytree(program.kept("--track", track, "--epochs", 2), out / track)
    return out


@pytest.mark.parametrize("track", TRACKS)
def test_everything_is_written(program, runs: Path, record: Read, track: str) -> None:
    folder = runs / track
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    events = {name for name in files if name.startswith("events/events.out.tfevents")}
    assert len(events) == 2  # of the training, and of the record after it
    assert files - events == {
        "config.toml",
        "record.json",
        "weights.safetensors",
        "state.ckpt",
        "history.csv",
        "report.html",
        "features.csv",
        "predictions/val.parquet",
        "predictions/val.post.parquet",
        "predictions/test.parquet",
        "predictions/test.post.parquet",
        "submission/predictions.txt",
        "submission/manifest.json",
    }
    beside = program.kept("--track", track, "--epochs", 2).parent
    assert (beside / "leaderboard.md").is_file()
    assert (beside / "leaderboard.csv").is_file()
    content = record(folder)
    assert content["status"] == "done"
    assert content["reason"] is None
    assert content["result"]["track"] == track
    assert len(pd.read_csv(folder / "history.csv")) == 2
    assert [p["slot"] for p in content["result"]["passports"]] == ["face", "context"]
    assert all(len(p["sha256"]) == 64 for p in content["result"]["passports"])


# --- scores, recomputed by others -------------------------------------------------------------------------------------


def mean_ccc(table: pd.DataFrame) -> float:
    rows = table.dropna(subset=["valence_true", "arousal_true"])
    figures = []
    for name in ("valence", "arousal"):
        x, y = rows[name].to_numpy(), rows[f"{name}_true"].to_numpy()
        figures.append(2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2))
    return float(np.mean(figures))


def macro_f1(table: pd.DataFrame) -> float:
    classes = [c for c in table if c.startswith("p_") and not c.startswith("p_AU")]
    rows = table.dropna(subset=["expression_true"])
    answers, labels = rows["expression"], range(len(classes))
    return float(f1_score(rows["expression_true"], answers, labels=labels, average="macro", zero_division=0))


def mean_f1(table: pd.DataFrame) -> float:
    figures = []
    for unit in [c for c in table if c.startswith("AU") and not c.endswith("_true")]:
        rows = table.dropna(subset=[f"{unit}_true"])
        figures.append(f1_score(rows[f"{unit}_true"], rows[unit], zero_division=0))
    assert len(figures) == 12
    return float(np.mean(figures))


BY_HAND: dict[str, Callable[[pd.DataFrame], float]] = {
    "va": mean_ccc,
    "expr": macro_f1,
    "au": mean_f1,
    "mtl": lambda table: mean_ccc(table) + macro_f1(table) + mean_f1(table),
}


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize(("kind", "file"), [("raw", "val.parquet"), ("post", "val.post.parquet")])
def test_scores_follow_from_the_predictions_alone(runs: Path, record: Read, track: str, kind: str, file: str) -> None:
    table = pd.read_parquet(runs / track / "predictions" / file)
    content = record(runs / track)
    assert BY_HAND[track](table) == pytest.approx(content["scores"][kind]["main"], abs=1e-6)
    seen = table[table["extra_crop"]]
    with_face = content["result"]["scores"][f"{kind}_with_face"]["main"]
    assert BY_HAND[track](seen) == pytest.approx(with_face, abs=1e-6)


@pytest.mark.parametrize("track", TRACKS)
def test_predictions_answer_every_frame_once(runs: Path, record: Read, track: str) -> None:
    frames = record(runs / track)["result"]["data"]["frames"]
    for split in ("val", "test"):
        tables = [pd.read_parquet(runs / track / "predictions" / f"{split}{p}.parquet") for p in ("", ".post")]
        for table in tables:
            assert len(table) == frames[split]
            assert not table[["video", "frame"]].duplicated().any()
            answers = [c for c in table if not c.endswith("_true")]
            assert not table[answers].isna().any().any()
            assert (split == "val") == any(c.endswith("_true") for c in table)


# --- the same again ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_command_and_its_own_config_give_the_same_result(program, runs: Path, record: Read) -> None:
    first = record(runs / "va")
    program.run(runs, "again", "--track", "va", "--epochs", 2)
    program.run(runs, "by-config", "--recipe", runs / "va" / "config.toml")
    for name in ("again", "by-config"):
        other = record(runs / name)
        assert other["result"] == first["result"]
        assert other["result_sha256"] == first["result_sha256"]
        weights = [load_file(runs / run / "weights.safetensors") for run in ("va", name)]
        assert weights[0].keys() == weights[1].keys()
        assert all(torch.equal(tensor, weights[1][key]) for key, tensor in weights[0].items())


def test_evaluate_reproduces_the_scores(program, runs: Path, record: Read) -> None:
    before = pd.read_parquet(runs / "expr" / "predictions" / "val.parquet")
    answer = program("evaluate", runs / "expr")
    assert answer.code == 0, answer.err
    blocks = opened(json.loads((runs / "expr" / "predictions" / "val.scores.json").read_text()))
    assert blocks == {kind: record(runs / "expr")["result"]["scores"][kind] for kind in ("raw", "post")}
    pd.testing.assert_frame_equal(pd.read_parquet(runs / "expr" / "predictions" / "val.parquet"), before)


@pytest.mark.parametrize("track", EXAMPLES)
def test_submit_by_the_example_file_is_byte_equal(program, runs: Path, tmp_path: Path, track: str) -> None:
    (example,) = (program.demo / "test_set_examples").glob(f"*{EXAMPLES[track]}.txt")
    answer = program("submit", runs / track, "--list", example, "--out", tmp_path)
    assert answer.code == 0, answer.err
    written = (tmp_path / "predictions.txt").read_bytes()
    assert written == (runs / track / "submission" / "predictions.txt").read_bytes()
    keys = [[line.split(",")[0] for line in text.decode().splitlines()] for text in (written, example.read_bytes())]
    assert keys[0] == keys[1]


# --- kinds of runs ----------------------------------------------------------------------------------------------------


def test_several_seeds_give_mean_and_spread(program, tmp_path: Path, record: Read) -> None:
    folder = program.run(tmp_path, "two", "--epochs", 1, "--seeds", 2)
    members = [record(folder / f"seed-{seed}")["result"] for seed in (0, 1)]
    assert members[0]["scores"]["raw"]["main"] != members[1]["scores"]["raw"]["main"]
    for kind in ("raw", "post"):
        block = record(folder)["result"]["scores"][kind]
        scores = [member["scores"][kind]["main"] for member in members]
        assert block["main"] == pytest.approx(np.mean(scores), abs=1e-12)
        assert block["spread"] == pytest.approx(np.std(scores, ddof=1), abs=1e-12)
        assert block["seeds"] == scores


@pytest.mark.slow
def test_finetune_trains_the_encoder_from_its_weights(program, tmp_path: Path, record: Read) -> None:
    fast = ("--encoders", "face", "--finetune", "face", "--set", "train.clip=8", "--set", "train.batch=2")
    folder = program.run(tmp_path, "tuned", *fast, "--epochs", 1, "--post", "clip")
    passports = record(folder)["result"]["passports"]
    assert [p["slot"] for p in passports] == ["face"]
    assert len(passports[0]["sha256"]) == 64
    registry = load([])
    answers = find_track(registry, "va", None)[1].answers
    (slot,) = make_plan(registry, encoders="face", fusion="late", head="gru", answers=answers).slots
    encoder = build_encoder(slot)
    assert slot.passport is not None
    load_pretrained(encoder, slot.passport)
    tuned = load_file(folder / "weights.safetensors")
    start = {f"encoders.face.{name}": p for name, p in encoder.named_parameters()}
    assert set(start) <= set(tuned)
    moved = [bool((tuned[name] != p).any()) for name, p in start.items()]
    assert np.mean(moved) > 0.9
    near = [torch.linalg.norm(tuned[n] - p) / torch.linalg.norm(p) for n, p in start.items() if p.ndim == 4]
    assert max(near) < 0.5  # trained on, not from random weights


@pytest.mark.parametrize(
    ("fusion", "head"),
    [
        pytest.param(fusion, head, marks=() if (fusion, head) == ("concat", "mlp") else pytest.mark.slow)
        for fusion in ("late", "concat")
        for head in ("mlp", "gru", "lstm")
    ],
)
def test_every_fusion_goes_with_every_head(program, tmp_path: Path, record: Read, fusion: str, head: str) -> None:
    audio = ("--encoders", "face,audio", "--set", "encoder.audio.channels=2")
    folder = program.run(tmp_path, "one", "--fusion", fusion, "--head", head, "--epochs", 1, "--post", "clip", *audio)
    combination = record(folder)["result"]["combination"]
    assert combination == {"encoders": "face=lite0,audio=melcnn", "fusion": fusion, "head": head}


def test_every_stream_can_be_trained(program, tmp_path: Path, record: Read) -> None:
    """Pictures cut out of raw video, by an encoder of a plugin file that has no weights."""
    plugin = STRANGERS / "single_file.py"
    slots = "face=colours,body=colours,context=colours,audio"
    folder = program.run(tmp_path, "raw", "--plugin", plugin, "--encoders", slots, "--epochs", 1, "--post", "clip")
    assert record(folder)["result"]["passports"] == []
    assert "single_file.py" in record(folder)["result"]["plugins"][0]
    table = pd.read_parquet(folder / "predictions" / "val.parquet")
    for slot in ("face", "body", "context", "audio"):
        assert table[f"present_{slot}"].any()


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_second_run_of_the_same_name_is_refused(program, runs: Path) -> None:
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (runs / "va").rglob("*") if p.is_file()}
    answer = program("run", "--data", program.demo, "--out", runs, "--name", "va", "--encoders", "face")
    answer.refused("run-name-taken", name="va", file=runs / "va")
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (runs / "va").rglob("*") if p.is_file()} == before


def test_a_failed_run_is_a_row_with_its_reason(program, tmp_path: Path, record: Read) -> None:
    settings = ("--encoders", "face", "--set", "train.lr=1e30", "--set", "train.grad_clip=0", "--epochs", 5)
    answer = program("run", "--data", program.demo, "--out", tmp_path, "--name", "burst", *settings)
    answer.refused("loss-not-finite")
    assert len(answer.err.strip().splitlines()) == 1
    content = record(tmp_path / "burst")
    assert content["status"] == "failed"
    assert "not finite in epoch" in content["reason"]
    assert "from frame" in content["reason"]
    shown = program("leaderboard", tmp_path)
    assert shown.code == 0, shown.err
    (row,) = [line for line in shown.out.splitlines() if "burst" in line]
    assert "not finite" in row
    assert "not finite" in (tmp_path / "leaderboard.csv").read_text()


def test_features_come_from_the_cache(program, tmp_path: Path) -> None:
    own = replace(program, cache=tmp_path / "cache")  # other tests hold locks in the common one
    settings = ("data", "extract", program.demo, "--encoders", "face", "--track", "va")
    first = own(*settings)
    assert first.code == 0, first.err
    assert " 0 computed" not in first.out
    entries = list((own.cache / "features").glob("??/*"))
    assert entries
    assert all({p.name for p in entry.iterdir()} == {"features.npy", "present.npy", "meta.json"} for entry in entries)
    second = own(*settings)
    assert second.code == 0, second.err
    assert " 0 computed" in second.out


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "where", ["torch.save", "os.replace", "pyarrow.parquet.ParquetWriter.write_table", "numpy.save"]
)
def test_a_full_disk_leaves_nothing_half_written(
    program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    own = replace(program, cache=tmp_path / "cache") if where == "numpy.save" else program
    with monkeypatch.context() as patch:
        patch.setattr(where, full)
        settings = ("--encoders", "face", "--epochs", 1, "--post", "clip")
        answer = own("run", "--data", program.demo, "--out", tmp_path, "--name", "full", *settings)
    assert answer.code == 2, answer.err
    assert answer.error is not None
    assert "the disk is full" in answer.err  # under several codes
    left = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    made = ("full/events/", "cache/digests/", "cache/encoders/", "cache/index/", "cache/times/")
    left = {name for name in left if not name.startswith(made)}
    assert left <= {
        "full/config.toml",
        "full/record.json",
        "full/state.ckpt",
        "full/history.csv",
        "full/weights.safetensors",
        "full/features.csv",
        "cache/features/guard.lock",
    }
    assert not list((tmp_path / "cache" / "features").glob("*/*"))
