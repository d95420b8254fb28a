"""The cost of augmentation as a share of the training step of ``timm:resnet18`` at 112 x 112, on this processor.

    uv run python -m tests.benchmarks.augmentation --rounds 12

Steps with the default set are timed in turn with the augmentation of the same batch, in one process, so that the ratio
does not depend on how busy the machine is from one run to the next. Each round draws anew. The last lines give the time
of every augmentation alone if every clip is changed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from zoo.api import Answer, AugmentationSpec, Counts, FrameInput
from zoo.augmenting import ClipName, build_augmentation, drawing
from zoo.model.augmenter import Augmenter, build_chains
from zoo.model.mixup import training_loss
from zoo.model.model import AdapterOptions, Batch, Model
from zoo.modules import FrameEncoder
from zoo.registry.augmentations import AugmentationPlan
from zoo.registry.plan import make_plan
from zoo.registry.registry import load

SIZE = 112
VA = (Answer("valence", "value", -5), Answer("arousal", "value", -5))
COUNTS = (Counts(9, (1,) * 20),) * 2
OPTIONS = {"encoder.face.pretrained": False, "encoder.face.size": SIZE}


def seconds(work: Callable[[], object]) -> np.ndarray:
    """Return the seconds of the clock and of the processor, all threads together."""
    began = np.array([time.perf_counter(), time.process_time()])
    work()
    ended: np.ndarray = np.array([time.perf_counter(), time.process_time()])
    return ended - began


def batch(clips: int, frames: int) -> Batch:
    g = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (clips, frames, SIZE, SIZE, 3), generator=g, dtype=torch.uint8)
    valid = torch.ones(clips, frames, dtype=torch.bool)
    target = torch.rand(clips, frames, 2, generator=g)
    where = [(f"v{clip}", 0) for clip in range(clips)]
    inputs = {"face": {"frames": pictures, "present": valid}}
    return Batch({}, inputs, {"face": valid}, valid, target, torch.ones_like(target, dtype=torch.bool), where)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--frames", type=int, default=32)
    given = parser.parse_args()
    registry = load([])
    plan = make_plan(
        registry,
        encoders="face=timm:resnet18",
        fusion="late",
        head="gru",
        answers=VA,
        augment=("default",),
        options=OPTIONS,
    )
    model = Model(plan, {"face": 512}, COUNTS, AdapterOptions("none", 32, 32, 0.5)).train()
    encoder = model.encoders["face"]
    assert isinstance(encoder, FrameEncoder)
    assert isinstance(encoder.input, FrameInput)
    assert encoder.input.size == SIZE
    encoder.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    augmenter, plain = Augmenter(build_chains(plan), {"face": encoder.input}, 0), batch(given.clips, given.frames)

    def step(each: Batch) -> None:
        loss, _ = training_loss(model, each)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    step(augmenter(plain, 0))
    steps, draws = [], []
    for epoch in range(1, given.rounds + 1):
        draws.append(seconds(lambda epoch=epoch: augmenter(plain, epoch)))  # type: ignore[misc]
        changed = augmenter(plain, epoch)
        steps.append(seconds(lambda changed=changed: step(changed)))  # type: ignore[misc]
    frames = given.clips * given.frames
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {given.clips} clips of {given.frames} frames")
    step_time, draw_time = (1000 * np.mean(times, 0) / frames for times in (steps, draws))
    for name, k in (("clock", 0), ("processor", 1)):
        said = f"step {step_time[k]:.2f} ms a frame, augmentation {draw_time[k]:.3f} ms"
        print(f"{name}: {said}: {draw_time[k] / step_time[k]:.1%} over {given.rounds} rounds")
    pictures = plain.inputs["face"]["frames"][0].movedim(-1, -3)
    for entry in registry.entries("augmentations"):
        if entry.spec.kind == "frames":
            times = [seconds(partial(alone, entry.spec, pictures, number)) for number in range(given.rounds)]
            print(f"{entry.name}: {1000 * np.mean(times, 0)[1] / given.frames:.3f} ms of the processor a frame")


def alone(spec: AugmentationSpec, pictures: Tensor, number: int) -> None:
    options = {name: option.default for name, option in spec.options.items()}
    block = build_augmentation(AugmentationPlan(spec, options, 1.0, False))
    with drawing(torch.device("cpu")):
        block.pictures(pictures, range(len(pictures)), ClipName(0, number, "v", 0, len(pictures)))


if __name__ == "__main__":
    main()
