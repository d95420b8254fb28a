"""`harness evaluate` and `harness submit`: what can be done again with a finished run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from harness.commands.run import one_run
from harness.config import RunConfig
from harness.data.lists import read_test_list
from harness.evaluate import score_block
from harness.post import cross_fit, labelled
from harness.predictions import read_predictions, write_predictions
from harness.run import predict_split, prepare
from harness.setup import find_track, load_plugins, make_job
from harness.submission import submit_videos
from harness.summary import LABELS
from zoo.api import TrackSpec
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


def submit(folder: Path, edition: str | None, list_file: Path | None, out: Path | None) -> None:
    """Write and verify a submission from the run's predictions for the test videos."""
    config: RunConfig = one_run(folder)
    registry = load_plugins(config.plugin)
    _, trained = find_track(registry, config.track, config.edition)
    _, track = find_track(registry, config.track, edition or config.edition)
    _same_answers(trained, track, folder)
    path = folder / "predictions" / "test.post.parquet"
    if not path.is_file():
        raise UserError(f"{path}: the run answered no test videos; its data folder had none")
    listed = list_file or (Path(config.data.list) if config.data.list else None)
    rows = read_test_list(listed, track) if listed else (make_job(config).index.test_list if edition is None else None)
    facts, notes = submit_videos(track, read_predictions(path, trained), rows, out or folder / "submission")
    print(f"{(out or folder / 'submission') / facts['file']}: {facts['rows']} rows, verified, sha256 {facts['sha256']}")
    for note in notes:
        print(note)


def _same_answers(trained: TrackSpec, wanted: TrackSpec, folder: Path) -> None:
    if trained.answers != wanted.answers:
        a, b = (", ".join(c for x in t.answers for c in (x.classes or (x.name,))) for t in (trained, wanted))
        raise UserError(f"{folder}: the run answers {a}; the edition's {wanted.name} track wants {b}")
