"""A sweep says which of its combinations are one model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from harness.cli.commands.sweep import same_models
from harness.config.schema import RunConfig
from zoo.api import Answer
from zoo.registry.plan import make_plan
from zoo.registry.registry import load

ANSWERS = (Answer("valence", "value", -5), Answer("arousal", "value", -5))


def entry(encoders: str, fusion: str, head: str = "gru", built: bool = True) -> Any:
    plan = make_plan(load(), encoders=encoders, fusion=fusion, head=head, answers=ANSWERS)
    config = RunConfig(encoders=encoders, fusion=fusion, head=head)
    return SimpleNamespace(job=SimpleNamespace(plan=plan) if built else None, config=config)


def test_late_and_concat_are_one_model_for_one_branch_and_two_for_two() -> None:
    grid = [entry("face", fusion, head) for head in ("gru", "mlp") for fusion in ("late", "concat", "gated")]
    assert same_models(grid) == [
        f"late and concat are one model for one branch (face, head {head}): one would do" for head in ("gru", "mlp")
    ]
    assert same_models([entry("face,audio", fusion) for fusion in ("late", "concat")]) == []
    assert same_models([entry("face", "late"), entry("face", "concat", built=False)]) == []
