"""A first run that knows its training videos by heart, and what a second run makes of its predictions.

The first run reads noise that has nothing to do with the labels, so all that it can do is memorise. Its predictions for
its own training videos are nearly the labels; a second run that is trained on those trusts them and is lost on new
videos. Out of fold they are noise, and the second run is as good as without them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.runs.folder import saved_config
from harness.runs.job import make_job
from harness.runs.preparation import predict_split, prepare
from zoo.metrics.scores import ccc

TRAIN, VAL, FRAMES, NOISE = 24, 16, 20, 256
PLAIN = ("--head", "mlp", "--fusion", "concat", "--set", "project.method=raw", "--set", "project.dropout=0")
PLAIN += ("--set", "train.output_dropout=0", "--set", "train.clip=20", "--set", "train.modality_dropout=0")
PLAIN += ("--set", "train.select=last", "--set", "train.patience=0", "--set", "train.lr=1e-3")
NAMES = ["valence", "arousal"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder of annotations and blank crops; beside it features: noise, and a weak trace of the labels."""
    import cv2

    random = np.random.default_rng(0)
    root = tmp_path / "data"
    blank = np.zeros((8, 8, 3), np.uint8)
    for name, width in (("noise", NOISE), ("weak", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "features.toml").write_text(f'name = "{name}"\nwidth = {width}\nrate = "frame"\n')
    for i in range(TRAIN + VAL):
        labels = np.clip(random.normal(0, 0.4, (1, 2)) + random.normal(0, 0.1, (FRAMES, 2)), -1, 1)
        split = "Train_Set" if i < TRAIN else "Validation_Set"
        file = root / "annotations" / "VA_Estimation_Challenge" / split / f"v{i}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("valence,arousal\n" + "\n".join(f"{v:.4f},{a:.4f}" for v, a in labels) + "\n")
        crops = root / "cropped_aligned" / f"v{i}"
        crops.mkdir(parents=True)
        for frame in range(FRAMES):
            cv2.imwrite(str(crops / f"{frame + 1:05d}.jpg"), blank)
        np.save(tmp_path / "noise" / f"v{i}.npy", random.normal(size=(FRAMES, NOISE)))
        np.save(tmp_path / "weak" / f"v{i}.npy", labels + random.normal(0, 0.5, (FRAMES, 2)))
    return root


def on_training(folder: Path) -> dict[str, np.ndarray]:
    """A run's predictions (n, 2) for the videos that it was trained on."""
    job = make_job(saved_config(folder))
    prepared = prepare(job, weights=folder / "weights.safetensors", progress=False)
    found = predict_split(job, prepared, "train")
    return {video.video: np.column_stack([video.values[name] for name in NAMES]) for video in found}


def table(path: Path) -> dict[str, np.ndarray]:
    return {str(name): rows[NAMES].to_numpy() for name, rows in pd.read_parquet(path).groupby("video")}


def score(found: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> float:
    """Mean CCC over all frames of the videos found."""
    x, y = (np.concatenate([these[name] for name in found]) for these in (found, labels))
    return float(np.mean([ccc(x[:, i], y[:, i]) for i in range(2)]))


@pytest.mark.slow
def test_a_second_run_is_not_lifted_by_what_the_first_has_memorised(
    program: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Callable[[Path], dict[str, Any]]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))

    def run(name: str, encoders: str, epochs: int, *more: object) -> Path:
        given = ("--data", data, "--out", tmp_path, "--name", name, "--encoders", encoders, "--epochs", epochs)
        done = program("run", *given, *PLAIN, *more)
        assert done.code == 0, done.err
        return tmp_path / name

    files = (data / "annotations").rglob("*.txt")
    labels = {path.stem: np.loadtxt(path, delimiter=",", skiprows=1) for path in files}
    big = ("--set", "head.hidden=256", "--set", "project.width=256", "--set", "train.weight_decay=0")
    first = run("first", "face=features:noise", 150, "--folds", 3, "--folds-of", "train", *big)
    alone = run("alone", "face=features:noise", 150, *big)

    by_heart, out_of_fold = on_training(alone), table(first / "predictions" / "cv3train.parquet")
    (tmp_path / "leak").mkdir()
    (tmp_path / "leak" / "features.toml").write_text('name = "by heart"\nwidth = 2\nrate = "frame"\n')
    for name, rows in (by_heart | table(alone / "predictions" / "val.parquet")).items():
        np.save(tmp_path / "leak" / f"{name}.npy", rows)
    without = run("without", "frame=features:weak", 60)
    stacked = run("stacked", "frame=features:weak,face=features:first", 60)
    leaking = run("leaking", "frame=features:weak,face=features:leak", 60)

    train = {folder.name: score(on_training(folder), labels) for folder in (without, stacked, leaking)}
    val = {f.name: record(f)["result"]["scores"]["raw"]["main"] for f in (without, stacked, leaking)}
    first_score = {"by heart": score(by_heart, labels), "out of fold": score(out_of_fold, labels)}
    print(first_score, train, val)
    assert first_score["by heart"] > 0.9
    assert abs(first_score["out of fold"]) < 0.25  # chance, with 24 videos
    assert train["leaking"] > train["without"] + 0.1  # what was memorised lifts the training ...
    assert val["leaking"] < val["without"] - 0.1  # ... and is trusted in vain
    assert train["stacked"] < train["leaking"] - 0.1
    assert abs(val["stacked"] - val["without"]) < 0.1
