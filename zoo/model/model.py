"""Build one network from a plan. Mismatches between declared and actual shapes are found here, before any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from zoo.api import AudioInput, Counts, FrameInput, Spec, TextInput, VectorInput
from zoo.errors import UserError
from zoo.model.adapter import Adapter
from zoo.model.distillation import soft_loss
from zoo.modules import Build, Encoder, FusionOut, OwnClassifier, gather, scatter
from zoo.parallel import counting_rows, gather_rows, local_rows, normal_like, shared, sharing_frames
from zoo.registry.plan import Block, Plan, SlotPlan
from zoo.registry.registry import resolve


@dataclass
class Batch:
    """Clips of equal length T.

    ``features`` are the cached features (B, T, D) of frozen slots; ``inputs`` are the inputs of trained encoders (see
    zoo.modules.Encoder; frames as uint8 (B, T, H, W, 3)); the masks are as everywhere. If several processes share a
    batch (zoo.parallel), features and inputs belong to this process's clips, and everything else to all clips.
    """

    features: dict[str, Tensor]
    inputs: dict[str, dict[str, Tensor]]
    present: dict[str, Tensor]
    valid: Tensor
    target: Tensor
    labelled: Tensor
    where: list[tuple[str, int, int]] = field(default_factory=list)  # (video, first frame, repetition in the epoch)
    soft: Tensor | None = None  # (B, T, K) predictions of a teacher, and at which frames (B, T) there are some
    taught: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on a device."""
        moved = {k: {n: t.to(device) for n, t in d.items()} for k, d in self.inputs.items()}
        return Batch(
            {k: t.to(device) for k, t in self.features.items()},
            moved,
            {k: t.to(device) for k, t in self.present.items()},
            self.valid.to(device),
            self.target.to(device),
            self.labelled.to(device),
            self.where,
            None if self.soft is None else self.soft.to(device),
            None if self.taught is None else self.taught.to(device),
        )


@dataclass(frozen=True)
class AdapterOptions:
    """The options of the adapters between features and fusion.

    Features are standardised, projected to ``components`` by ``method`` (pca, or none), and pass dropout, a linear
    layer to ``width`` and GELU. Standardisation and projection are fitted on training frames and are part of the
    weights. Method ``raw`` passes the encoder's features on unchanged; only the vector for absent frames is learned.
    """

    method: str = "pca"
    components: int = 32
    width: int = 32
    dropout: float = 0.5


@dataclass(frozen=True)
class Regularisation:
    """The regularisation options of a model.

    Attributes:
        modality_dropout: Probability of dropping a whole slot from a clip.
        feature_noise: Standard deviation of Gaussian noise on the adapted features.
        output_dropout: Dropout before the last layer.
        uncertainty: Learned weights of the kinds of answers (Kendall et al. 2018, arXiv:1705.07115) instead of a plain
            sum.
        distill: Share of the loss on a teacher's predictions, if a batch has some (zoo.model.distillation).
        temperature: That of the teacher's and the student's probabilities.
    """

    modality_dropout: float = 0.0
    feature_noise: float = 0.0
    output_dropout: float = 0.2
    uncertainty: bool = False
    distill: float = 0.0
    temperature: float = 1.0


