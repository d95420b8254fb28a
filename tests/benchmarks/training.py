"""The training step: the field's way, the harness, and a bare loop over tensors in memory, in turn in one run.

    uv run python tests/benchmarks/training.py [--batch 16] [--steps 4] [--rounds 3] [--threads 2]

The network is that of harness.bench.seed: a ResNet-18 on 112 x 112 face crops, a bidirectional LSTM of 512, clips of 16
frames; the pictures are the synthetic set's. The field's way reads them with PIL and computes in float32 and NCHW. The
bare loops do what the harness's step does (loss, backward, clipping, AdamW), in channels_last, on batches in memory.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from tabulate import tabulate

from harness import devices
from harness.bench import seed, steps
from harness.bench.measure import Work, interleaved
from harness.bench.work import repeated
from harness.config import load_config
from harness.data.clips import ClipData
from harness.data.demo import make_demo
from harness.run import prepare
from harness.setup import Job, make_job
from harness.world import alone, autocast
from zoo.assemble import Batch, Model
from zoo.mixup import training_loss

CPU = torch.device("cpu")
SETTINGS = [
    "encoder.face.pretrained=false", "encoder.face.size=112", "head.hidden=512", "project.method=raw", "train.clip=16",
    "train.modality_dropout=0", "project.dropout=0",
]  # fmt: skip


def make(folder: Path, batch: int) -> Job:
    """The seed's network and clips as a combination, on a synthetic set."""
    make_demo(folder, videos=(4, 2, 2), frames=160, progress=False)
    flags: dict[str, Any] = {"data_dir": str(folder), "encoders": "face=timm:resnet18", "fusion": "concat",
                             "head": "lstm", "device": "cpu"}  # fmt: skip
    return make_job(load_config(None, flags, [*SETTINGS, f"train.batch={batch}"]), progress=False)


def with_precision(job: Job, precision: str) -> Job:
    """The same job in another precision."""
    return replace(job, config=job.config.model_copy(
        update={"train": job.config.train.model_copy(update={"precision": precision})}
    ))  # fmt: skip


def bare(job: Job, model: Model, ready: list[Batch]) -> tuple[float, float]:
    """The least that a step can be, on batches in memory; frames and seconds."""
    devices.fit(model, alone(CPU), job.config.train)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    began = time.perf_counter()
    for batch in ready:
        with autocast(CPU, job.config.train.precision):
            loss, _ = training_loss(model, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        float(loss.detach())
    return float(sum(int(batch.valid.sum()) for batch in ready)), time.perf_counter() - began


class SeedsWay:
    """Some steps of the field's loop, its loader included."""

    def __init__(self, job: Job, batch: int, count: int) -> None:
        videos = seed.face_videos(job.index.split("train"))
        data = seed.FrameByFrame(list(islice(cycle(seed.sequences(videos)), batch * count)))
        self.loader = torch.utils.data.DataLoader(data, batch, shuffle=True, drop_last=True)
        self.loop = seed.Loop(seed.Network())

    def __call__(self) -> float:
        frames = 0
        for faces, labels in self.loader:
            self.loop.step(faces, labels)
            frames += labels.shape[0] * labels.shape[1]
        return float(frames)


def candidates(job: Job, count: int) -> Iterator[tuple[str, Work]]:
    """Everything that is timed, by name."""
    settings = job.config.train
    yield "seed's way, float32", SeedsWay(job, settings.batch, count)
    for precision in ("32", "bf16-mixed"):
        own = with_precision(job, precision)
        prepared = prepare(own, progress=False)
        model, data = prepared.model, prepared.splits["train"]
        videos = repeated(data.videos, (count + 1) * settings.clip * settings.batch)
        data = ClipData(data.index, videos, data.slots, data.store, data.raw)
        ready = steps.training_batches(data, settings, count)
        yield (
            f"harness, {precision}",
            lambda own=own, model=model, data=data: steps.harness_steps(own, model, data, CPU),
        )  # type: ignore[misc]
        yield f"bare loop, {precision}", lambda own=own, model=model, ready=ready: bare(own, model, ready)  # type: ignore[misc]


def main() -> None:
    """Print frames a second and the ratios."""
    options = argparse.ArgumentParser(description=__doc__)
    for name, value in (("batch", 16), ("steps", 4), ("rounds", 3), ("threads", torch.get_num_threads())):
        options.add_argument(f"--{name}", type=int, default=value)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        job = make(Path(folder), given.batch)
        rates = interleaved(dict(candidates(job, given.steps)), rounds=given.rounds)
    first = rates["seed's way, float32"]
    rows = []
    for name, rate in rates.items():
        ratio = rate.over(first)
        limit = rates.get(name.replace("harness", "bare loop"))
        share = f"{rate.over(limit).median:.2f}" if limit is not None and limit is not rate else ""
        rows.append((name, f"{rate.median:.1f}", f"{ratio.median:.2f}", f"{ratio.low:.2f}-{ratio.high:.2f}", share))
    print(tabulate(rows, ["", "frames/s", "over the seed's", "range", "of the bare loop"], disable_numparse=True))


if __name__ == "__main__":
    main()
