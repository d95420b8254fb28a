"""`harness run`: data, features, training, evaluation, submission, record, in this order."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch

from harness.batching.clips import ClipData
from harness.batching.training_windows import training_counts
from harness.config.schema import RunConfig, flat
from harness.data.index.index import Index, Split, Video
from harness.data.streams.raw_inputs import RawSlot
from harness.evaluation.looks import passes_of
from harness.evaluation.plain_reference import plain_reference
from harness.evaluation.prediction_tables import write_predictions
from harness.evaluation.shared_prediction import shared_answers
from harness.features.extraction import extract, extract_videos
from harness.features.frozen_encoder import FrozenSlot, frozen_slots
from harness.features.store import FeatureStore
from harness.features.views import ViewChoice, mirror_slots, view_slots
from harness.io.run_lock import run_lock
from harness.runs import finished, provenance
from harness.runs.identity import identity, made_of
from harness.runs.job import Job, make_job
from harness.runs.recording import record_run
from harness.runs.remarks import absent_lines
from harness.runs.results import answer_test, postprocessors_of_source, score_split
from harness.runs.starting_weights import base_metadata, load_base, load_starting_weights
from harness.runs.teacher import soft_targets
from harness.runtime.device import pick_device
from harness.runtime.distributed import World, report_lost_process, single_process
from harness.runtime.launchers import Failure
from harness.submissions.submission import link_record
from harness.training.build import (
    adapter_options,
    fit_adapters,
    make_augmenter,
    make_model,
    raw_slots,
    regularisation_options,
    shuffled,
)
from harness.training.checkpoint import load_weights, save_weights
from harness.training.checks import check_training
from harness.training.loggers import Loggers
from harness.training.loop import Trained, train
from harness.training.placement import Clock
from leaderboards.blocks import Circumstances, ReferenceBlock, Result, WeightsBlock
from leaderboards.record import Record
from zoo.api import Counts, TrackSpec, VideoAnswers
from zoo.errors import UserError
from zoo.model.adapter import Adapter
from zoo.model.cost import cost
from zoo.model.lora import learned_state, load_learned
from zoo.model.model import Model, module_key
from zoo.model.shape_check import check
from zoo.registry.own_classes import own_classes
from zoo.registry.plan import Plan
from zoo.weights.loading import Loaded

FITS = {"projection": "train", "loss": "train", "reference": "train"}
"""Fits before and during training -> the split that they use (ClipData.of holds it)."""
REST = "rest.parquet"
"""Predictions for the videos outside all folds."""
SPLITS: tuple[Split, ...] = ("train", "select", "val", "rest", "test")
PREDICTED: tuple[Split, ...] = ("val", "rest", "test")


@dataclass
class Outcome:
    """A finished run: its folder, record, and lines for the summary."""

    folder: Path
    record: Record
    notes: list[str]


@dataclass
class Prepared:
    """Everything between the files and the loop. ``exposures``: trainings of the weights that the run begins with."""

    model: Model
    splits: dict[str, ClipData]
    cards: list[WeightsBlock]
    world: World
    exposures: list[provenance.TrainingExposure] = field(default_factory=list)
    store: FeatureStore = field(default_factory=FeatureStore)
    dims: dict[str, int] = field(default_factory=dict)  # widths of the encoders' features
    base: dict[str, str] = field(default_factory=dict)  # metadata that names the weights under adapters


def run(job: Job, folder: Path, *, world: World | None = None, progress: bool = True) -> Outcome:
    """Train and evaluate one combination into ``folder`` (made by the caller, holding config.toml).

    A failure leaves a record with the reason; an interruption leaves one that can be continued. With several processes
    only the first one writes; in the others the outcome's record is empty.
    """
    world = world or single_process(pick_device(job.config.device))
    circumstances: Circumstances = {"data": finished.place_of(job.index.root, folder)}
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
        settings = flat(job.config.model_dump(mode="json", exclude_none=True))
        found.settings(
            {k: v if isinstance(v, str | int | float) else ", ".join(map(str, v)) for k, v in settings.items()}
        )
    return found


def prepare(job: Job, *, world: World | None = None, progress: bool = True, weights: Path | None = None) -> Prepared:
    """Prepare features, clips and the model: fitted on the training frames, or with a finished run's ``weights``."""
    config, plan = job.config, job.plan
    if config.zero_shot:
        raise UserError("zero-shot-run")
    if config.trees:
        raise UserError("trees-run")
    world = world or single_process(pick_device(config.device))
    torch.use_deterministic_algorithms(True, warn_only=True)

    # On the meta device: parts that do not fit together are found before any pixel is read.
    dims = check(plan, adapter_options(config), regularisation_options(config))["dims"]
    if weights is None:
        check_training(plan, config)
    frozen, raw = frozen_slots(plan.slots, config.features, world.device), raw_slots(plan, job.index)
    store = extract_features(job.index, frozen, raw, world, progress=progress)
    for line in absent_lines(store, plan.slots, job.index) if world.first else ():
        print(line, flush=True)
    add_looks(job, frozen, store, progress=progress and world.first)
    splits = clips_of(job, store, raw)
    cards = [card for slot in frozen if (card := slot.record())]
    if weights is not None:
        model = trained_model(plan, dims, job.track, config, weights).to(world.device)
        return Prepared(model, splits, cards, world, store=store)

    check_trainable(job, splits)
    add_views(job, frozen, splits["train"], store, progress=progress and world.first)
    teach(job, splits["train"], world, progress=progress)
    if config.train.shuffle_labels:
        splits["train"].labels = shuffled(splits["train"].labels, config.seed)
    model = make_model(plan, dims, training_counts(job.track, splits["train"]), config)
    loaded = load_starting_weights(model, plan)
    fit_adapters(model, splits["train"], store)
    exposures = exposures_of(frozen, loaded)
    taught_by = list(job.teacher.exposures) if job.teacher is not None else []
    base = base_metadata(model, loaded)
    cards += [card_of(name, found) for name, found in loaded.items()]
    # Weights that were trained on reported videos mark the run.
    cards = [provenance.annotate_weights(card, exposures.get(card["slot"], []), job) for card in cards]
    trainings = [one for those in exposures.values() for one in those] + taught_by
    return Prepared(model, splits, cards, world, trainings, store, dims, base)


