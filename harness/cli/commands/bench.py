"""`harness bench`: rate of every stage on this machine and data, its limit, and the bottleneck of a run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.benchmarks.bottleneck import Setting, Stage, sentence, shares
from harness.benchmarks.measure import describe, machine
from harness.benchmarks.stages import measure
from harness.benchmarks.workload import cut, own_cache
from harness.config.schema import RunConfig
from harness.runs.job import Job, make_job
from harness.runtime.device import pick_device
from harness.runtime.terminal import tabulate
from zoo.errors import UserError
from zoo.files import reason_of
from zoo.layers.precision import computes_bfloat16

VIDEOS = 3  # per split


def bench(config: RunConfig, *, frames: int, rounds: int, json_file: Path | None) -> list[Stage]:
    """Measure all stages and print a table and advice; also write them as JSON if ``json_file`` is given."""
    whole = make_job(config)
    job = cut(whole, videos=VIDEOS, frames=frames)
    known = machine()
    with own_cache():
        stages = measure(job, rounds=rounds)
    print(render(stages, whole))
    print(describe(known))
    verdict = sentence(stages, setting(whole))
    print(verdict)
    if json_file is not None:
        write_json(
            json_file,
            {"machine": known, "stages": [asdict(s) for s in stages], "shares": shares(stages), "verdict": verdict},
        )
    return stages


def render(stages: list[Stage], job: Job) -> str:
    """Return the table: frames per second, the limit, and the share of it that is reached."""
    parts = shares(stages)
    rows = [
        [
            s.name,
            f"{s.rate.median:,.0f}",
            f"{s.rate.half_range:.0%}",
            f"{s.limit.median:,.0f}",
            s.limited_by,
            f"{s.rate.over(s.limit).median:.0%}",
            "" if s.whole else f"{_share(s, stages, parts):.0%}",
        ]
        for s in stages
    ]
    title = (
        f"{job.data_name}: {job.config.encoders}, {job.config.fusion}, {job.config.head}; frames of video a second, "
        "median of rounds in turn"
    )
    headers = ["stage", "frames/s", "+-", "limit", "of", "reached", f"of a run, {job.config.train.epochs} epochs"]
    return (
        title
        + "\n"
        + tabulate(rows, headers, disable_numparse=True, colalign=("left", *["right"] * 3, "left", *["right"] * 2))
    )


def _share(stage: Stage, stages: list[Stage], parts: dict[str, float]) -> float:
    same = sum(s.seconds for s in stages if s.kind == stage.kind and not s.whole)
    return parts[stage.kind] * stage.seconds / same


def setting(job: Job) -> Setting:
    """Return the facts that the advice depends on."""
    config = job.config
    device = pick_device(config.device)
    return Setting(
        folder=config.data_dir,
        packed=job.index.pack is not None,
        gpu=device.type != "cpu",
        bf16_unused=config.features.precision == "float32" and computes_bfloat16(device),
        trained=tuple(slot.name for slot in job.plan.slots if not slot.frozen),
        epochs=config.train.epochs,
    )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write the figures of a measurement; raise UserError if that is not possible."""
    try:
        path.write_text(json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise UserError("bench-json-not-writable", file=path, strerror=reason_of(error)) from None
