"""Run folders for reports, without any training: a record, predictions with their digests, a history."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from harness.evaluation.prediction_tables import write_predictions
from harness.evaluation.scoring import score_block
from harness.runs.finished import digests_of
from leaderboards.blocks import Result
from leaderboards.record import Record
from tests.support.made_up import result
from zoo.api import Answer, TrackSpec, VideoAnswers
from zoo.registry.registry import load
from zoo.registry.tracks import find_track

HISTORY = "epoch,step,loss,val,lr\n1,4,1.5,,0.003\n2,8,1.0,0.3,0.002\n"


def track_of(name: str) -> TrackSpec:
    return find_track(load([]), name, None)[1]


def videos_of(track: TrackSpec, names: Sequence[str], n: int = 60, labelled: bool = True) -> list[VideoAnswers]:
    return [_video(track, name, seed, n, labelled) for seed, name in enumerate(names)]


def _video(track: TrackSpec, name: str, seed: int, n: int, labelled: bool) -> VideoAnswers:
    rng = np.random.default_rng(seed)
    values, targets = {}, {}
    for answer in track.answers:
        values[answer.name], targets[answer.name] = _answer(answer, rng, n)
        if not labelled:
            targets[answer.name] = np.full(n, np.nan)
    present = {"face": np.arange(n) % 10 > 2, "audio": np.ones(n, bool)}
    return VideoAnswers(name, name.partition("_")[0], values, targets, present, np.arange(n) / 30)


def _answer(answer: Answer, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    if answer.kind == "value":
        true = np.sin(np.arange(n) / 9 + rng.uniform(0, 6))
        return np.clip(true + rng.normal(0, 0.3, n), -1, 1), true
    if answer.kind == "binary":
        true = (rng.uniform(size=n) < 0.4).astype(float)
        return np.clip(0.3 * true + rng.uniform(0, 0.7, n), 0, 1), true
    p = rng.dirichlet(np.ones(len(answer.classes)), n)
    return p, rng.integers(0, len(answer.classes), n).astype(float)


def make_run(
    folder: Path,
    track: TrackSpec,
    videos: Sequence[VideoAnswers],
    *,
    history: str | None = HISTORY,
    edition: str = "abaw10",
    **changes: Any,
) -> Path:
    """Write a finished run to ``folder``, scored on ``videos``; those without labels are its test videos."""
    folder.mkdir(parents=True)
    block = score_block(track, videos)
    split = "val" if block else "test"
    for end in (".parquet", ".post.parquet"):
        write_predictions(folder / "predictions" / f"{split}{end}", track, videos, labels=block is not None)
    if history is not None:
        (folder / "history.csv").write_text(history)
    made: dict[str, Any] = dict(result(0.5)) | {
        "edition": edition,
        "track": track.name,
        "metric": track.metric,
        "score_range": list(track.score_range),
        "scores": {"raw": block, "post": block} if block else {},
        "versions": {"torch": "2.15.0"},
        "config": {"encoders": "face,audio", "train": {"epochs": 2}},
        "passports": [{"slot": "face", "name": "weights", "license": "MIT"}],
    }
    record = Record(folder.name, "done", None, cast(Result, made | changes))
    record.circumstances = {"files": digests_of(folder), "python": "3.11", "host": "a-host-nobody-should-see"}
    record.write(folder / "record.json")
    return folder
