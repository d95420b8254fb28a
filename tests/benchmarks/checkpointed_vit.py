"""Gradient checkpointing of DINOv2's ViT-S at 224 pixels: the largest batch in some memory, and its speed.

``python -m tests.benchmarks.checkpointed_vit [--memory GB] [--rounds N]`` trains on the synthetic set with the harness's
own loop, reading included, and in turn with a bare loop over batches in memory, whose blocks timm checkpoints. Rates are
frames per second of processor time of one thread, because the machine may be busy. Then it prints, for a step of AdamW
with and without ``train.grad_checkpoint=encoders``, the resident memory of a process of its own at two sizes of the
batch, the number of frames at which a line through both reaches the memory, and what a step with so many really takes.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import torch

from harness.batching.clips import ClipData
from harness.benchmarks import steps
from harness.benchmarks.measure import in_child, interleaved
from harness.benchmarks.workload import cut, repeated
from harness.config.schema import Train, load_config
from harness.features.store import FeatureStore
from harness.runs.job import make_job
from harness.runtime.distributed import single_process
from harness.training.accumulation import gradient_of, objective_of
from harness.training.build import make_model, raw_slots
from harness.training.recompute import checkpoint_gradients
from tests.benchmarks.fine_tuning import CPU, Plain, batch, model
from zoo.api import Counts

NAME, SIZE, DIM = "vit_small_patch14_dinov2", 224, 384
CLIP, BATCH, STEPS = 8, 2, 3
NEAR = (16, 32)  # frames


def one_step(frames: int, way: str) -> None:
    """Compute a gradient and one step over one clip. It runs in a process of its own, whose memory is looked at."""
    settings = Train(grad_checkpoint=way)
    net = model(NAME, SIZE, DIM).train()
    checkpoint_gradients(net, settings)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-5)
    compute = gradient_of(Plain(), objective_of(net, settings), net, settings, single_process(CPU))
    compute(batch(1, frames, SIZE))
    optimizer.step()


def peak(frames: int, way: str) -> float:
    """The most resident memory of such a step, in GB, imports included."""
    return in_child(f"{__spec__.name}:one_step", frames, way).peak_mb / 1e3


def largest(way: str, memory: float) -> None:
    """Print how many frames of a batch the memory holds."""
    first, second = (peak(frames, way) for frames in NEAR)
    slope = (second - first) / (NEAR[1] - NEAR[0])
    most = int(NEAR[0] + (memory - first) / slope)
    print(f"grad_checkpoint={way}: {first:.2f} GB with {NEAR[0]} frames, {second:.2f} GB with {NEAR[1]}", flush=True)
    print(
        f"  {1e3 * slope:.1f} MB a frame, so {memory:g} GB hold {most}; measured: {peak(most, way):.2f} GB", flush=True
    )


def speeds(rounds: int) -> None:
    """Print the rates of both loops, and their ratio."""
    sets = [f"encoder.face.size={SIZE}", "encoder.face.pretrained=false", f"train.clip={CLIP}", f"train.batch={BATCH}"]
    flags = {
        "data_dir": None,
        "device": "cpu",
        "encoders": f"face=timm:{NAME}",
        "fusion": "concat",
        "head": "gru",
        "finetune": ["face"],
        "augment": ["none"],
    }
    job = cut(make_job(load_config("default", flags, [*sets, "train.grad_checkpoint=encoders"])), videos=4, frames=120)
    plain = replace(job, config=make_job(load_config("default", flags, sets)).config)
    settings, index = job.config.train, job.index
    videos = repeated(index.split("train"), (STEPS + 2) * BATCH, CLIP, labelled=True)
    clips = ClipData(index, videos, ["face"], FeatureStore(), raw_slots(job.plan, index), close_gaps=True)
    counts = [Counts(1, (1,) * 20) for _ in job.track.answers]
    bare = make_model(plain.plan, {"face": DIM}, counts, plain.config)
    bare.encoders["face"].net.set_grad_checkpointing(True)  # type: ignore[operator, union-attr]
    ready = steps.training_batches(clips, settings, STEPS)

    def own() -> tuple[float, float]:
        """A new network each round, since training wraps its blocks; its first step, which gets memory, is left out."""
        net = make_model(job.plan, {"face": DIM}, counts, job.config)
        return steps.harness_steps(job, net, clips, CPU, uncounted=1)

    steps.time.perf_counter = time.process_time  # type: ignore[attr-defined]
    found = interleaved(
        {
            "bare loop": lambda: steps.bare_steps(bare, ready, CPU, "32"),
            "own loop": own,
        },
        rounds=rounds,
    )
    ratio = found["own loop"].over(found["bare loop"])
    for name, rates in found.items():
        print(f"{name}: {rates.median:.2f} frames per second of processor")
    print(f"ratio {ratio.median:.3f} ({ratio.low:.3f} to {ratio.high:.3f})")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", type=float, default=8.0, help="in GB")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    speeds(given.rounds)
    for way in ("encoders", "none"):
        largest(way, given.memory)


if __name__ == "__main__":
    main()
