"""The cost of a combination: parameters, and multiply-adds per video frame, counted on the meta device."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from zoo.api import AudioInput, Counts, FrameInput, TextInput
from zoo.model.lora import attach_all
from zoo.model.model import (
    AdapterOptions,
    Batch,
    Model,
    Regularisation,
    build_encoder,
    build_to_measure,
    count_parameters,
    encode,
)
from zoo.model.shape_check import built_from
from zoo.modules import Encoder
from zoo.registry.plan import Plan, SlotPlan

_KNOWN: dict[Hashable, tuple[int, int | None]] = {}  # (built_from(slot), clip length) -> parameters, multiply-adds

FPS = 30  # frames per second of the example, from which the length of its sound follows


class Cost(TypedDict):
    """Numbers of parameters and of multiply-adds per frame, part by part; None if they cannot be counted."""

    parameters: dict[str, int | None]
    multiply_adds: dict[str, int | None] | None


def cost(
    plan: Plan,
    dims: dict[str, int],
    counts: Sequence[Counts],
    adapter: AdapterOptions,
    regularisation: Regularisation,
    length: int,
) -> Cost:
    """Count the parameters and multiply-adds of a combination.

    ``parameters`` has ``trained`` and ``frozen``. ``multiply_adds`` has every encoder, everything after the encoders,
    and their ``total``, per video frame in a clip of ``length`` frames at which every slot is present.

    Matrix products, convolutions and attention are counted; biases, norms and activations are not, and neither are
    adapters, which can be merged into their encoder. A number is None if its part cannot be built or run without
    numbers; then the total is None too.
    """
    frozen, each = 0, {}
    for slot in plan.slots:
        parameters, each[f"encoder {slot.name}"] = _of_encoder(slot, length)
        frozen += parameters if slot.frozen or slot.lora else 0
    model = _on_meta(lambda: Model(plan, dims, counts, adapter, regularisation))
    if model is not None:
        attach_all(model, plan)
    each["fusion and heads"] = fusion_adds(model, dims, length)
    known = [value for value in each.values() if value is not None]
    each["total"] = sum(known) if len(known) == len(each) else None
    trained = count_parameters(model) if model is not None else None
    return {"parameters": {"trained": trained, "frozen": frozen}, "multiply_adds": each}


def cost_of_encoder(slot: SlotPlan, length: int = 64) -> Cost:
    """Count the parameters and multiply-adds of one frozen encoder that predicts without training."""
    parameters, adds = _of_encoder(slot, length)
    each = {f"encoder {slot.name}": adds, "total": adds}
    return {"parameters": {"trained": 0, "frozen": parameters}, "multiply_adds": each}


def _of_encoder(slot: SlotPlan, length: int) -> tuple[int, int | None]:
    """Return the encoder's number of parameters (0 if it cannot be built on meta) and its multiply-adds per frame.

    Counting passes every operator through Python, a third of a short run's time. It is therefore done once per process.
    """
    source = (built_from(slot), length)
    if source in _KNOWN:
        return _KNOWN[source]
    made = _on_meta(partial(build_encoder, slot))
    parameters = sum(p.numel() for p in made.parameters()) if made is not None else 0
    adds = _counted(partial(_run_encoder, made, length), length)
    if adds is None:  # some operators have no meta implementation: run them, on silence or one image
        real = build_to_measure(slot)
        few = length if isinstance(real.input, AudioInput) else 1
        adds = _counted(partial(_run_encoder, real, few), few, "cpu")
    if source[0] is not None:
        _KNOWN[source] = parameters, adds
    return parameters, adds


def fusion_adds(model: Model, dims: dict[str, int], length: int) -> int | None:
    """Return the multiply-adds per frame of everything after the encoders: adapters, fusion, heads."""
    with _recurrent_at_once(model) as adds:
        others = _counted(partial(_run_fusion, model, dims, length), length)
    return None if others is None else others + round(sum(adds) / length)


@contextmanager
def _recurrent_at_once(model: Model | None) -> Iterator[list[int]]:
    """Yield the multiply-adds of recurrent networks, from the size of their weights; inside, these return zeros.

    Counted step by step, each frame of a clip passes a dozen operators through Python: half the time of a short run.
    """
    adds: list[int] = []
    nets = [net for net in model.modules() if isinstance(net, nn.RNNBase)] if model is not None else []
    for net in nets:
        net.forward = partial(_at_once, net, adds)  # set on this object only, not on its class
    try:
        yield adds
    finally:
        for net in nets:
            del net.forward


def _at_once(net: nn.RNNBase, adds: list[int], x: Tensor, *_state: object) -> tuple[Tensor, None]:
    """Return zeros (B, T, out) for (B, T, D), and count: each weight multiplies once per frame."""
    adds.append(x.shape[0] * x.shape[1] * sum(w.numel() for name, w in net.named_parameters() if "weight" in name))
    width = (net.proj_size or net.hidden_size) * (2 if net.bidirectional else 1)
    return x.new_zeros(*x.shape[:2], width), None


def _on_meta(build: Callable[[], Any]) -> Any:
    try:
        with torch.device("meta"):
            return build().eval().to("meta")
    except (NotImplementedError, RuntimeError):
        return None


def _counted(run: Callable[[], Tensor], frames: int, device: str = "meta") -> int | None:
    from torch.utils.flop_counter import FlopCounterMode  # imports a compiler, which no prediction needs

    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad(), torch.device(device):
            run()
    except (NotImplementedError, RuntimeError, AttributeError):  # no meta implementation, or not built (None)
        return None
    return round(counter.get_total_flops() / 2 / frames)


def _run_encoder(encoder: Encoder, length: int) -> Tensor:
    spec, mask = encoder.input, torch.ones(1, length, dtype=torch.bool)
    if isinstance(spec, FrameInput):
        frames = length + 2 * spec.context
        inputs = {
            "frames": torch.zeros(1, frames, spec.size, spec.size, 3, dtype=torch.uint8),
            "present": torch.ones(1, frames, dtype=torch.bool),
        }
    elif isinstance(spec, AudioInput):
        samples = int(spec.rate * (length / FPS + 2 * spec.margin))
        inputs = {
            "samples": torch.zeros(1, samples),
            "samples_valid": torch.ones(1, samples, dtype=torch.bool),
            "times": torch.zeros(1, length),
        }
    elif isinstance(spec, TextInput):
        inputs = {"tokens": torch.zeros(1, length, spec.length, dtype=torch.int32)}
    else:
        inputs = {"vectors": torch.zeros(1, length, spec.dim)}  # type: ignore[attr-defined]
    return encode(encoder, inputs, mask)


def _run_fusion(model: Model, dims: dict[str, int], length: int) -> Tensor:
    on = torch.ones(1, length, dtype=torch.bool)
    target = torch.zeros(1, length, len(model.answers))
    features = {slot: torch.zeros(1, length, dim) for slot, dim in dims.items()}
    return model(Batch(features, {}, dict.fromkeys(dims, on), on, target, target.bool())).raw
