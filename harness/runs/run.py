"""`harness run`: data, features, training, evaluation, submission, record, in this order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from harness.batching.clips import ClipData, training_counts
from harness.config.schema import RunConfig
from harness.data.index.index import Index
from harness.data.packed.locate import stored_as
from harness.data.streams.raw_inputs import RawSlot
from harness.evaluation.prediction import shared_answers
from harness.features.extraction import extract
from harness.features.frozen_encoder import frozen_slots
from harness.features.store import FeatureStore
from harness.io.locks import at_work
from harness.runs import provenance as guard
from harness.runs.job import Job
from harness.runs.recording import recorded
from harness.runs.results import answer_test, chain_of_origin, score_split
from harness.runtime import memory
from harness.runtime.distributed import World, alone, lost_is_told
from harness.submissions.submission import name_record
from harness.training.checkpoint import load_weights, save_weights
from harness.training.loop import Trained, train
from harness.training.placement import Clock
from leaderboards.record import Record
from zoo.api import Counts, VideoAnswers
from zoo.errors import UserError, first_line
from zoo.model.adapter import Adapter
from zoo.model.cost import cost
from zoo.model.model import AdapterOptions, Aids, Model, build_encoder, key
from zoo.model.shape_check import check, meta_or_real
from zoo.registry.plan import Plan
from zoo.weights.loading import load_pretrained

CIRCUMSTANCES = {"data_dir", "device", "devices", "nodes", "plugin", "epochs_from"}  # of the configuration
VERSIONED = ("abaw-zoo", "torch", "torchvision", "torchaudio", "timm", "numpy")


@dataclass
class Outcome:
    """A finished run: its folder, record, and lines for the summary."""

    folder: Path
    record: Record
    notes: list[str]


@dataclass
class Prepared:
    """Everything between the files and the loop. ``saws``: what the weights that it begins with have seen."""

    model: Model
    splits: dict[str, ClipData]
    passports: list[dict[str, Any]]
    world: World
    saws: list[guard.Saw] = field(default_factory=list)
    store: FeatureStore = field(default_factory=FeatureStore)
    dims: dict[str, int] = field(default_factory=dict)  # of the encoders' features


def run(job: Job, folder: Path, *, world: World | None = None, progress: bool = True) -> Outcome:
    """Train and evaluate one combination into ``folder`` (made by the caller, holding config.toml).

    A failure leaves a record that says why; an interruption one that can be continued. Of several processes the first
    one writes; in the others the outcome's record is empty.
    """
    world = world or alone(pick_device(job.config.device))
    record = Record(name=folder.name, status="running", result=identity(job))
    notes: list[str] = []
    own = folder if world.first else None
    with at_work(own), recorded(record, own), lost_is_told():
        record.circumstances.update(device=str(world.device), processes=world.size)
        prepared = prepare(job, world=world, progress=progress)
        if world.first:
            prepared.store.write(folder / "features.csv")
        trained = train(
            prepared.model, prepared.splits["train"], prepared.splits.get("select", prepared.splits.get("val")),
            job.track, job.config.train, seed=job.config.seed, world=world, folder=folder,
            progress=progress, stop=job.origin.epochs if job.origin else None,
        )  # fmt: skip
        clock = Clock()
        clock.start()
        got = {split: predict_split(job, prepared, split) for split in ("val", "test") if split in prepared.splits}
        clock.count(sum(video.n_frames for split in got for video in prepared.splits[split].videos))
        record.circumstances["frames_per_second"] = {"train": trained.frames_per_second, "evaluate": clock.rate}
        if world.first:
            seen = guard.metadata(job, trained.selections, prepared.saws)
            save_weights(folder / "weights.safetensors", prepared.model.state_dict(), seen)
            result, notes = conclude(job, prepared, folder, trained, got)
            record.status, record.result = "done", result
            name_record(folder / "submission", record.result_sha256)
    return Outcome(folder, record, notes)


def prepare(job: Job, *, world: World | None = None, progress: bool = True, weights: Path | None = None) -> Prepared:
    """Features, clips and the model: fitted on the training frames, or with a finished run's ``weights``."""
    config, plan = job.config, job.plan
    world = world or alone(pick_device(config.device))
    torch.use_deterministic_algorithms(True, warn_only=True)
    dims = check(plan, adapter_options(config), aids(config))["dims"]
    frozen, raw = frozen_slots(plan.slots, config.features, world.device), raw_slots(job)
    if world.size > 1:
        share_packing(job.index, raw, world)
    store, failures = extract(job.index, frozen, progress=progress and world.first)
    if failures:
        reasons = {failure.reason for failure in failures}
        if len(reasons) == 1 and len(failures) > 1:  # not a video's fault, such as weights that do not fit
            raise UserError(reasons.pop())
        raise UserError(
            f"{len(failures)} of {len(job.index.videos)} videos could not be read: " + "; ".join(map(str, failures[:5]))
        )
    names = [slot.name for slot in plan.slots]
    training = {"delay": config.train.delay, "close_gaps": config.train.gaps == "close"}
    splits = {
        s: ClipData(job.index, v, names, store, raw, **(training if s == "train" else {}))  # type: ignore[arg-type]
        for s in ("train", "select", "val", "test")
        if (v := job.index.split(s))
    }
    passports = [found for slot in frozen if (found := slot.record())]
    saws = {slot.plan.name: guard.saw(slot.file) for slot in frozen if slot.file}
    if weights is not None:
        model = make_model(job, dims, [Counts(1, (1,) * max(2, len(a.classes))) for a in job.track.answers])
        model.load_state_dict(load_weights(weights))
        return Prepared(model.to(world.device), splits, passports, world, store=store)
    data = splits.get("train")
    if data is None or not any(useful[-1] for useful in data.useful):
        raise UserError(f"{job.index.root}: no labelled training frame where a slot has data (track {job.track.name})")
    for split in ("select", "val", "test"):  # their times are wanted with the answers: better now than after training
        for i in range(len(splits[split].videos) if split in splits else 0):
            splits[split].times(i)
    if config.train.shuffle_labels:
        data.labels = shuffled(data.labels, config.seed)
    model = make_model(job, dims, training_counts(job.track, data))
    for slot in plan.slots:
        if not slot.frozen and slot.passport is not None:  # --finetune: trained on from its weights
            loaded = load_pretrained(model.encoders[key(slot.name)], slot.passport)
            passports.append({"slot": slot.name, **loaded.record(), "precision": "float32"})
            saws[slot.name] = guard.saw(loaded.path)
    fit_adapters(model, data, store)
    passports = [guard.mark(p, saws.get(p["slot"], []), job) for p in passports]
    return Prepared(model, splits, passports, world, [saw for those in saws.values() for saw in those], store, dims)


