"""Everything between the files and the loop: features, clips, and the model that training begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import torch

from harness.batching.clips import ClipData
from harness.batching.training_windows import training_counts
from harness.config.schema import RunConfig, Train
from harness.data.index.index import Split, Video
from harness.data.streams.raw_inputs import RawSlot
from harness.evaluation.looks import check_passes, passes_of
from harness.evaluation.prediction import PredictionOptions
from harness.evaluation.shared_prediction import shared_answers
from harness.features.frozen_encoder import FrozenSlot, frozen_slots
from harness.features.store import FeatureStore
from harness.runs import finished, provenance
from harness.runs.features import add_looks, add_views, extract_features
from harness.runs.job import Job
from harness.runs.remarks import absent_lines
from harness.runs.starting_weights import base_metadata, load_base, load_starting_weights
from harness.runs.teacher import soft_targets
from harness.runtime.device import pick_device
from harness.runtime.distributed import World, single_process
from harness.training.build import (
    adapter_options,
    fit_adapters,
    make_model,
    raw_slots,
    regularisation_options,
    shuffled,
)
from harness.training.checkpoint import load_weights
from harness.training.checks import check_training
from leaderboards.blocks import WeightsBlock
from zoo.api import Counts, TrackSpec, VideoAnswers
from zoo.errors import UserError
from zoo.model.lora import load_learned
from zoo.model.model import Model
from zoo.model.shape_check import check
from zoo.registry.own_classes import own_classes
from zoo.registry.plan import Plan
from zoo.weights.loading import Loaded

SPLITS: tuple[Split, ...] = ("train", "select", "val", "rest", "test")


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
        check_passes(config, plan)
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


def check_trainable(job: Job, splits: Mapping[str, ClipData]) -> None:
    """Raise UserError if no labelled training frame has data, or a rate takes less than a frame of a clip.

    Frame times of the other splits are read now too: they are needed with the predictions, and should fail before
    training.
    """
    data = splits.get("train")
    if data is None or not any(useful.any() for useful in data.useful):
        raise UserError("training-no-labels", root=job.index.root, name=job.track.name)
    for split, clips in splits.items():
        for i in range(len(clips.videos) if split != "train" else 0):
            clips.times(i)
        _check_strides(clips, job.config.train)


def _check_strides(clips: ClipData, train: Train) -> None:
    """Raise UserError if ``train.fps`` takes less than a frame of a clip."""
    for video, stride in zip(clips.videos, clips.strides, strict=True):
        if stride > train.clip:
            raise UserError("stride-of-fps", fps=train.fps, stride=stride, video=video.name, clip=train.clip)


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


def teach(job: Job, data: ClipData, world: World, *, progress: bool) -> None:
    """Give the training clips the predictions of the run's teacher, if it has one."""
    if job.teacher is None:
        return

    def predict(own: Job, folder: Path, videos: Sequence[Video]) -> list[VideoAnswers]:
        names = {video.name for video in videos}
        # As test videos: only training clips are cut at gaps.
        kept = tuple(replace(video, split="test") for video in own.index.videos if video.name in names)
        own = replace(own, index=replace(own.index, videos=kept))
        prepared = prepare(own, world=world, progress=progress, weights=folder / "weights.safetensors")
        found: list[VideoAnswers] = world.broadcast(predict_split(own, prepared, "test"))
        return found

    distill = job.config.distill
    soft = soft_targets(job.teacher, data.videos, predict)
    data.teach(soft, job.config.train.delay, unlabelled=distill.unlabelled)


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


def predict_split(job: Job, prepared: Prepared, split: str) -> list[VideoAnswers]:
    """Predict all videos of a split; with several processes only the first has the predictions."""
    how = evaluation_options(job.config, job.plan)
    return shared_answers(prepared.world, prepared.model, prepared.splits[split], job.track, **how)


def evaluation_options(config: RunConfig, plan: Plan) -> PredictionOptions:
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
