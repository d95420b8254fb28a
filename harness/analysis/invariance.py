"""`harness check --invariance`: changes of predictions by batch size, padding and precision, which should be small.

Weights and features are random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.config.schema import load_config
from harness.runs.job import plan_of
from harness.runtime.terminal import tabulate
from harness.training.build import adapter_options, regularisation_options
from zoo.api import Answer, Counts
from zoo.model.model import Model, module_key
from zoo.model.shape_check import check
from zoo.registry.tracks import find_track, load_plugins
from zoo.testing.fusion_case import Clips, example

CLIPS = 16
LENGTHS = (1, 2, 3, 5, 8, 16, 33, 64)


@dataclass(frozen=True)
class Change:
    """The largest change found: absolute, relative to the answer's range, the answer's name, and the clip's length."""

    size: float = 0.0
    share: float = 0.0
    answer: str = "-"
    frames: int = 0


def report(flags: Mapping[str, Any], sets: Sequence[str], recipe: str | None = None) -> None:
    """Print the largest change of an answer by batch size, padding and precision."""
    config = load_config(recipe, flags, sets)
    registry = load_plugins(config.plugin)
    _, track = find_track(registry, config.track, config.edition)
    plan = plan_of(config, registry, track)
    dims = check(plan, adapter_options(config), regularisation_options(config))["dims"]
    counts = [Counts(1, (1,) * max(len(answer.classes), 2)) for answer in plan.answers]
    torch.manual_seed(config.seed)
    model = Model(plan, dims, counts, adapter_options(config), regularisation_options(config)).eval()
    rows = [(what, *_row(change)) for what, change in measure(model, dims, plan.answers, config.seed).items()]
    head = ["what differs", "largest change", "of the range", "answer", "frames of the clip"]
    print(f"\n{CLIPS * len(LENGTHS)} clips of 1 to {max(LENGTHS)} frames, random weights and features:")
    print(tabulate(rows, head, tablefmt="simple", disable_numparse=True))


def _row(change: Change) -> tuple[str, str, str, str]:
    return f"{change.size:.2g}", f"{change.share:.2g}", change.answer, str(change.frames or "-")


@torch.no_grad()
def measure(model: Model, dims: Mapping[str, int], answers: Sequence[Answer], seed: int = 0) -> dict[str, Change]:
    """Return the largest change by cause. The model is left in float64."""
    alike = [example((length,) * CLIPS, dims, seed=seed, first=False) for length in LENGTHS]
    mixed = [example((LENGTHS * CLIPS)[:CLIPS], dims, seed=seed + k, first=False) for k in range(2)]
    usual = [_answers(model, clips) for clips in alike]
    found = {
        f"batch: {CLIPS} clips or 1": [
            (whole[i], _answers(model, clips.one(i, whole.shape[1]))[0])
            for clips, whole in zip(alike, usual, strict=True)
            for i in range(CLIPS)
        ],
        "padding: some or none": [
            (_answers(model, clips)[i, :length], _answers(model, clips.one(i, length))[0])
            for clips in mixed
            for i, length in enumerate(clips.valid.sum(1).tolist())
        ],
        "precision: float32 or bfloat16 autocast": [
            pair
            for clips, whole in zip(alike, usual, strict=True)
            for pair in zip(whole, _answers(model, clips, bf16=True), strict=True)
        ],
    }
    model.double()
    found["precision: float32 or float64"] = [
        pair
        for clips, whole in zip(alike, usual, strict=True)
        for pair in zip(whole, _answers(model, clips, dtype=torch.float64), strict=True)
    ]
    columns = [(answer, column) for answer in answers for column in range(answer.width)]
    return {what: _largest(pairs, [answer for answer, _ in columns]) for what, pairs in found.items()}


def _answers(model: Model, clips: Clips, *, bf16: bool = False, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return decoded answers (B, T, columns), float64."""
    with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
        features = {
            name: model.adapters[module_key(name)](clips.features[name].to(dtype), clips.present[name])
            for name in model.slots
        }
        raw = model.fuse(features, clips.present, clips.valid).raw
    return model.decode(raw).double()


def _largest(pairs: Sequence[tuple[Tensor, Tensor]], columns: Sequence[Answer]) -> Change:
    """Return the largest change among pairs of predictions (T, columns) for one clip."""
    ranges = torch.tensor([a.high - a.low if a.kind == "value" else 1.0 for a in columns], dtype=torch.float64)
    best = Change()
    for a, b in pairs:
        gap = (a - b).abs()
        share = torch.nan_to_num(gap / ranges, nan=float("inf"))
        at = int(share.amax(0).argmax())
        if float(share.max()) > best.share:
            size = float(gap[int(share[:, at].argmax()), at])
            best = Change(size, float(share.max()), columns[at].name, len(a))
    return best