def card_of(slot: str, loaded: Loaded) -> WeightsBlock:
    """Return the model card of the weights that a finetuned encoder begins with."""
    return WeightsBlock(slot=slot) | cast(WeightsBlock, loaded.record()) | {"precision": "float32"}


def exposures_of(
    frozen: Sequence[FrozenSlot], loaded: Mapping[str, Loaded]
) -> dict[str, list[provenance.TrainingExposure]]:
    """Return slot -> the trainings that its weights have been through, as noted in their files."""
    files = {slot.plan.name: slot.file for slot in frozen if slot.file}
    files |= {name: found.path for name, found in loaded.items()}
    return {name: provenance.read_exposure(file) for name, file in files.items()}


def trained_model(plan: Plan, dims: Mapping[str, int], track: TrackSpec, config: RunConfig, weights: Path) -> Model:
    """Return a finished run's network with its weights, which are compared with the record.

    Adapters are added to the pretrained weights that they were trained on; UserError if those here are others.
    """
    model = make_model(plan, dims, [Counts(1, (1,) * max(2, len(a.classes))) for a in track.answers], config)
    finished.check_written(weights)
    learned = load_weights(weights)
    load_base(model, plan, weights)
    load_learned(model, learned)
    return model


def extract_features(
    index: Index, frozen: Sequence[FrozenSlot], raw: Mapping[str, RawSlot], world: World, *, progress: bool
) -> FeatureStore:
    """Compute features missing from the cache, divided among the processes; UserError if a video is unreadable."""
    if world.size > 1:
        pack_inputs(index, raw, world)
    store, failures = extract(index, frozen, progress=progress and world.first)
    refuse_failures(failures, index)
    return store


def add_views(job: Job, frozen: Sequence[FrozenSlot], data: ClipData, store: FeatureStore, *, progress: bool) -> None:
    """Compute the augmented views of the training videos (``features.views``), and let their clips use them."""
    views = job.config.features.views
    slots = view_slots(frozen, job.plan.augment, views)
    if not slots:
        return
    names = [video.name for video in data.videos]
    refuse_failures(extract_videos(job.index, slots, names, store=store, progress=progress), job.index)
    data.views = ViewChoice(frozenset(slot.base.plan.name for slot in slots), views, job.config.seed)


def add_looks(job: Job, frozen: Sequence[FrozenSlot], store: FeatureStore, *, progress: bool) -> None:
    """Compute the features of the looks over which predictions are averaged (``tta``), for the predicted videos."""
    tta = job.config.tta
    slots = (mirror_slots(frozen) if tta.flip else []) + view_slots(frozen, job.plan.augment, tta.views)
    if slots:
        names = [video.name for split in PREDICTED for video in job.index.split(split)]
        refuse_failures(extract_videos(job.index, slots, names, store=store, progress=progress), job.index)