class Model(nn.Module):
    """Trained encoders, adapters, fusion with its heads, losses: everything that is learned in one run."""

    def __init__(
        self,
        plan: Plan,
        dims: Mapping[str, int],
        counts: Sequence[Counts],
        adapter: AdapterOptions,
        regularisation: Regularisation | None = None,
    ) -> None:
        super().__init__()
        self.slots = tuple(slot.name for slot in plan.slots)
        self.answers = plan.answers
        self.pretrained = tuple(s.name for s in plan.slots if not s.frozen and s.passport is not None)
        self.adapted = tuple(s.name for s in plan.slots if s.lora is not None)  # zoo.model.lora adds their adapters
        self.encoders = nn.ModuleDict({module_key(s.name): build_encoder(s) for s in plan.slots if not s.frozen})
        self.adapters = nn.ModuleDict(
            {
                module_key(s.name): Adapter(
                    dims[s.name], adapter.method, adapter.components, adapter.width, adapter.dropout, fitted=s.frozen
                )
                for s in plan.slots
            }
        )
        self.regularisation = regularisation or Regularisation()
        self.losses = LossGroup(plan, counts, self.regularisation.uncertainty)
        build = Build(
            lambda dim: build_block(plan.head, dim),
            self.losses.width,
            self.regularisation.output_dropout,
            self.losses.average,
            tuple(self.losses.widths),
        )
        widths = {name: int(self.adapters[module_key(name)].out_dim) for name in self.slots}  # type: ignore[arg-type]
        self.fusion = build_block(plan.fusion, widths, build)
        self.per_slot = plan.per_slot
        own = self.slots if plan.per_slot and not plan.fusion.spec.per_slot else ()
        self.own = nn.ModuleDict({module_key(name): build.predictor(widths[name]) for name in own})

    def forward(self, batch: Batch) -> FusionOut:
        """Return raw predictions (B, T, K) for a batch of clips."""
        return self.fuse(self.features(batch), batch.present, batch.valid)

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """Return slot -> (B, T, width), the input of the fusion; in training with noise where the slot is present."""
        features, noise = {}, self.regularisation.feature_noise if self.training else 0.0
        for name in self.slots:
            x = batch.features.get(name)
            if x is None:
                x = encode(self.encoders[module_key(name)], batch.inputs[name], batch.present[name] & batch.valid)  # type: ignore[arg-type]
            present = local_rows(batch.present[name])
            features[name] = self.adapters[module_key(name)](x.float(), present)
            if noise:
                features[name] = features[name] + noise * present.unsqueeze(-1) * normal_like(features[name])
        return features

    def fuse(self, features: dict[str, Tensor], present: dict[str, Tensor], valid: Tensor) -> FusionOut:
        """Return the fusion's prediction for all clips, with those of single slots if they are supervised."""
        return whole_answers(self.fuse_rows(features, present, valid))

    def fuse_rows(self, features: dict[str, Tensor], present: dict[str, Tensor], valid: Tensor) -> FusionOut:
        """Return the predictions for the clips that ``features`` belong to; the masks are those of all clips."""
        present, valid = {name: local_rows(mask) for name, mask in present.items()}, local_rows(valid)
        out: FusionOut = self.fusion(features, present, valid)
        for name in self.slots if self.own else ():
            out.per_slot[name] = self.own[module_key(name)](features[name], valid)
        return out

    def loss(self, out: FusionOut, batch: Batch, rows: slice | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss to minimise and its parts by name, in float32.

        ``rows``: the clips that ``out`` belongs to, if not all; the result is then their share of a loss that adds up.
        """
        with torch.autocast(out.raw.device.type, enabled=False):
            return self._loss(out, batch, rows or slice(None))

    def _loss(self, out: FusionOut, batch: Batch, rows: slice) -> tuple[Tensor, dict[str, Tensor]]:
        parts = {"main": self.losses(out.raw, batch.target, batch.labelled, rows)}
        if self.per_slot:
            for name, raw in out.per_slot.items():
                seen = batch.labelled & batch.present[name].unsqueeze(-1)
                parts[f"slot.{name}"] = self.per_slot * self.losses(raw, batch.target, seen, rows) / len(out.per_slot)
        if batch.soft is not None and batch.taught is not None and (share := self.regularisation.distill):
            how = (self.answers, self.regularisation.temperature, rows)
            parts["main"] = (1 - share) * parts["main"]
            parts["teacher"] = share * soft_loss(self.decode(out.raw), batch.soft, batch.taught, *how)
        parts.update(out.aux)
        return torch.stack([value.float() for value in parts.values()]).sum(), parts

    def decode(self, raw: Tensor) -> Tensor:
        """Decode raw predictions to one column per value or binary answer, one per class."""
        return self.losses.decode(raw)

    def drop(self, batch: Batch) -> Batch:
        """Apply modality dropout: drop whole slots from clips at random, for training.

        The last slot with data in a clip is never dropped. Frames at which no slot is left do not count in the loss.
        """
        if not self.regularisation.modality_dropout or len(self.slots) < 2:
            return batch
        stack = torch.stack([batch.present[name] & batch.valid for name in self.slots])  # (S, B, T)
        has = stack.any(-1)  # (S, B)
        order = torch.rand(has.shape, device=has.device).masked_fill(~has, -1.0)
        spared = torch.zeros_like(has).scatter_(0, order.argmax(0, keepdim=True), True)
        keep = (torch.rand(has.shape, device=has.device) >= self.regularisation.modality_dropout) | spared
        left = stack & keep.unsqueeze(-1)
        present = {name: left[i] for i, name in enumerate(self.slots)}
        taught = None if batch.taught is None else batch.taught & left.any(0)
        return replace(batch, present=present, labelled=batch.labelled & left.any(0).unsqueeze(-1), taught=taught)


class LossGroup(nn.Module):
    """The losses of all kinds of answers, each on its slice of the raw outputs.

    Each loss uses the labels of its own kind only, so the sum is masked: a kind without labels in a batch adds 0.
    ``uncertainty``: kind i's loss L becomes exp(-s_i) L + s_i / 2 with a learned s_i (the log variance). s_i changes
    only in batches in which the kind has labels.
    """

    def __init__(self, plan: Plan, counts: Sequence[Counts], uncertainty: bool = False) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(len(plan.loss_groups()))) if uncertainty else None
        self.indices = [indices for _, indices in plan.loss_groups()]
        self.losses = nn.ModuleList(
            build_block(block, tuple(plan.answers[i] for i in indices), tuple(counts[i] for i in indices))
            for block, indices in plan.loss_groups()
        )
        self.widths = [int(loss.width) for loss in self.losses]  # type: ignore[arg-type]
        self.width = sum(self.widths)

    @property
    def additive(self) -> bool:
        """True if gradients of parts of a batch may be added up."""
        return all(bool(loss.additive) for loss in self.losses)

    def forward(self, raw: Tensor, target: Tensor, labelled: Tensor, rows: slice = slice(None)) -> Tensor:
        """Return the sum over kinds of answers, in float32.

        ``rows``: the clips that ``raw`` belongs to, out of those of target and labelled. Each loss is then multiplied
        by their share of its labels, so that additive losses of all parts of a batch add up to that of the batch.
        """
        total = raw.new_zeros((), dtype=torch.float32)
        parts = zip(self.losses, raw.float().split(self.widths, -1), self.indices, strict=True)
        for i, (loss, part, index) in enumerate(parts):
            whole = labelled[..., list(index)]
            mask = whole[rows]
            value = loss(part, target[rows][..., list(index)], mask)
            if self.log_variance is not None:
                s = self.log_variance[i]
                value = (-s).exp() * value + torch.where(mask.any(), s, 0 * s) / 2
            if len(mask) < len(whole):
                value = value * (mask.sum() / whole.sum().clamp_min(1))
            total = total + value
        return total

    def average(self, raw: Tensor, shares: Tensor) -> Tensor:
        """Return one raw prediction whose probabilities are the mean of several (S, ..., K), by shares (S, ..., K)."""
        parts = zip(self.losses, raw.split(self.widths, -1), shares.split(self.widths, -1), strict=True)
        return torch.cat([loss.average(part, share) for loss, part, share in parts], -1)  # type: ignore[operator]

    def decode(self, raw: Tensor) -> Tensor:
        """Decode to columns in the order of the track's answers (answers of one kind are adjacent in every track)."""
        parts = zip(self.losses, raw.float().split(self.widths, -1), strict=True)
        return torch.cat([loss.decode(part) for loss, part in parts], -1)  # type: ignore[operator]


def module_key(slot: str) -> str:
    """Return a slot's name as a module's name, in which torch allows no dots."""
    return slot.replace(".", "-")


def build_block(block: Block[Spec], *args: Any) -> Any:
    """Build a block with its options."""
    return resolve(block.spec.build)(*args, **block.options)


def build_encoder(slot: SlotPlan) -> Encoder:
    """Build the slot's encoder with random weights, and check the input and dim that it declares."""
    encoder = resolve(slot.encoder.build)(slot.stream.name, slot.slot.argument, **slot.options)
    wanted = {"frames": FrameInput, "sound": AudioInput, "text": TextInput, "vectors": VectorInput}[slot.stream.kind]
    if not isinstance(getattr(encoder, "input", None), wanted) or not isinstance(getattr(encoder, "dim", None), int):
        raise UserError(
            "encoder-declares-nothing",
            name=slot.encoder.name,
            name2=slot.stream.name,
            name3=wanted.__name__,
            got=getattr(encoder, "dim", None),
            name4=type(getattr(encoder, "input", None)).__name__,
        )
    if slot.frozen and (why := getattr(encoder, "needs_training", "")):
        raise UserError("encoder-frozen-and-random", name=slot.name, why=why)
    if slot.scores and (own := slot.own_scores) is not None:
        encoder.dim += len(own.classes) + len(own.values)
        encoder.register_forward_hook(_with_scores)
    return encoder


def build_to_measure(slot: SlotPlan) -> Encoder:
    """Build the slot's encoder with random weights, to run it for shapes and costs alone, in eval mode.

    Its own classifier, which refuses to run before a file has set it, is set too.
    """
    encoder = build_encoder(slot).eval()
    for part in encoder.modules():
        if isinstance(part, OwnClassifier):
            part.weight.fill_(1.0)
    return encoder


def _with_scores(encoder: Any, _given: Any, features: Tensor) -> Tensor:
    """Append the encoder's own predictions to its features: (..., D) -> (..., D + K)."""
    return torch.cat([features, encoder.scores(features)], -1)


def whole_answers(out: FusionOut) -> FusionOut:
    """Gather the predictions for the clips of all processes that share the batch."""
    if not shared():
        return out
    raw = gather_rows(torch.stack([out.raw, *out.per_slot.values()], 1))
    return FusionOut(raw[:, 0], {name: raw[:, 1 + i] for i, name in enumerate(out.per_slot)}, out.aux)


def encode(encoder: Encoder, inputs: Mapping[str, Tensor], mask: Tensor) -> Tensor:
    """Compute the features (B, T, dim) of a batch. Cache, training and evaluation all use this function.

    ``mask`` (B, T) are the frames that are present and valid; an encoder of single frames is called on these only. If
    processes share the batch, the mask belongs to all its clips, and a process without frames computes one that counts
    nowhere.
    """
    spec = encoder.input
    if isinstance(spec, FrameInput):
        if spec.context:
            return encoder(normalised(inputs["frames"], spec), inputs["present"])
        if not bool(mask.any() if mask.device.type != "meta" else True):
            return torch.zeros(*local_rows(mask).shape, encoder.dim, device=mask.device)
        seen, frames = counting_rows(mask), inputs["frames"]
        idle = shared() and not bool(seen.any())
        with sharing_frames(mask):
            features = encoder(normalised(frames[:1, :1] if idle else gather(frames, seen), spec)).float()
        return scatter(features[: int(seen.sum())] if idle else features, seen)
    if isinstance(spec, AudioInput):
        return encoder(inputs["samples"], inputs["samples_valid"], inputs["times"])
    return encoder(inputs["tokens" if isinstance(spec, TextInput) else "vectors"])


def normalised(frames: Tensor, spec: FrameInput) -> Tensor:
    """Normalise (..., H, W, 3) uint8 -> (..., 3, H, W) float32, (x / 255 - mean) / std.

    One multiplication and one addition in place, over whole rows of pixels (three repeating numbers leave vector units
    idle): on a CPU seven times as fast as the literal formula.
    """
    width = frames.shape[-2]
    mean, std = (torch.tensor(v, device=frames.device).repeat(width) for v in (spec.mean, spec.std))
    rows = frames.flatten(-2).to(torch.float32, copy=True)
    return rows.mul_(1 / (255 * std)).add_(-mean / std).unflatten(-1, (width, 3)).movedim(-1, -3)


def count_parameters(module: nn.Module) -> int:
    """Return the number of trained parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
