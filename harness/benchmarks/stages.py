"""Stages of a run on the user's machine and data, each measured in turn with its limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tqdm import tqdm

from harness.batching.clips import ClipData
from harness.benchmarks import decoding, steps
from harness.benchmarks.bottleneck import Stage
from harness.benchmarks.measure import Rates, Work, interleaved
from harness.benchmarks.workload import repeated
from harness.features.encoder_probe import choose_precision
from harness.features.frozen_encoder import FrozenSlot, frozen_slots
from harness.runs.job import Job
from harness.runs.preparation import prepare
from harness.runtime.device import pick_device
from zoo.api import FrameInput
from zoo.model.model import build_encoder

CHUNKS = 3  # of images for timing the networks alone
STEPS = 8  # of training that are timed


def measure(job: Job, *, rounds: int = 3, progress: bool = True) -> list[Stage]:
    """Measure all stages of a job that was cut to size, in a cache of its own (harness.benchmarks.workload)."""
    device = pick_device(job.config.device)
    frozen = frozen_slots(job.plan.slots, job.config.features, device)
    choose_precision(job.index, frozen, building=True)  # sets the precision in which they are computed
    trained = [slot for slot in job.plan.slots if not slot.frozen]
    epochs, precision = float(job.config.train.epochs), job.config.train.precision
    stages: list[Stage] = []
    with _progress(progress) as said:

        def rates(what: str, candidates: dict[str, Work]) -> tuple[Rates, Rates]:
            said(what)
            got = interleaved(candidates, rounds=rounds)
            return got["harness"], got["bare"]

        looking = [slot for slot in frozen if isinstance(slot.encoder.input, FrameInput)]
        if looking:
            stages.append(_decoding(job, looking, rates))
        if frozen:
            stages += encoding(job, frozen, rates)
        said("preparing the training")
        prepared = prepare(job, progress=False)
        data = _long(prepared.splits["train"], job)
        ready = steps.training_batches(data, job.config.train, STEPS)
        if trained:
            stages += _loading(job, data, rates, epochs)
        training = rates(
            "training",
            {
                "harness": lambda: steps.harness_steps(job, prepared.model, data, device),
                "bare": lambda: steps.bare_steps(prepared.model, ready, device, precision),
            },
        )
        stages.append(Stage("train", "train", *training, "bare loop, batches in memory", epochs))
        val = prepared.splits.get("val") or prepared.splits["train"]
        windows, frames = steps.evaluation_batches(job, val), sum(v.n_frames for v in val.videos)
        answering = rates(
            "evaluation",
            {
                "harness": lambda: steps.harness_answers(job, prepared.model, val, device),
                "bare": lambda: steps.bare_answers(prepared.model, windows, frames, device, precision),
            },
        )
        share = _validation_share(job)
        scored = max(1.0, epochs / job.config.train.validate_every) * share
        stages.append(Stage("evaluate", "evaluate", *answering, "bare model, windows in memory", scored))
    return stages


Measure = Callable[[str, dict[str, Work]], tuple[Rates, Rates]]


def _decoding(job: Job, looking: list[FrozenSlot], rates: Measure) -> Stage:
    slots = [(slot.plan, slot.encoder.input.size) for slot in looking]  # type: ignore[attr-defined]
    bare = decoding.BareDecoder(job.index, slots)
    both = rates("decoding", {"harness": lambda: decoding.decode(job.index, slots), "bare": bare})
    return Stage("decode", "decode", *both, "bare decoder", once=True)


def encoding(job: Job, frozen: list[FrozenSlot], rates: Measure) -> list[Stage]:
    """Measure each network alone, and the whole extraction next to its networks one after the other."""
    stages, bare, present = [], {}, {}
    for slot in frozen:
        ready, name = decoding.chunks(job.index, slot, CHUNKS), slot.plan.name
        if not ready:
            continue
        bare[name] = decoding.BareNetwork(slot, ready)
        present[name] = decoding.share_present(job.index, slot)
        work: dict[str, Work] = {"harness": partial(decoding.encode, slot, ready), "bare": bare[name]}
        both = rates(f"encoding {name}", work)
        stages.append(
            Stage(f"encode {name}", "encode", *both, f"bare network, {slot.precision}", present[name], once=True)
        )
    both = rates(
        "extraction",
        {
            "harness": lambda: decoding.extraction(job.index, frozen),
            "bare": lambda: decoding.one_after_the_other(bare, present),
        },
    )
    return [*stages, Stage("extract", "extract", *both, "its bare networks", whole=True)]


def _loading(job: Job, data: ClipData, rates: Measure, epochs: float) -> list[Stage]:
    slots = [
        (slot, encoder.input.size)
        for slot in job.plan.slots
        if not slot.frozen and isinstance((encoder := build_encoder(slot)).input, FrameInput)
    ]
    if not slots:
        return []
    bare = decoding.BareDecoder(job.index, slots)
    both = rates("loading", {"harness": lambda: steps.load(data, job.config.train), "bare": bare})
    return [Stage("load", "decode", *both, "bare decoder", epochs)]


def _long(data: ClipData, job: Job) -> ClipData:
    """Return the split's videos repeated until an epoch has enough steps for timing."""
    settings = job.config.train
    close = settings.gaps == "close"
    videos = repeated(data.videos, (STEPS + 1) * settings.batch, settings.clip, labelled=close)
    return ClipData(data.index, videos, data.slots, data.store, data.raw, close_gaps=close)


def _validation_share(job: Job) -> float:
    """Return validation frames over training frames, of the whole data folder."""
    whole = job.whole or job.index
    train = sum(video.n_frames for video in whole.split("train"))
    return sum(video.n_frames for video in whole.split("val")) / max(1, train)


@contextmanager
def _progress(shown: bool) -> Iterator[Callable[[str], Any]]:
    with tqdm(bar_format="measuring: {desc}", disable=None if shown else True, leave=False) as bar:
        yield bar.set_description_str
