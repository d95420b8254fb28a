"""`harness run --zero-shot`: score an encoder that predicts by itself on a labelled set. Nothing is trained.

Its scores are computed from cached features, frame by frame, and are mapped to the track's answers by class names. A
frame without data gets equal probabilities for all classes, until post-processing interpolates it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from harness.batching.clips import ClipData
from harness.config.schema import RunConfig
from harness.data.index.index import Split
from harness.evaluation.video_answers import video_answers
from harness.features.frozen_encoder import FrozenSlot, frozen_slots
from harness.features.store import FeatureStore
from harness.io.run_lock import run_lock
from harness.runs import finished, provenance
from harness.runs.features import extract_features
from harness.runs.identity import identity
from harness.runs.job import Job
from harness.runs.recording import record_run
from harness.runs.results import answer_test, score_split
from harness.runs.run import Outcome
from harness.runtime.device import pick_device
from harness.runtime.distributed import single_process
from harness.submissions.submission import link_record
from leaderboards.blocks import Result, WeightsBlock
from leaderboards.record import Record
from zoo.api import VideoAnswers
from zoo.errors import UserError
from zoo.model.cost import cost_of_encoder
from zoo.model.own_scores import Ready, match
from zoo.weights.cards import find

AT_ONCE = 64  # frames whose scores are computed together; `harness predict` writes their rows together


def check_settings(config: RunConfig, seeds: int = 1) -> None:
    """Raise UserError if settings need a trained run."""
    asked = {
        "--seeds": seeds > 1,
        "--folds": config.folds > 0 or config.fold >= 0,
        "--fit and --epochs-from": bool(config.fit or config.epochs_from),
        "--compile": config.train.compile,
        "features.views": config.features.views > 0,
        "--tta": config.tta.used,
        "--distill": config.distill.run is not None,
        "--devices and --nodes": config.devices > 1 or config.nodes > 1,
    }
    if names := ", ".join(name for name, given in asked.items() if given):
        raise UserError("zero-shot-options", names=names)


def check_ready(job: Job) -> Ready:
    """Return how the encoder's own scores map to the track; raise UserError with the reason if they do not."""
    pick_device(job.config.device)
    plans = job.plan.slots
    if len(plans) != 1:
        raise UserError("zero-shot-slots", count=len(plans), encoders=job.config.encoders)
    (plan,) = plans
    own = plan.own_scores
    if own is None:
        raise UserError("zero-shot-none", name=plan.encoder.name, slot=plan.name)
    if not plan.frozen or plan.passport is None:
        raise UserError("zero-shot-random", slot=plan.name)
    if plan.scores:
        raise UserError("zero-shot-options", names=f"--set encoder.{plan.name}.scores=true")
    ready = match(f"encoder {plan.encoder.name!r}", own, job.track.name, job.track.answers)
    labelled = any(np.isfinite(video.labels).any() for video in job.index.split("val"))
    if not labelled and not job.index.split("test"):
        raise UserError("zero-shot-nothing", root=job.index.root, name=job.track.name)
    find(plan.passport)
    return ready


def run(job: Job, folder: Path, *, progress: bool = True) -> Outcome:
    """Score a ready encoder into ``folder`` (made by the caller, holding config.toml).

    The record is like any other, with the key ``zero_shot``, and there are no weights.
    """
    ready = check_ready(job)
    circumstances = finished.data_circumstances(job, folder)
    record = Record(name=folder.name, status="running", result=identity(job), circumstances=circumstances)
    world = single_process(pick_device(job.config.device))
    with run_lock(folder), record_run(record, folder):
        record.circumstances |= {"device": str(world.device), "processes": world.size}
        (slot,) = frozen_slots(job.plan.slots, job.config.features, world.device)
        index = replace(job.index, videos=(*job.index.split("val"), *job.index.split("test")))
        store = extract_features(index, [slot], {}, world, progress=progress)
        store.write(folder / "features.csv")
        val, test = (predict(job, slot, ready, store, split) for split in ("val", "test"))
        scored = score_split(job, val, folder)
        submission, notes = answer_test(job, test, scored.chain, folder)
        result: Result = {
            **identity(job),
            "zero_shot": {"encoder": job.config.encoders, "lacking": list(ready.lacking), "unused": list(ready.unused)},
            "scores": scored.scores,
            "post": scored.post,
            "passports": _passports(job, slot),
            "fits": {"post": scored.post.get("fitted_on")},
            "submission": submission,
            **cost_of_encoder(slot.plan),
        }
        record.status, record.result = "done", result
        record.circumstances["files"] = finished.digests_of(folder)
        link_record(folder / "submission", record.result_sha256)
    return Outcome(folder, record, [*ready.notes, *notes])


@torch.inference_mode()
def predict(job: Job, slot: FrozenSlot, ready: Ready, store: FeatureStore, split: Split) -> list[VideoAnswers]:
    """Predict all videos of a split."""
    videos = job.index.split(split)
    if not videos:
        return []
    data = ClipData(job.index, videos, [slot.plan.name], store, {})
    found = []
    for v, video in enumerate(data.videos):
        present = store.present(slot.plan.name, video.name)
        decoded = np.tile(ready.absent().numpy(), (len(present), 1))
        rows = store.rows(slot.plan.name, video.name)
        if len(rows):
            decoded[present] = np.concatenate(list(_scored(slot, ready, rows)))
        found.append(video_answers(data, v, job.track.answers, decoded, {}, data.present[v]))
    return found


def _scored(slot: FrozenSlot, ready: Ready, rows: np.ndarray) -> Sequence[np.ndarray]:
    parts = []
    for start in range(0, len(rows), AT_ONCE):
        part = np.array(rows[start : start + AT_ONCE], np.float32)  # a copy: a file's rows cannot be written to
        features = torch.from_numpy(part).to(slot.device)
        parts.append(ready.decode(slot.encoder.scores(features).float()).cpu().numpy())  # type: ignore[operator]
    return parts


def _passports(job: Job, slot: FrozenSlot) -> list[WeightsBlock]:
    exposure = provenance.read_exposure(slot.file) if slot.file else []
    found = slot.record()
    return [provenance.annotate_weights(found, exposure, job)] if found else []