def share_packing(index: Index, raw: Mapping[str, RawSlot], world: World) -> None:
    """Pictures cut out of video are packed once a video, shared out; each process then finds the others'. (Features
    are shared out by harness.features.extraction itself.)"""
    for slot in raw.values():
        for i in world.deal([video.n_frames for video in index.videos]):
            slot.prepare(index.videos[i].name)
    world.everyones(None)


def make_model(job: Job, dims: Mapping[str, int], counts: Sequence[Counts]) -> Model:
    """The run's network with its seed's random weights."""
    torch.manual_seed(job.config.seed)
    return Model(job.plan, dims, counts, adapter_options(job.config), aids(job.config))


def raw_slots(job: Job) -> dict[str, RawSlot]:
    """Readers of raw input for the slots that are trained."""
    return {
        s.name: RawSlot(job.index, s, meta_or_real(lambda s=s: build_encoder(s)))
        for s in job.plan.slots
        if not s.frozen
    }  # type: ignore[misc]


def adapter_options(config: RunConfig) -> AdapterOptions:
    """The model's part of the configuration."""
    return AdapterOptions(**config.project.model_dump())


def aids(config: RunConfig) -> Aids:
    """What makes training harder, for the model."""
    train = config.train
    return Aids(train.modality_dropout, train.feature_noise, train.output_dropout, train.mtl == "uncertainty")


