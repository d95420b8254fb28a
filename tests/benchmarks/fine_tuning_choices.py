"""Ways to train a pretrained encoder of faces, paired by seed: frozen, whole, by layer, augmented or not, adapters.

``python -m tests.benchmarks.fine_tuning_choices OUT [--epochs N] [--seeds N] [--encoders NAMES] [--data DIR]`` trains every
way with every seed and prints a table for each encoder: the mean score on validation, and the mean of the differences
from the first way with the same seed, with their standard deviation. Without DIR the synthetic set is used, which says
nothing about people. A run that is in OUT already is not trained again, so a stopped measurement goes on.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from pathlib import Path
from typing import Any

import harness
from harness.runtime.terminal import tabulate
from leaderboards.record import read

ENCODERS = ("lite0", "timm:resnet18", "timm:vit_tiny_patch16_224")
RATE, ADAPTER_RATE = 1e-4, 1e-3
WHOLE: dict[str, Any] = {"finetune": ["face"], "train.encoder_lr": RATE, "train.batch_norm": "frozen"}
ADAPTED: dict[str, Any] = {"train.encoder_lr": ADAPTER_RATE}
WAYS: dict[str, dict[str, Any]] = {
    "frozen": {},
    "whole, one rate": {**WHOLE, "augment": ["none"]},
    "whole, one rate, augmented": {**WHOLE, "augment": ["default"]},
    "whole, rate by layer": {**WHOLE, "augment": ["none"], "train.layer_decay": 0.75},
    "whole, rate by layer, augmented": {**WHOLE, "augment": ["default"], "train.layer_decay": 0.75},
    "LoRA, rank 8": {**ADAPTED, "augment": ["none"], "adapt": ["face=lora:rank=8"]},
    "LoRA, rank 8, augmented": {**ADAPTED, "augment": ["default"], "adapt": ["face=lora:rank=8"]},
    "LoRA, rank 32": {**ADAPTED, "augment": ["none"], "adapt": ["face=lora:rank=32"]},
}
"""Name -> settings; the first is what the others are compared with."""


def score(out: Path, data: str | None, encoder: str, way: str, seed: int, epochs: int, size: int) -> float:
    """Return the score of one training, from its record if there is one."""
    name = "".join(c if c.isalnum() else "-" for c in f"{encoder} {way} {epochs} s{seed}")
    if not (out / name / "record.json").is_file() or read(out / name / "record.json").status != "done":
        shutil.rmtree(out / name, ignore_errors=True)  # a part of a run that was stopped
        settings = {**WAYS[way], "seed": seed, "train.epochs": epochs, "encoder.face.size": size}
        harness.run(encoders=f"face={encoder}", data=data, out=out, name=name, settings=settings)
    return float(read(out / name / "record.json").scores["raw"]["main"])


def table(scores: dict[str, list[float]]) -> str:
    """Return the ways with their means and their differences from the first, seed by seed."""
    first = next(iter(scores.values()))
    rows = []
    for way, found in scores.items():
        gains = [mine - other for mine, other in zip(found, first, strict=True)]
        spread = statistics.stdev(gains) if len(gains) > 1 else float("nan")
        rows.append((way, f"{statistics.mean(found):.4f}", f"{statistics.mean(gains):+.4f}", f"{spread:.4f}"))
    return tabulate(rows, ["way", "score", "difference", "deviation"], disable_numparse=True)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the runs")
    parser.add_argument("--data", help="an Aff-Wild2 folder; without it the synthetic set")
    parser.add_argument("--encoders", default=",".join(ENCODERS), help="encoders of faces, comma-separated")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=112, help="side of the pictures in pixels")
    given = parser.parse_args()
    for encoder in given.encoders.split(","):
        scores = {
            way: [
                score(given.out, given.data, encoder, way, seed, given.epochs, given.size)
                for seed in range(given.seeds)
            ]
            for way in WAYS
        }
        print(f"\n{encoder}, {given.epochs} epochs, {given.seeds} seeds\n\n{table(scores)}", flush=True)


if __name__ == "__main__":
    main()
