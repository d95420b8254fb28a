"""A plan -> one network. Mismatches between declared and real shapes are found here, before any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from zoo.adapter import Adapter
from zoo.api import AudioInput, Counts, FrameInput, VectorInput
from zoo.errors import UserError
from zoo.modules import Build, Encoder, FusionOut, Loss, gather, scatter
from zoo.plan import Block, Plan, SlotPlan
from zoo.registry import resolve


@dataclass
class Batch:
    """Some clips of the same length T. ``features``: cached (B, T, D) of frozen slots; ``inputs``: what trained
    slots' encoders take (see zoo.modules.Encoder; frames as uint8 (B, T, H, W, 3)); masks as everywhere."""

    features: dict[str, Tensor]
    inputs: dict[str, dict[str, Tensor]]
    present: dict[str, Tensor]
    valid: Tensor
    target: Tensor
    labelled: Tensor
    where: list[tuple[str, int]] = field(default_factory=list)  # (video, index of the clip's first frame)

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        moved = {k: {n: t.to(device) for n, t in d.items()} for k, d in self.inputs.items()}
        return Batch(
            {k: t.to(device) for k, t in self.features.items()}, moved,
            {k: t.to(device) for k, t in self.present.items()}, self.valid.to(device),
            self.target.to(device), self.labelled.to(device), self.where,
        )  # fmt: skip


@dataclass(frozen=True)
class AdapterOptions:
    """How a slot's features are brought to the fusion: standardised, projected to ``components`` by ``method``
    (pca, or none), dropout, a linear layer to ``width``, GELU. Fitted on training frames, part of the weights."""

    method: str = "pca"
    components: int = 32
    width: int = 32
    dropout: float = 0.5


