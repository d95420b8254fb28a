"""Five training steps of many combinations, in one process and in two that share every batch; a separate program.

``python -m tests.support.two_processes FOLDER RANK CASE...``: both ranks meet through a file in FOLDER. The first one
writes ``apart.json``: by case the greatest differences of weights and predictions after the steps, by optimizer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from harness.config.schema import Train
from harness.runtime.distributed import World
from harness.training.accumulation import gradient_of, objective_of
from tests.zoo.model.test_model import ANSWERS, REGISTRY
from zoo.api import Counts, FrameInput
from zoo.model.model import AdapterOptions, Batch, Model, Regularisation
from zoo.modules import FrameEncoder
from zoo.parallel import Share, share_dropout
from zoo.registry.plan import make_plan

STEPS, CLIPS, FRAMES = 5, 5, 6
COUNTS = (Counts(9, (1,) * 20), Counts(9, (1,) * 20), Counts(9, (5, 3, 1)), Counts(9, (6, 3)), Counts(9, (6, 3)))
TRACKS = {"va": slice(0, 2), "expr": slice(2, 3), "au": slice(3, 5), "mtl": slice(0, 5)}


@dataclass(frozen=True)
class Case:
    """One combination and its batches.

    ``labels``: uneven, or none in the second process's clips; ``clips``: of the last batch; ``raw``: a trained face
    encoder with its own dropout, on frames that may be absent; ``accumulate``: parts, computed one after the other by
    the two processes, while one process computes the batch at once.
    """

    fusion: str = "concat"
    head: str = "gru"
    track: str = "va"
    labels: str = "uneven"
    mixup: float = 0.0
    clips: int = CLIPS
    raw: bool = False
    accumulate: int = 1
    accumulation: Literal["sum", "exact"] = "exact"
    clip_grad: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)
    losses: tuple[str, ...] = ()


CASES = {
    **{f"{track}-{labels}": Case(track=track, labels=labels) for track in TRACKS for labels in ("uneven", "none")},
    **{f"fusion-{name}": Case(fusion=name, track="mtl") for name in REGISTRY.names("fusions")},
    **{f"head-{name}": Case(head=name) for name in REGISTRY.names("heads")},
    **{f"loss-{name}": Case(track="mtl", losses=(name,)) for name in REGISTRY.names("losses")},
    "layers": Case(options={"head.layers": 3, "head.dropout": 0.4}),
    "mixup": Case(track="mtl", mixup=0.4),
    "mixup-raw": Case(fusion="late", track="mtl", mixup=0.4, raw=True),
    "clipped": Case(track="mtl", clip_grad=0.05),
    "one-clip": Case(fusion="late", track="mtl", clips=1),
    "raw": Case(fusion="late", raw=True),
    "raw-one-clip": Case(fusion="concat", raw=True, clips=1),
    "per-slot": Case(track="mtl", options={"fusion.per_slot": 0.5}),
    "parts-exact": Case(fusion="late", track="mtl", raw=True, accumulate=2),
    "parts-moe": Case(fusion="moe", track="mtl", raw=True, accumulate=2, mixup=0.4),
    "parts-sum": Case(track="au", raw=True, accumulate=2, accumulation="sum"),
    "parts-one-clip": Case(raw=True, clips=1, accumulate=3),
}


class LocalFabric:
    """What the computation of gradients needs of Lightning Fabric, in float32 on the CPU."""

    def autocast(self) -> Any:
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        loss.backward()


class Tiny(FrameEncoder):
    """A frame encoder with its own dropout."""

    def __init__(self) -> None:
        super().__init__(8, FrameInput(4, (0.5,) * 3, (0.5,) * 3))
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(16, 8))

    def encode(self, images: Tensor) -> Tensor:
        return self.net(images)


def make_model(case: Case) -> Model:
    torch.manual_seed(0)
    part = TRACKS[case.track]
    plan = make_plan(
        REGISTRY,
        encoders="face,context",
        fusion=case.fusion,
        head=case.head,
        answers=ANSWERS[part],
        losses=case.losses,
        options=case.options,
    )
    regularisation = Regularisation(
        modality_dropout=0.3, feature_noise=0.1, output_dropout=0.2, uncertainty=case.track == "mtl"
    )
    net = Model(plan, {"face": 8, "context": 8}, COUNTS[part], AdapterOptions("pca", 4, 6, 0.2), regularisation)
    if case.raw:
        net.encoders["face"] = Tiny()
    return net


def batches(case: Case) -> Iterator[Batch]:
    """Yield batches of unequal labels: values and classes, sound and padding at random, the same in every process."""
    part = TRACKS[case.track]
    for step in range(STEPS):
        clips = case.clips if step % 3 == 1 else CLIPS
        g = torch.Generator().manual_seed(step)
        target = torch.rand(clips, FRAMES, len(ANSWERS), generator=g)
        target[..., 2] = (target[..., 2] * 3).floor()
        target[..., 3:] = (target[..., 3:] * 2).floor()
        labelled = torch.rand(clips, FRAMES, len(ANSWERS), generator=g) < torch.linspace(1, 0.2, clips)[:, None, None]
        present = {slot: torch.rand(clips, FRAMES, generator=g) < 0.7 for slot in ("face", "context")}
        lengths = torch.randint(3, FRAMES + 1, (clips,), generator=g)
        valid = torch.arange(FRAMES) < lengths.unsqueeze(1)
        if case.labels == "none":
            labelled[clips // 2 :] = False
        if case.raw and step % 4 == 2:
            present["face"][: clips // 2] = False  # no frame for the first process
        if case.raw and step % 4 == 3:
            present["face"][:] = False
        labelled &= (valid & (present["face"] | present["context"])).unsqueeze(-1)
        features = {slot: torch.randn(clips, FRAMES, 8, generator=g) for slot in ("face", "context")}
        inputs = {}
        if case.raw:
            inputs["face"] = {"frames": torch.randint(0, 256, (clips, FRAMES, 4, 4, 3), generator=g).to(torch.uint8)}
            del features["face"]
        yield Batch(features, inputs, present, valid, target[..., part], labelled[..., part])


def local(batch: Batch, share: Share | None) -> Batch:
    """Return the part of a batch that harness.batching.loader gives to a process."""
    if share is None:
        return batch
    return replace(
        batch,
        features={s: x[share.rows] for s, x in batch.features.items()},
        inputs={s: {n: x[share.rows] for n, x in d.items()} for s, d in batch.inputs.items()},
    )


def trained(case: Case, kind: str, rank: int, size: int) -> tuple[Model, Tensor]:
    """Return the model after some steps, and its predictions for the last batch."""
    net = make_model(case).train()
    settings = Train(mixup=case.mixup)
    if size > 1:
        settings = Train(mixup=case.mixup, accumulate=case.accumulate, accumulation=case.accumulation)
    objective = objective_of(net, settings)
    if size > 1:
        share_dropout(net)
        objective = DistributedDataParallel(objective, find_unused_parameters=True, broadcast_buffers=False)
    parameters = list(net.parameters())
    optimizer: torch.optim.Optimizer = torch.optim.SGD(parameters, 0.02, 0.9)
    if kind == "adamw":
        optimizer = torch.optim.AdamW(parameters, 1e-3)
    world = World(torch.device("cpu"), rank, size, groups={"answers": None, "host": None})
    gradient = gradient_of(LocalFabric(), objective, net, settings, world)
    for step, batch in enumerate(batches(case)):
        torch.manual_seed(step)
        optimizer.zero_grad()
        gradient(local(batch, world.share(len(batch.valid))))
        nn.utils.clip_grad_norm_(parameters, case.clip_grad or float("inf"))
        optimizer.step()
    with torch.no_grad():
        return net, net.eval()(batch).raw


def apart(case: Case, rank: int) -> dict[str, float]:
    """Return the differences between two processes and one; only the first process has them."""
    found = {}
    for kind in ("sgd", "adamw"):
        net, raw = trained(case, kind, rank, 2)
        if rank == 0:
            alone, expected = trained(case, kind, 0, 1)
            pairs = zip(net.parameters(), alone.parameters(), strict=True)
            moved = zip(alone.parameters(), make_model(case).parameters(), strict=True)
            found[kind] = max(float((a - b).detach().abs().max()) for a, b in pairs)
            found[f"{kind}-answers"] = float((raw - expected).abs().max())
            found[f"{kind}-moved"] = max(float((a - b).detach().abs().max()) for a, b in moved)
    return found


def main(folder: Path, rank: int, cases: list[str]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", timedelta(seconds=180), 2, rank)
    result = {name: apart(CASES[name], rank) for name in cases}
    if rank == 0:
        (folder / "apart.json").write_text(json.dumps(result, indent=1))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
