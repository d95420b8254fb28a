"""`harness run --trees`: boosted trees on the frozen features of a run, in place of fusion, head and training.

They are fitted on frames of the training videos and score the reported split as any run does, with predictions,
post-processing, a submission and a record. Nothing is chosen on another split. The trees are not stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from harness.batching.clips import ClipData
from harness.config.schema import RunConfig
from harness.evaluation import tree_models
from harness.evaluation.drawn_frames import draw_frames
from harness.evaluation.video_answers import delayed
from harness.features.frozen_encoder import frozen_slots
from harness.io.run_lock import run_lock
from harness.runs import finished, provenance
from harness.runs.features import extract_features
from harness.runs.identity import identity
from harness.runs.job import Job
from harness.runs.preparation import check_trainable, clips_of, exposures_of
from harness.runs.recording import record_run
from harness.runs.results import answer_test, score_split
from harness.runs.run import Outcome
from harness.runtime.device import pick_device
from harness.runtime.distributed import single_process
from harness.submissions.submission import link_record
from harness.training.build import shuffled
from leaderboards.blocks import Result, TreesBlock
from leaderboards.record import Record
from zoo.api import VideoAnswers
from zoo.errors import UserError
from zoo.model.cost import Cost, cost_of_encoder
from zoo.registry.plan import SlotPlan


def check_settings(config: RunConfig, seeds: int = 1) -> None:
    """Raise UserError if settings need a network that is trained."""
    asked = {
        "--zero-shot": config.zero_shot,
        "--seeds": seeds > 1,
        "--folds": config.folds > 0 or config.fold >= 0,
        "--fit and --epochs-from": bool(config.fit or config.epochs_from),
        "--devices and --nodes": config.devices > 1 or config.nodes > 1,
        "features.views": config.features.views > 0,
        "--compile": config.train.compile,
        "--tta": config.tta.used,
        "--distill": config.distill.run is not None,
    }
    if names := ", ".join(name for name, given in asked.items() if given):
        raise UserError("trees-options", names=names)


def check_ready(job: Job) -> None:
    """Raise UserError if a branch has no frozen features, or post-processing needs more than a frame's prediction."""
    for slot in job.plan.slots:
        if not slot.frozen:
            raise UserError("trees-trained-slot", slot=slot.name)
    kinds = {answer.kind for answer in job.track.answers}
    for block in job.plan.post:
        if kinds & set(block.spec.kinds) and (block.spec.per_slot or block.spec.own_classes):
            raise UserError("trees-options", names=f"--post {block.spec.name}")


def run(job: Job, folder: Path, *, progress: bool = True) -> Outcome:
    """Fit trees and evaluate them into ``folder`` (made by the caller, holding config.toml)."""
    circumstances = finished.data_circumstances(job, folder)
    record = Record(name=folder.name, status="running", result=identity(job), circumstances=circumstances)
    world = single_process(pick_device(job.config.device))
    with run_lock(folder), record_run(record, folder):
        record.circumstances |= {"device": str(world.device), "processes": world.size}
        slots = frozen_slots(job.plan.slots, job.config.features, world.device)
        store = extract_features(job.index, slots, {}, world, progress=progress)
        store.write(folder / "features.csv")
        splits = clips_of(job, store, {})
        check_trainable(job, splits)
        block, got = fit_and_predict(job, splits, progress=progress)
        scored = score_split(job, got["val"], folder)
        submission, notes = answer_test(job, got["test"], scored.chain, folder)
        exposures = exposures_of(slots, {})
        result: Result = {
            **identity(job),
            "trees": block,
            "scores": scored.scores,
            "post": scored.post,
            "passports": [
                provenance.annotate_weights(card, exposures.get(card["slot"], []), job)
                for slot in slots
                if (card := slot.record())
            ],
            "fits": {"trees": "train", "post": scored.post.get("fitted_on")},
            **provenance.selection_facts(job, 0, [one for those in exposures.values() for one in those]),
            "submission": submission,
            **_cost(job.plan.slots),
        }
        record.status, record.result = "done", result
        record.circumstances["files"] = finished.digests_of(folder)
        link_record(folder / "submission", record.result_sha256)
    said = (
        f"trees: {block['trees']} on {block['frames']} of {block['of_frames']} labelled training frames "
        f"(seed {job.config.seed}), {block['dimensions']} features"
    )
    return Outcome(folder, record, [said, *notes])


def fit_and_predict(
    job: Job, splits: Mapping[str, ClipData], *, progress: bool
) -> tuple[TreesBlock, dict[str, list[VideoAnswers]]]:
    """Fit trees on the training videos; return their entry in the record, and split -> predictions of val and test."""
    config, train = job.config, splits["train"].of("train")
    if config.train.shuffle_labels:
        train.labels = shuffled(train.labels, config.seed)
    frames = draw_frames(partial(tree_models.slot_features, train), train, tree_models.LIMITS, config.seed)
    assert frames is not None  # check_trainable has found some
    if progress:
        print(f"fitting trees to {len(frames.x)} frames of {frames.x.shape[1]} features", flush=True)
    with threadpool_limits(1):
        models, count = tree_models.fit_trees(job.track.answers, frames, config.seed)
        got: dict[str, list[VideoAnswers]] = {"val": [], "test": []}
        for split, videos in got.items():
            data = splits.get(split)
            for v in range(len(data.videos) if data is not None else 0):
                assert data is not None
                rows = tree_models.decoded(job.track.answers, models, tree_models.slot_features(data, v))
                videos.append(delayed(data, v, job.track, rows[None], (), (), config.train.delay))
    block: TreesBlock = {
        "frames": len(frames.x),
        "of_frames": frames.total,
        "dimensions": int(frames.x.shape[1]),
        "trees": count,
    }
    return block, got


def _cost(slots: Sequence[SlotPlan]) -> Cost:
    """Return the encoders' parameters and multiply-adds; trees have neither."""
    each = [cost_of_encoder(slot) for slot in slots]
    adds = {name: number for one in each for name, number in (one["multiply_adds"] or {}).items() if name != "total"}
    known = [number for number in adds.values() if number is not None]
    frozen = sum(one["parameters"]["frozen"] or 0 for one in each)
    total = sum(known) if len(known) == len(adds) else None
    return {"parameters": {"trained": 0, "frozen": frozen}, "multiply_adds": {**adds, "total": total}}