def fit_adapters(model: Model, data: ClipData, store: FeatureStore) -> None:
    """Standardisation and projection of frozen slots, from the training videos' present frames."""
    for name in model.slots:
        if name in data.raw:
            continue
        adapter = cast(Adapter, model.adapters[key(name)])
        moments = adapter.moments()
        if moments is None:
            continue
        for video in data.videos:
            rows = store.rows(name, video.name)
            for start in range(0, len(rows), 8192):
                moments.add(torch.from_numpy(np.asarray(rows[start : start + 8192], np.float32)))
        adapter.fit(moments)


def shuffled(labels: list[np.ndarray], seed: int) -> list[np.ndarray]:
    """Every training video with another one's labels (a control: nothing must be learned)."""
    n = len(labels)
    shift = 1 + int(np.random.default_rng(seed).integers(max(1, n - 1)))
    return [np.resize(labels[(i + shift) % n], labels[i].shape) for i in range(n)]


def conclude(
    job: Job, prepared: Prepared, folder: Path, trained: Trained, got: Mapping[Any, list[VideoAnswers]]
) -> tuple[dict[str, Any], list[str]]:
    """Scores, predictions, submission: what follows the last answer."""
    scored = score_split(job, got.get("val", []), folder) if job.origin is None else chain_of_origin(job)
    submission, notes = answer_test(job, got.get("test", []), scored.chain, folder)
    result = {
        **identity(job), "scores": scored.scores, "post": scored.post, "passports": prepared.passports,
        **guard.choices(job, trained.selections, prepared.saws),
        "epochs": trained.epochs, "epoch": trained.best_epoch, "steps": trained.steps, "submission": submission,
        **cost(job.plan, prepared.dims, [Counts(1, (1,) * max(2, len(a.classes))) for a in job.track.answers],
               adapter_options(job.config), aids(job.config), job.config.train.clip),
    }  # fmt: skip
    return result, notes


def predict_split(job: Job, prepared: Prepared, split: str) -> list[VideoAnswers]:
    """Answers to all videos of a split; of several processes only the first has them."""
    settings = job.config.train
    return shared_answers(
        prepared.world, prepared.model, prepared.splits[split], job.track, length=settings.clip,
        batch=settings.batch * 2, full=settings.evaluation == "full", delay=settings.delay,
        per_slot=wants_per_slot(job.plan), precision=settings.precision,
    )  # fmt: skip


def wants_per_slot(plan: Plan) -> bool:
    """Whether some post-processor looks at the slots' own answers."""
    return any(getattr(block.spec, "per_slot", False) for block in plan.post)


def pick_device(name: str) -> torch.device:
    """``auto``: the GPU where there is one. Where it is the processor, freed memory is kept for the next step."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name}: {first_line(error)}") from None
    if device.type == "cpu":
        memory.keep_freed()
    return device


def identity(job: Job) -> dict[str, Any]:
    """What the run is, known before it starts."""
    config, index, track = job.config, job.whole or job.index, job.track
    split = {s: index.split(s) for s in ("train", "val", "test")}  # type: ignore[arg-type]
    packed = stored_as(index.pack, {slot.stream.name for slot in job.plan.slots})
    fit = {"fit": list(config.fit), "epochs_from": _origin(job)} if job.origin else {}
    return {
        "combination": {"encoders": config.encoders, "fusion": config.fusion, "head": config.head},
        "config": config.model_dump(mode="json", exclude=CIRCUMSTANCES),
        "edition": job.edition.name, "track": track.name, "track_version": track.version, "metric": track.metric,
        "score_range": list(track.score_range), "split": job.split, **fit, "seeds": [config.seed],
        "data": {
            "name": job.data_name, "synthetic": job.synthetic, "fingerprint": index.fingerprint(),
            "videos": {s: len(v) for s, v in split.items()},
            "frames": {s: sum(x.n_frames for x in v) for s, v in split.items()},
            "groups": {s: len({x.group for x in v}) for s, v in split.items()},
            **({"packed": packed} if packed else {}),
        },
        "plugins": job.foreign_plugins,
        "versions": {name: version(name) for name in VERSIONED},
    }  # fmt: skip


def _origin(job: Job) -> dict[str, Any] | None:
    return {"run": job.origin.run, "sha256": job.origin.sha256, "epochs": job.origin.epochs} if job.origin else None
