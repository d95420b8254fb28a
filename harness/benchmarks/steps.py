"""Rates of the harness's own loops, and of bare ones over tensors in memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.batching.clips import ClipData
from harness.batching.training_windows import training_windows
from harness.batching.windows import Window, batches, evaluation_windows
from harness.config.schema import Train
from harness.evaluation.prediction import answers
from harness.runs.job import Job
from harness.runtime.distributed import single_process
from harness.runtime.precision import autocast
from harness.training.loop import train
from zoo.model.mixup import training_loss
from zoo.model.model import Batch, Model


def training_batches(data: ClipData, settings: Train, most: int) -> list[Batch]:
    """Return some batches of a training epoch, in memory."""
    windows = batches(training_windows(data, settings.clip, np.random.default_rng(0)), settings.batch)
    return [data.batch(part, settings.clip) for part, _ in zip(windows, range(most), strict=False)]


def load(data: ClipData, settings: Train) -> float:
    """Read an epoch's batches; return valid frames."""
    windows = batches(training_windows(data, settings.clip, np.random.default_rng(0)), settings.batch)
    return float(sum(int(data.batch(part, settings.clip).valid.sum()) for part in windows))


def harness_steps(
    job: Job, model: Model, data: ClipData, device: torch.device, *, uncounted: int = 0
) -> tuple[float, float]:
    """Train one epoch with the harness's own loop; return frames and seconds from its first to its last step.

    The time of the first ``uncounted`` steps is left out: a compiled network is compiled in them. So is work before the
    first step (the optimizer, TensorBoard) and after the last (the checkpoint): it is negligible over an epoch of
    Aff-Wild2, but not over a few steps.
    """
    settings = job.config.train.model_copy(update={"epochs": 1, "min_steps": 0, "select": "last"})
    with tempfile.TemporaryDirectory() as folder, _stamped(model) as stamps:
        train(
            model,
            data,
            None,
            job.track,
            settings,
            seed=0,
            world=single_process(device),
            folder=Path(folder),
            progress=False,
        )
    del stamps[:uncounted]
    if len(stamps) < 2:
        raise ValueError("an epoch of one step cannot be timed")
    return float(sum(frames for _, frames in stamps[:-1])), stamps[-1][0] - stamps[0][0]


@contextmanager
def _stamped(model: Model) -> Iterator[list[tuple[float, int]]]:
    """Collect (time, valid frames) of every step, at the start of the fusion."""
    stamps: list[tuple[float, int]] = []

    def stamp(_: Any, args: tuple[Any, ...]) -> None:
        stamps.append((time.perf_counter(), int(args[2].sum())))

    hook = model.fusion.register_forward_pre_hook(stamp)
    try:
        yield stamps
    finally:
        hook.remove()


def bare_steps(model: Model, ready: Sequence[Batch], device: torch.device, precision: str) -> tuple[float, float]:
    """Run a plain loop over batches in memory: loss, backward, step. Return frames and seconds."""
    model.to(device).train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-6)
    moved = [batch.to(device) for batch in ready]
    began = time.perf_counter()
    for batch in moved:
        with autocast(device, precision):
            loss, _ = training_loss(model, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        float(loss.detach())
    return float(sum(int(batch.valid.sum()) for batch in moved)), time.perf_counter() - began


def harness_answers(job: Job, model: Model, data: ClipData, device: torch.device) -> float:
    """Predict whole videos with the harness's own evaluation; return frames."""
    settings = job.config.train
    got = answers(
        model,
        data,
        job.track,
        length=settings.clip,
        batch=settings.batch * 2,
        device=device,
        full=settings.evaluation == "full",
        precision=settings.precision,
    )
    return float(sum(len(next(iter(video.values.values()))) for video in got))


def evaluation_batches(job: Job, data: ClipData) -> list[Batch]:
    """Return the windows used in evaluation, in memory."""
    settings = job.config.train
    out = []
    for v, video in enumerate(data.videos):
        spans = [Window(v, *span) for span in evaluation_windows(video.n_frames, settings.clip)]
        out += [data.batch(part, settings.clip) for part in batches(spans, settings.batch * 2)]
    return out


@torch.inference_mode()
def bare_answers(
    model: Model, ready: Sequence[Batch], frames: int, device: torch.device, precision: str
) -> tuple[float, float]:
    """Run the model alone on batches in memory that cover ``frames`` frames of video; return frames and seconds."""
    model.to(device).eval()
    moved = [batch.to(device) for batch in ready]
    began = time.perf_counter()
    for batch in moved:
        with autocast(device, precision):
            raw = model(batch).raw
        model.decode(raw).cpu()
    return float(frames), time.perf_counter() - began