class Model(nn.Module):
    """Trained encoders, adapters, fusion with its heads, losses: all that is learned in one run."""

    def __init__(
        self,
        plan: Plan,
        dims: Mapping[str, int],
        counts: Sequence[Counts],
        adapter: AdapterOptions,
        modality_dropout: float = 0.0,
        output_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.slots = tuple(slot.name for slot in plan.slots)
        self.encoders = nn.ModuleDict({key(s.name): build_encoder(s) for s in plan.slots if not s.frozen})
        self.adapters = nn.ModuleDict(
            {key(s.name): Adapter(dims[s.name], adapter.method, adapter.components, adapter.width, adapter.dropout,
                                  fitted=s.frozen) for s in plan.slots}
        )  # fmt: skip
        self.losses = LossGroup(plan, counts)
        build = Build(lambda dim: call(plan.head, dim), self.losses.width, output_dropout)
        self.fusion = call(plan.fusion, dict.fromkeys(self.slots, adapter.width), build)
        self.modality_dropout = modality_dropout

    def forward(self, batch: Batch) -> FusionOut:
        """Raw answers (B, T, K) to a batch of clips."""
        present = self._drop(batch.present, batch.valid) if self.training else batch.present
        features = {}
        for name in self.slots:
            x = batch.features.get(name)
            if x is None:
                x = encode(self.encoders[key(name)], batch.inputs[name], present[name] & batch.valid)  # type: ignore[arg-type]
            features[name] = self.adapters[key(name)](x.float(), present[name])
        out: FusionOut = self.fusion(features, present, batch.valid)
        return out

    def loss(self, out: FusionOut, batch: Batch, per_slot: float = 0.0) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss to minimise and its parts by name."""
        parts = {"main": self.losses(out.raw, batch.target, batch.labelled)}
        if per_slot:
            for name, raw in out.per_slot.items():
                seen = batch.labelled & batch.present[name].unsqueeze(-1)
                parts[f"slot.{name}"] = per_slot * self.losses(raw, batch.target, seen) / len(out.per_slot)
        parts.update(out.aux)
        return torch.stack([value.float() for value in parts.values()]).sum(), parts

    def decode(self, raw: Tensor) -> Tensor:
        """Raw -> one column a value or binary answer, one a class."""
        return self.losses.decode(raw)

    def _drop(self, present: dict[str, Tensor], valid: Tensor) -> dict[str, Tensor]:
        """Modality dropout: whole slots are dropped from a clip at random, never the last one that has data there."""
        if not self.modality_dropout or len(self.slots) < 2:
            return present
        stack = torch.stack([present[name] & valid for name in self.slots])  # (S, B, T)
        has = stack.any(-1)  # (S, B)
        order = torch.rand(has.shape, device=has.device).masked_fill(~has, -1.0)
        spared = torch.zeros_like(has).scatter_(0, order.argmax(0, keepdim=True), True)
        keep = (torch.rand(has.shape, device=has.device) >= self.modality_dropout) | spared
        return {name: present[name] & keep[i].unsqueeze(-1) for i, name in enumerate(self.slots)}


class LossGroup(nn.Module):
    """The losses of all kinds of answers, side by side on slices of the raw outputs."""

    def __init__(self, plan: Plan, counts: Sequence[Counts]) -> None:
        super().__init__()
        self.indices = [indices for _, indices in plan.loss_groups()]
        self.losses = nn.ModuleList(
            call(block, tuple(plan.answers[i] for i in indices), tuple(counts[i] for i in indices))
            for block, indices in plan.loss_groups()
        )
        self.widths = [int(loss.width) for loss in self.losses]  # type: ignore[arg-type]
        self.width = sum(self.widths)

    @property
    def additive(self) -> bool:
        """Whether gradients of parts of a batch may be added up."""
        return all(bool(loss.additive) for loss in self.losses)

    def forward(self, raw: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """The sum over kinds of answers, in float32."""
        total = raw.new_zeros((), dtype=torch.float32)
        for loss, part, index in zip(self.losses, raw.float().split(self.widths, -1), self.indices, strict=True):
            total = total + loss(part, target[..., list(index)], labelled[..., list(index)])
        return total

    def decode(self, raw: Tensor) -> Tensor:
        """Columns in the order of the track's answers (answers of one kind stand together in every track)."""
        parts = zip(self.losses, raw.float().split(self.widths, -1), strict=True)
        return torch.cat([loss.decode(part) for loss, part in parts], -1)  # type: ignore[operator]


def key(slot: str) -> str:
    """A slot's name as a module's name: torch admits no dots there."""
    return slot.replace(".", "-")


def call(block: Block, *args: Any) -> Any:
    """Build a block with its options."""
    return resolve(block.spec.build)(*args, **block.options)


def build_encoder(slot: SlotPlan) -> Encoder:
    """The slot's encoder with random weights; what it declares is checked."""
    encoder = resolve(slot.encoder.build)(slot.stream.name, slot.slot.argument, **slot.options)
    wanted = {"frames": FrameInput, "sound": AudioInput, "vectors": VectorInput}[slot.stream.kind]
    if not isinstance(getattr(encoder, "input", None), wanted) or not isinstance(getattr(encoder, "dim", None), int):
        raise UserError(
            f"encoder {slot.encoder.name!r} on stream {slot.stream.name!r} must declare dim (int) and input "
            f"({wanted.__name__}); it declares dim={getattr(encoder, 'dim', None)!r}, "
            f"input={type(getattr(encoder, 'input', None)).__name__}"
        )
    return encoder


def encode(encoder: Encoder, inputs: Mapping[str, Tensor], mask: Tensor) -> Tensor:
    """Features (B, T, dim) of a batch, the one way for cache, training and evaluation. ``mask`` (B, T): the frames
    that are present and valid; an encoder of single frames is called on these only."""
    spec = encoder.input
    if isinstance(spec, FrameInput):
        mean, std = (torch.tensor(v, device=mask.device).view(3, 1, 1) for v in (spec.mean, spec.std))

        def normal(frames: Tensor) -> Tensor:  # (..., H, W, 3) uint8 -> (..., 3, H, W) float
            return (frames.movedim(-1, -3).float() / 255 - mean) / std

        if spec.context:
            return encoder(normal(inputs["frames"]), inputs["present"])
        if not bool(mask.any() if mask.device.type != "meta" else True):
            return torch.zeros(*mask.shape, encoder.dim, device=mask.device)
        return scatter(encoder(normal(gather(inputs["frames"], mask))).float(), mask)
    if isinstance(spec, AudioInput):
        return encoder(inputs["samples"], inputs["samples_valid"], inputs["times"])
    return encoder(inputs["vectors"])


# --- checks before training ------------------------------------------------------------------------------------------


def check(plan: Plan, adapter: AdapterOptions, counts: Sequence[Counts] | None = None) -> dict[str, Any]:
    """Build the whole combination with B=2, T=3 on the meta device and compare real shapes with declared ones.

    Returns what `harness check` prints: the dims of the slots, parameters of the parts. Raises UserError with the fix.
    """
    counts = counts or [Counts(1, (1,) * max(len(answer.classes), 2)) for answer in plan.answers]
    dims, sizes = {}, {}
    for slot in plan.slots:
        encoder = meta_or_real(lambda slot=slot: build_encoder(slot))
        dims[slot.name] = encoder.dim
        sizes[f"encoder {slot.name}"] = count_parameters(encoder)
        _expect(f"encoder {slot.encoder.name!r}", _probe(encoder, slot), (2, 3, encoder.dim), "its dim says")
    head = meta_or_real(lambda: call(plan.head, adapter.width))
    who = f"head {plan.head.spec.name!r}"
    if not isinstance(getattr(head, "out_dim", None), int):
        raise UserError(f"{who} must declare out_dim (int); it declares {getattr(head, 'out_dim', None)!r}")
    device = next(head.parameters(), torch.empty(0)).device
    _expect(who, head(torch.zeros(2, 3, adapter.width, device=device), _ones(device)), (2, 3, head.out_dim),
            "its out_dim says")  # fmt: skip
    model = meta_or_real(lambda: Model(plan, dims, counts, adapter))
    sizes["fusion and heads"] = count_parameters(model.fusion)
    sizes["trained in all"] = count_parameters(model)
    device = next(model.fusion.parameters(), torch.empty(0)).device
    features = {name: torch.zeros(2, 3, adapter.width, device=device) for name in model.slots}
    out = model.fusion(features, {name: _ones(device) for name in model.slots}, _ones(device))
    if not isinstance(out, FusionOut):
        raise UserError(f"fusion {plan.fusion.spec.name!r} must return FusionOut, not {type(out).__name__}")
    _expect(f"fusion {plan.fusion.spec.name!r} with head {plan.head.spec.name!r}", out.raw, (2, 3, model.losses.width),
            "the loss wants")  # fmt: skip
    width = sum(answer.width for answer in plan.answers)
    _expect("the loss's decode", model.decode(out.raw), (2, 3, width), "the answers want")
    return {"dims": dims, "parameters": sizes, "raw": model.losses.width}


def meta_or_real(build: Any) -> Any:
    """Built on meta; what cannot be built there is built for real."""
    try:
        with torch.device("meta"):
            return build()
    except (NotImplementedError, RuntimeError):
        return build()


def _probe(encoder: Encoder, slot: SlotPlan) -> Tensor:
    try:
        return encode(encoder.to("meta"), _example(encoder, torch.device("meta")), _ones("meta"))
    except (NotImplementedError, RuntimeError):  # some operators have no meta form: then really
        real = build_encoder(slot).eval()
        with torch.no_grad():
            return encode(real, _example(real, torch.device("cpu")), _ones("cpu"))


def _ones(device: str | torch.device) -> Tensor:
    return torch.ones(2, 3, dtype=torch.bool, device=device)


def _example(encoder: Encoder, device: torch.device) -> dict[str, Tensor]:
    spec = encoder.input
    if isinstance(spec, FrameInput):
        frames = 3 + 2 * spec.context
        shape = (2, frames, spec.size, spec.size, 3)
        present = torch.ones(2, frames, dtype=torch.bool, device=device)
        return {"frames": torch.zeros(shape, dtype=torch.uint8, device=device), "present": present}
    if isinstance(spec, AudioInput):
        n = int(spec.rate * (0.1 + 2 * spec.margin))
        times = torch.tensor([0.0, 0.04, 0.08], device=device).expand(2, 3) + spec.margin
        return {
            "samples": torch.zeros(2, n, device=device),
            "samples_valid": torch.ones(2, n, dtype=torch.bool, device=device),
            "times": times,
        }
    assert isinstance(spec, VectorInput)
    return {"vectors": torch.zeros(2, 3, spec.dim, device=device)}


def _expect(who: str, got: object, shape: tuple[int, ...], why: str) -> None:
    if not isinstance(got, Tensor) or tuple(got.shape) != shape:
        found = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
        raise UserError(f"{who} gives {found} for B=2, T=3, but {why} {shape}: mend the block or its declared size")


def count_parameters(module: nn.Module) -> int:
    """Numbers that training changes."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


__all__ = ["AdapterOptions", "Batch", "Loss", "Model", "build_encoder", "check", "encode"]
