"""Try a plan before training: build it with B=2, T=3 on the meta device, compare actual shapes with declared ones."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor

from zoo.api import AudioInput, Counts, FrameInput, TextInput, VectorInput
from zoo.errors import UserError
from zoo.model.model import (
    AdapterOptions,
    Model,
    Regularisation,
    build_block,
    build_encoder,
    build_to_measure,
    count_parameters,
    encode,
    module_key,
)
from zoo.modules import Encoder, FusionOut
from zoo.registry.plan import Plan, SlotPlan
from zoo.registry.registry import resolve

__all__ = ["built_from", "check", "meta_or_real"]

_TRIED: dict[Hashable, tuple[int, int]] = {}  # built_from(slot) -> the encoder's dim and number of parameters


class Shapes(TypedDict):
    """The result of a check: dims of the slots, parameters of the parts, raw outputs per frame.

    ``whole_batch``: blocks whose loss does not add up over the clips of a batch, such as "loss 'ccc'".
    """

    dims: dict[str, int]
    parameters: dict[str, int]
    raw: int
    whole_batch: tuple[str, ...]


def check(
    plan: Plan,
    adapter: AdapterOptions,
    regularisation: Regularisation | None = None,
    counts: Sequence[Counts] | None = None,
) -> Shapes:
    """Build the whole combination with B=2, T=3 on the meta device and compare actual shapes with declared ones.

    Returns:
        The dims of the slots and parameters of the parts, as `harness check` prints them.

    Raises:
        UserError: A shape does not fit; the message says how to fix it.
    """
    counts = counts or [Counts(1, (1,) * max(len(answer.classes), 2)) for answer in plan.answers]
    dims, sizes = {}, {}
    for slot in plan.slots:
        dims[slot.name], sizes[f"encoder {slot.name}"] = _try_encoder(slot)
    head = meta_or_real(lambda: build_block(plan.head, adapter.width))
    who = f"head {plan.head.spec.name!r}"
    if not isinstance(getattr(head, "out_dim", None), int):
        raise UserError("head-no-out-dim", who=who, got=getattr(head, "out_dim", None))
    device = next(head.parameters(), torch.empty(0)).device
    _expect(
        who,
        head(torch.zeros(2, 3, adapter.width, device=device), _ones(device)),
        (2, 3, head.out_dim),
        "its out_dim says",
    )
    model = meta_or_real(lambda: Model(plan, dims, counts, adapter, regularisation))
    sizes["fusion and heads"] = count_parameters(model.fusion)
    sizes["trained in all"] = count_parameters(model)
    device = next(model.fusion.parameters(), torch.empty(0)).device
    present = {name: _ones(device) for name in model.slots}
    out = model.fusion(_zeros(model, device), present, _ones(device))
    if not isinstance(out, FusionOut):
        raise UserError("fusion-returns", name=plan.fusion.spec.name, name2=type(out).__name__)
    _expect(
        f"fusion {plan.fusion.spec.name!r} with head {plan.head.spec.name!r}",
        out.raw,
        (2, 3, model.losses.width),
        "the loss wants",
    )
    _check_per_slot(plan, model, out)
    width = sum(answer.width for answer in plan.answers)
    _expect("the loss's decode", model.decode(out.raw), (2, 3, width), "the answers want")
    return {"dims": dims, "parameters": sizes, "raw": model.losses.width, "whole_batch": _whole_batch(plan, model, out)}


def _whole_batch(plan: Plan, model: Model, out: FusionOut) -> tuple[str, ...]:
    """Return the blocks whose loss must see a whole batch: losses that do not add up, and a fusion's own losses."""
    losses = zip((block.spec.name for block, _ in plan.loss_groups()), model.losses.losses, strict=True)
    names = [f"loss {name!r}" for name, loss in losses if not loss.additive]
    return (*names, f"fusion {plan.fusion.spec.name!r}") if out.aux else tuple(names)


def _zeros(model: Model, device: torch.device) -> dict[str, Tensor]:
    widths = {name: int(model.adapters[module_key(name)].out_dim) for name in model.slots}  # type: ignore[arg-type]
    return {name: torch.zeros(2, 3, width, device=device) for name, width in widths.items()}


def _check_per_slot(plan: Plan, model: Model, out: FusionOut) -> None:
    """Raise UserError if a fusion that declares per-slot predictions does not return one for each slot."""
    spec = plan.fusion.spec
    if plan.per_slot and getattr(spec, "per_slot", False) and set(out.per_slot) != set(model.slots):
        raise UserError(
            "fusion-per-slot", name=spec.name, value=", ".join(out.per_slot) or "no slot", names=", ".join(model.slots)
        )


def meta_or_real(build: Any) -> Any:
    """Build on the meta device, or with real tensors if that is not possible there."""
    try:
        with torch.device("meta"):
            return build()
    except (NotImplementedError, RuntimeError):
        return build()


def _try_encoder(slot: SlotPlan) -> tuple[int, int]:
    """Return the encoder's dim and number of parameters; raise UserError if its features are not as wide as its dim.

    Building and calling a network takes a second, most of the time of `check`, and gives the same result each time. A
    result that passed is therefore kept for the other runs of this process: seeds, folds, the runs of a sweep.
    """
    source = built_from(slot)
    if source in _TRIED:
        return _TRIED[source]
    encoder = meta_or_real(lambda: build_encoder(slot))
    found = encoder.dim, count_parameters(encoder)
    _expect(f"encoder {slot.encoder.name!r}", _probe(encoder, slot), (2, 3, encoder.dim), "its dim says")
    if source is not None:
        _TRIED[source] = found
    return found


def built_from(slot: SlotPlan) -> Hashable:
    """Return everything that determines how the slot's encoder is built, or None if that cannot be hashed.

    It is also None if the argument or an option names a file or folder, whose content may change.
    """
    argument, options = slot.slot.argument, slot.options
    if any(isinstance(text, str) and os.path.exists(text) for text in (argument, *options.values())):
        return None
    given = tuple(sorted(options.items()))
    key = (resolve(slot.encoder.build), slot.stream.name, slot.stream.kind, argument, given, slot.frozen, slot.scores)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _probe(encoder: Encoder, slot: SlotPlan) -> Tensor:
    try:
        return encode(encoder.to("meta"), _example(encoder, torch.device("meta")), _ones("meta"))
    except (NotImplementedError, RuntimeError):  # some operators have no meta implementation: use real tensors
        real = build_to_measure(slot)
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
    if isinstance(spec, TextInput):
        return {"tokens": torch.zeros(2, 3, spec.length, dtype=torch.int32, device=device)}
    assert isinstance(spec, VectorInput)
    return {"vectors": torch.zeros(2, 3, spec.dim, device=device)}


def _expect(who: str, got: object, shape: tuple[int, ...], why: str) -> None:
    if not isinstance(got, Tensor) or tuple(got.shape) != shape:
        found = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
        raise UserError("block-shape", who=who, found=found, why=why, shape=shape)