def teach(job: Job, data: ClipData, world: World, *, progress: bool) -> None:
    """Give the training clips the predictions of the run's teacher, if it has one."""
    if job.teacher is None:
        return

    def predict(config: RunConfig, folder: Path, videos: Sequence[Video]) -> list[VideoAnswers]:
        own, names = make_job(config, progress=progress), {video.name for video in videos}
        # As test videos: only training clips are cut at gaps.
        kept = tuple(replace(video, split="test") for video in own.index.videos if video.name in names)
        own = replace(own, index=replace(own.index, videos=kept))
        prepared = prepare(own, world=world, progress=progress, weights=folder / "weights.safetensors")
        found: list[VideoAnswers] = world.broadcast(predict_split(own, prepared, "test"))
        return found

    distill = job.config.distill
    soft = soft_targets(job.teacher, job.config, data.videos, predict)
    data.teach(soft, job.config.train.delay, unlabelled=distill.unlabelled)


def refuse_failures(failures: Sequence[Failure], index: Index) -> None:
    """Raise UserError if features of some videos could not be computed."""
    if not failures:
        return
    reasons = {failure.reason for failure in failures}
    if len(reasons) == 1 and len(failures) > 1:  # not one video's fault, but for example weights that do not fit
        raise UserError("features-failed", message=reasons.pop())
    some = "; ".join(f"{failure.item}: {failure}" for failure in failures[:5])
    raise UserError("videos-unreadable", count=len(failures), count2=len(index.videos), some=some)


def clips_of(job: Job, store: FeatureStore, raw: Mapping[str, RawSlot]) -> dict[str, ClipData]:
    """Return the clips of each split with videos; only training targets are shifted by the delay and cut at gaps."""
    names, train = [slot.name for slot in job.plan.slots], job.config.train
    splits: dict[str, ClipData] = {}
    for split in SPLITS:
        if videos := job.index.split(split):
            shift, close = (train.delay, train.gaps == "close") if split == "train" else (0.0, False)
            splits[split] = ClipData(
                job.index,
                videos,
                names,
                store,
                raw,
                delay=shift,
                close_gaps=close,
                stride=train.stride,
                fps=train.fps,
            )
    return splits


def check_trainable(job: Job, splits: Mapping[str, ClipData]) -> None:
    """Raise UserError if no labelled training frame has data.

    Frame times of the other splits are read now too: they are needed with the predictions, and should fail before
    training.
    """
    data = splits.get("train")
    if data is None or not any(useful.any() for useful in data.useful):
        raise UserError("training-no-labels", root=job.index.root, name=job.track.name)
    for split, clips in splits.items():
        for i in range(len(clips.videos) if split != "train" else 0):
            clips.times(i)


def pack_inputs(index: Index, raw: Mapping[str, RawSlot], world: World) -> None:
    """Pack frames cut from video once per video, divided among the processes; each then finds the others' files.

    harness.features.extraction divides the features itself.
    """
    for slot in raw.values():
        for i in world.shard([video.n_frames for video in index.videos]):
            slot.prepare(index.videos[i].name)
    world.all_gather(None)


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


def predict_split(job: Job, prepared: Prepared, split: str) -> list[VideoAnswers]:
    """Predict all videos of a split; with several processes only the first has the predictions."""
    how = evaluation_options(job.config, job.plan)
    return shared_answers(prepared.world, prepared.model, prepared.splits[split], job.track, **how)


def evaluation_options(config: RunConfig, plan: Plan) -> dict[str, Any]:
    """Return the options with which a run predicts whole videos (harness.evaluation.prediction.answers)."""
    return {
        "length": config.train.clip,
        "batch": config.train.batch * 2,
        "full": config.train.evaluation == "full",
        "delay": config.train.delay,
        "per_slot": wants_per_slot(plan),
        "own": own_classes(plan.slots, plan.answers) if any(block.spec.own_classes for block in plan.post) else (),
        "precision": config.train.precision,
        "passes": passes_of(config, plan),
    }


def wants_per_slot(plan: Plan) -> bool:
    """Return True if a post-processor uses the predictions of single slots."""
    return any(getattr(block.spec, "per_slot", False) for block in plan.post)
