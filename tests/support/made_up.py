"""Records without a training."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from leaderboards.blocks import DataBlock, Result, ScoreBlock
from leaderboards.record import Record

AFFWILD2: DataBlock = {"name": "Aff-Wild2", "fingerprint": "aabbccddee", "synthetic": False, "videos": {"val": 76}}
HOSTILE = "<script>alert(1)</script> \"double\" 'single' &amp; | ](x)"


def result(score: float, spread: np.ndarray | None = None, groups: int = 12, **changes: Any) -> Result:
    """Return a result whose score without group g is the score plus ``spread[g]``."""
    spread = np.linspace(-0.01, 0.01, groups) if spread is None else spread
    block: ScoreBlock = {
        "main": score,
        "low": score - 0.05,
        "high": score + 0.05,
        "parts": {},
        "frames": 1000,
        "videos": groups,
        "groups": [f"v{g}" for g in range(groups)],
        "leave_one_out": (score + spread).tolist(),
    }
    made: Result = {
        "combination": {"encoders": "face,context", "fusion": "late", "head": "gru"},
        "edition": "abaw10",
        "track": "va",
        "track_version": 1,
        "metric": "mean_ccc",
        "score_range": [-1, 1],
        "data": {"name": "demo", "fingerprint": "0123456789ab", "synthetic": True},
        "split": "val",
        "selection_split": "val",
        "n_selections": 30,
        "seeds": [0],
        "parameters": {"trained": 1_234_567},
        "scores": {"raw": block, "post": block | {"main": score + 0.02}},
        "submission": None,
    }
    return cast(Result, {**made, **changes})


def run(name: str, score: float, **changes: Any) -> Record:
    return Record(name, "done", None, result(score, **changes))


def real(name: str, score: float, groups: int = 76, **changes: Any) -> Record:
    """Return a run that was scored on the organisers' videos, with the parts of its score."""
    record = run(name, score, groups=groups, **{"data": AFFWILD2} | changes)
    record.result["scores"]["raw"]["parts"] = {
        "ccc_valence": score - 0.1,
        "ccc_arousal": score + 0.1,
        "pearson_valence": score,
        "mean_ccc": score,
        "frames": 1000.0,
        "pearson_arousal": None,
    }
    return record
