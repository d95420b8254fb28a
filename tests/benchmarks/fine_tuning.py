"""Memory and time of a fine-tuning step, and of evaluation, with a ViT-Tiny on made-up pictures.

``python -m tests.benchmarks.fine_tuning [ROUNDS]`` prints two tables for docs/performance.md. The ways of a table are
taken in turn, so that other work on the machine strikes all alike; a ratio is the median over rounds. Memory is what the
graph keeps for the backward pass, at its most, without weights.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.batching.clips import ClipData
from harness.batching.windows import Window, evaluation_windows
from harness.config.schema import Train
from harness.data.index.index import Video
from harness.evaluation.prediction import answers
from harness.features.store import FeatureStore
from harness.runtime.distributed import single_process
from harness.training.accumulation import gradient_of, objective_of
from harness.training.recompute import checkpoint_gradients
from zoo.api import Answer, Counts, FrameInput, TrackSpec
from zoo.model.model import AdapterOptions, Batch, Model
from zoo.parallel import share_dropout
from zoo.registry.plan import make_plan
from zoo.registry.registry import load

ANSWERS = (Answer("valence", "value", -5), Answer("arousal", "value", -5))
TRACK = TrackSpec("va", ANSWERS, "mean_ccc", (-1, 1), (), (), "keyed", "")
CLIPS, FRAMES, PARTS = 8, 8, 4
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "grad_checkpoint=encoders": {"grad_checkpoint": "encoders"},
    f"accumulate={PARTS}, exact": {"accumulate": PARTS, "accumulation": "exact"},
    "both": {"grad_checkpoint": "encoders", "accumulate": PARTS, "accumulation": "exact"},
    "unfreeze: frozen epochs": {"frozen": True},
}
CPU = torch.device("cpu")


class Plain:
    """The part of Lightning Fabric that a gradient needs, in float32 on the CPU."""

    def autocast(self) -> Any:
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        loss.backward()


def model(name: str = "vit_tiny_patch16_224", size: int = 112, dim: int = 192) -> Model:
    torch.manual_seed(0)
    plan = make_plan(
        load(),
        encoders=f"face=timm:{name}",
        fusion="concat",
        head="gru",
        answers=ANSWERS,
        options={"encoder.face.size": size, "encoder.face.pretrained": False},
    )
    return Model(plan, {"face": dim}, (Counts(9, (1,) * 20),) * 2, AdapterOptions("none", 32, 32, 0.3))


def batch(clips: int = CLIPS, length: int = FRAMES, size: int = 112) -> Batch:
    on = torch.ones(clips, length, dtype=torch.bool)
    frames = torch.randint(0, 256, (clips, length, size, size, 3), dtype=torch.uint8)
    target = torch.rand(clips, length, 2)
    return Batch({}, {"face": {"frames": frames}}, {"face": on}, on, target, on.unsqueeze(-1).expand(-1, -1, 2))


def step(frozen: bool = False, **settings: Any) -> Callable[[], float]:
    """Return a function that computes a gradient and returns the megabytes that the graph kept at its most."""
    chosen = Train(**settings)
    net = model().train()
    checkpoint_gradients(net, chosen)
    share_dropout(net)
    if frozen:
        net.encoders.requires_grad_(False)
    compute = gradient_of(Plain(), objective_of(net, chosen), net, chosen, single_process(CPU))
    weights = {p.untyped_storage().data_ptr() for p in net.parameters()}
    clips, held = batch(), [0, 0]

    class Kept:
        def __init__(self, x: Tensor) -> None:
            self.x, self.size = x, 0 if x.untyped_storage().data_ptr() in weights else x.nbytes
            held[0] += self.size
            held[1] = max(held)

        def __del__(self) -> None:
            held[0] -= self.size

    def run() -> float:
        held[:] = [0, 0]
        torch.manual_seed(0)
        net.zero_grad(set_to_none=True)
        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.x):
            compute(clips)
        return held[1] / 1e6

    return run


class Noise:
    """A raw slot of random pictures."""

    def __init__(self, spec: FrameInput, frames: int) -> None:
        self.spec = spec
        self.images = np.random.default_rng(0).integers(0, 256, (frames, spec.size, spec.size, 3), np.uint8)

    def present(self, name: str) -> np.ndarray:
        return np.ones(len(self.images), bool)

    def fill(self, images: np.ndarray, name: str, start: int, spec: FrameInput) -> np.ndarray:
        images[:] = self.images[start : start + len(images)]
        return np.ones(len(images), bool)


class Timed(ClipData):
    """Clips of a video of 30 frames per second."""

    def times(self, i: int) -> np.ndarray:
        return np.arange(self.videos[i].n_frames) / 30


def evaluations(frames: int = 512) -> dict[str, Callable[[], object]]:
    """Return evaluations of one video: every window encoded, every frame once, every fourth frame."""
    net = model().eval()
    raw: Any = {"face": Noise(net.encoders["face"].input, frames)}  # type: ignore[arg-type]
    on = np.ones(frames, bool)
    video = Video("v", "v", "val", frames, None, None, on, np.zeros((frames, 2), np.float32), on)

    class Index:
        videos = ()

    def data(stride: int) -> ClipData:
        return Timed(Index(), [video], ["face"], FeatureStore(), raw, stride=stride)  # type: ignore[arg-type]

    def windows() -> None:
        spans, clips = evaluation_windows(frames, 64), data(1)
        with torch.inference_mode():
            for first in range(0, len(spans), 4):
                net(clips.batch([Window(0, *span) for span in spans[first : first + 4]], 64))

    def once(stride: int) -> Callable[[], object]:
        return lambda: list(answers(net, data(stride), TRACK, length=64, batch=4, device=CPU))

    return {"every window encoded": windows, "every frame once": once(1), "stride 4": once(4)}


def in_turn(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, tuple[list[float], Any]]:
    """Return for each way its seconds by round, and its last result; a first round is not counted."""
    found: dict[str, tuple[list[float], Any]] = {name: ([], None) for name in ways}
    for _ in range(rounds + 1):
        for name, work in ways.items():
            began = time.process_time()
            result = work()
            found[name] = ([*found[name][0], time.process_time() - began], result)
    return {name: (seconds[1:], result) for name, (seconds, result) in found.items()}


def table(found: dict[str, tuple[list[float], Any]], memory: bool) -> None:
    first = next(iter(found.values()))[0]
    for name, (seconds, result) in found.items():
        ratios = [a / b for a, b in zip(seconds, first, strict=True)]
        kept = f" {result:,.0f} MB |" if memory else ""
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"| {name} |{kept} {statistics.median(seconds):.2f} s | {statistics.median(ratios):.2f} | {spread} |")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.set_num_threads(1)
    table(in_turn({name: step(**settings) for name, settings in WAYS.items()}, rounds), memory=True)
    print()
    table(in_turn(evaluations(), rounds), memory=False)


if __name__ == "__main__":
    main()
