"""`harness run`: data, features, training, evaluation, submission, record, in this order."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from harness.config.schema import flat
from harness.evaluation.plain_reference import plain_reference
from harness.evaluation.prediction_tables import write_predictions
from harness.io.run_lock import run_lock
from harness.runs import finished, provenance
from harness.runs.features import PREDICTED
from harness.runs.identity import identity, made_of
from harness.runs.job import Job
from harness.runs.preparation import Prepared, predict_split, prepare
from harness.runs.recording import record_run
from harness.runs.results import answer_test, postprocessors_of_source, score_split
from harness.runtime.device import pick_device
from harness.runtime.distributed import World, report_lost_process, single_process
from harness.submissions.submission import link_record
from harness.training.build import (
    adapter_options,
    make_augmenter,
    regularisation_options,
)
from harness.training.checkpoint import save_weights
from harness.training.loggers import Loggers
from harness.training.loop import Trained, train
from harness.training.placement import Clock
from leaderboards.blocks import ReferenceBlock, Result
from leaderboards.record import Record
from zoo.api import Counts, VideoAnswers
from zoo.model.adapter import Adapter
from zoo.model.cost import cost
from zoo.model.lora import learned_state
from zoo.model.model import module_key

FITS = {"projection": "train", "loss": "train", "reference": "train"}
"""Fits before and during training -> the split that they use (ClipData.of holds it)."""
REST = "rest.parquet"
"""Predictions for the videos outside all folds."""


@dataclass
class Outcome:
    """A finished run: its folder, record, and lines for the summary."""

    folder: Path
    record: Record
    notes: list[str]


def run(job: Job, folder: Path, *, world: World | None = None, progress: bool = True) -> Outcome:
    """Train and evaluate one combination into ``folder`` (made by the caller, holding config.toml).

    A failure leaves a record with the reason; an interruption leaves one that can be continued. With several processes
    only the first one writes; in the others the outcome's record is empty.
    """
    world = world or single_process(pick_device(job.config.device))
    circumstances = finished.data_circumstances(job, folder)
    record = Record(name=folder.name, status="running", result=identity(job), circumstances=circumstances)
    notes: list[str] = []
    own = folder if world.first else None
    with run_lock(own), record_run(record, own), report_lost_process():
        record.circumstances |= {"device": str(world.device), "processes": world.size}
        prepared = prepare(job, world=world, progress=progress)
        if world.first:
            prepared.store.write(folder / "features.csv")
        trained = train(
            prepared.model,
            prepared.splits["train"],
            prepared.splits.get("select", prepared.splits.get("val")),
            job.track,
            job.config.train,
            seed=job.config.seed,
            world=world,
            folder=folder,
            progress=progress,
            stop=job.origin.epochs if job.origin else None,
            made=made_of(job, prepared.store, prepared.cards),
            loggers=lambda step: begun_loggers(job, folder, step),
            augment=make_augmenter(job.plan, prepared.model, job.config.seed),
        )
        record.circumstances["parameter_groups"] = list(trained.groups)
        clock = Clock()
        clock.start()
        got = {split: predict_split(job, prepared, split) for split in PREDICTED if split in prepared.splits}
        clock.count(sum(video.n_frames for split in got for video in prepared.splits[split].videos))
        record.circumstances["frames_per_second"] = {"train": trained.frames_per_second, "evaluate": clock.rate}
        if world.first:
            seen = provenance.metadata(job, trained.selections, prepared.exposures)
            save_weights(folder / "weights.safetensors", learned_state(prepared.model), {**seen, **prepared.base})
            result, notes = write_results(job, prepared, folder, trained, got)
            record.status, record.result = "done", result
            record.circumstances["files"] = finished.digests_of(folder)
            link_record(folder / "submission", record.result_sha256)
    return Outcome(folder, record, notes)


def begun_loggers(job: Job, folder: Path, step: int) -> Loggers:
    """Open a run's loggers; a new run's are given its settings."""
    found = Loggers(job.loggers(), folder, step)
    if not step:
        found.settings(flat(job.config.model_dump(mode="json", exclude_none=True)))
    return found


def write_results(
    job: Job, prepared: Prepared, folder: Path, trained: Trained, got: Mapping[Any, list[VideoAnswers]]
) -> tuple[Result, list[str]]:
    """Score and write the predictions, write the submission, and return the result with notes."""
    scored = score_split(job, got.get("val", []), folder) if job.origin is None else postprocessors_of_source(job)
    if rest := got.get("rest"):
        write_predictions(folder / "predictions" / REST, job.track, rest, labels=False)
    submission, notes = answer_test(job, got.get("test", []), scored.chain, folder)
    result: Result = {
        **identity(job),
        "scores": scored.scores,
        "post": scored.post,
        "passports": prepared.cards,
        "fits": {**FITS, "post": scored.post.get("fitted_on")},
        **provenance.selection_facts(job, trained.selections, prepared.exposures),
        "epochs": trained.epochs,
        "epoch": trained.best_epoch,
        "steps": trained.steps,
        "late_fall": trained.late_fall,
        "epoch_choice": None if job.config.tta.used else trained.optimism,  # of scores without augmentation
        "reference": reference_of(job, prepared) if scored.scores else None,
        "submission": submission,
        **cost(
            job.plan,
            prepared.dims,
            [Counts(1, (1,) * max(2, len(a.classes))) for a in job.track.answers],
            adapter_options(job.config),
            regularisation_options(job.config),
            job.config.train.clip,
        ),
    }
    return result, notes


def reference_of(job: Job, prepared: Prepared) -> ReferenceBlock | None:
    """Fit the plain reference on the run's frozen features of train, and score it on the reported split."""
    frozen = [slot.name for slot in job.plan.slots if slot.frozen]
    adapters = {name: copy.deepcopy(cast(Adapter, prepared.model.adapters[module_key(name)])).cpu() for name in frozen}
    splits = prepared.splits
    return plain_reference(job.track, adapters, splits["train"], splits["val"], delay=job.config.train.delay)
