"""`harness evaluate`: what can be done again with a finished run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from harness.commands.run import one_run
from harness.evaluate import score_block
from harness.post import cross_fit, labelled
from harness.predictions import write_predictions
from harness.run import predict_split, prepare
from harness.setup import make_job
from harness.summary import LABELS
from zoo.errors import UserError


def evaluate(folder: Path, data: Path | None, drop: Sequence[str] = ()) -> None:
    """Answer the validation videos again from the run's weights; with --data those of another folder, with --drop
    without some slots."""
    config = one_run(folder)
    if data is not None:
        config = config.model_copy(update={"data_dir": str(data)})
    job = make_job(config)
    prepared = prepare(job, weights=folder / "weights.safetensors")
    if "val" not in prepared.splits:
        raise UserError(f"{job.index.root}: no validation videos to evaluate on")
    dropped = slots_of(drop, prepared.model.slots)
    prepared.splits["val"].withhold(dropped)
    videos = predict_split(job, prepared, "val")
    if not labelled(videos):
        raise UserError(f"{job.index.root}: the validation videos have no labels of track {job.track.name}")
    processed, _ = cross_fit(job.plan.post, job.track, videos)
    blocks = {"raw": score_block(job.track, videos), "post": score_block(job.track, processed)}
    rows = [
        (LABELS[kind], *(f"{b[k]:.6f}" for k in ("main", "low", "high")), b["videos"], b["frames"])
        for kind, b in blocks.items()
        if b
    ]
    print(tabulate(rows, ["", "score", "low", "high", "videos", "frames"], disable_numparse=True))
    name = "-".join(
        ["val" if data is None else f"evaluated-{data.resolve().name}", *(f"without-{slot}" for slot in dropped)]
    )
    write_predictions(folder / "predictions" / f"{name}.parquet", job.track, videos)
    write_predictions(folder / "predictions" / f"{name}.post.parquet", job.track, processed)
    (folder / "predictions" / f"{name}.scores.json").write_text(json.dumps(blocks, indent=1))
    print(f"written: {folder / 'predictions' / name}.parquet, .post.parquet, .scores.json")


def slots_of(names: Sequence[str], slots: Sequence[str]) -> list[str]:
    """The slots that some names of slots or streams mean; UserError for an unknown one, and where none is left."""
    found = []
    for name in names:
        meant = [slot for slot in slots if slot == name or slot.partition(".")[0] == name]
        if not meant:
            raise UserError(f"--drop {name}: the run has no such slot or stream; it has {', '.join(slots)}")
        found += [slot for slot in meant if slot not in found]
    if len(found) == len(slots):
        raise UserError(f"--drop {' --drop '.join(names)}: nothing would be left to answer from")
    return found
