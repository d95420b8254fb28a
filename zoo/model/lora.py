"""Low-rank adapters of pretrained encoders (LoRA; Hu et al. 2022, arXiv:2106.09685), by peft.

W x becomes W x + (alpha / rank) B A x. W stays as it was loaded, A begins with random numbers and B with zeros, so that
an encoder begins with exactly its pretrained features. Linear layers and dense convolutions are adapted, if calling
them is all that the network does with their weights: others are left, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.model.model import Model, build_encoder, module_key
from zoo.model.probing import built_from, meta_or_real, probe
from zoo.modules import Encoder
from zoo.registry.lora import ALL, ATTENTION, AUTO, Lora
from zoo.registry.plan import Plan, SlotPlan

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
SHOWN = 3  # names of layers in a line

_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
_FOUND: dict[tuple[Hashable, str], Layers] = {}  # (built_from(slot), targets) -> layers


@dataclass(frozen=True)
class Layers:
    """The layers of an encoder that are adapted, with the rank of each weight, and those left, by reason."""

    ranks: dict[str, int]
    left: dict[str, tuple[str, ...]]

    def __str__(self) -> str:
        """Return one line: how many layers are adapted, and which are left."""
        left = [
            f"{why}: {len(names)} ({', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''})"
            for why, names in self.left.items()
        ]
        return f"{len(self.ranks)} layers" + (f"; left as they are: {'; '.join(left)}" if left else "")


def check_adapters(plan: Plan) -> None:
    """Raise UserError if a slot's adapters cannot be made: peft is missing, no layer fits, the rank is too high."""
    for slot in plan.slots:
        if slot.lora is not None:
            layers_of(slot, slot.lora)


def layers_of(slot: SlotPlan, lora: Lora) -> Layers:
    """Return the layers of a slot's encoder that its adapters are for.

    Raises:
        UserError: peft is not installed, no layer fits, or the rank is higher than that of every weight.
    """
    if find_spec("peft") is None:
        raise UserError("peft-missing", slot=slot.name)
    source = built_from(slot)
    found = _FOUND.get((source, lora.targets)) or _choose(slot, lora.targets)
    if source is not None:
        _FOUND[source, lora.targets] = found
    return _checked(found, slot, lora)


def attach(encoder: Encoder, slot: SlotPlan) -> None:
    """Add a slot's adapters to its encoder in place; only they have gradients from then on.

    An encoder's own parameters that no file has (``needs_training``, such as weights of its layers) keep theirs.
    """
    if slot.lora is None:
        return
    layers, own = layers_of(slot, slot.lora), list(_own(encoder))
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=slot.lora.rank,
        lora_alpha=slot.lora.alpha,
        lora_dropout=slot.lora.dropout,
        use_rslora=slot.lora.rslora,
        use_dora=slot.lora.dora,
        target_modules="|".join(re.escape(name) for name in layers.ranks),  # peft matches a whole name
    )
    meta = any(parameter.is_meta for parameter in encoder.parameters())
    with torch.device("meta") if meta else nullcontext():
        inject_adapter_in_model(config, encoder)
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(is_adapter(name) or name in own)
        if "lora_magnitude" in name:
            vars(parameter)["_no_weight_decay"] = True  # a length each; zoo.model.weight_decay reads it


def attach_all(model: Model, plan: Plan) -> None:
    """Add the adapters of every slot that has some to a model's encoders, whose weights are loaded."""
    for slot in plan.slots:
        if slot.lora is not None:
            attach(encoder_of(model, slot.name), slot)


def merge(encoder: nn.Module) -> None:
    """Add the adapters of an encoder to its weights, in place: it computes the same, and has its own names again."""
    from peft.tuners.lora import LoraLayer

    for name, part in list(encoder.named_modules()):
        if isinstance(part, LoraLayer):
            part.merge(safe_merge=True)
            encoder.set_submodule(name, part.get_base_layer())
    vars(encoder).pop("peft_config", None)


def is_adapter(name: str) -> bool:
    """Return True if a parameter or module of this name belongs to an adapter."""
    return any(part.startswith("lora_") for part in name.split("."))


def learned_state(model: Model) -> dict[str, Tensor]:
    """Return the state of a model without the pretrained weights that its adapters leave as they are."""
    frozen = {
        f"encoders.{module_key(slot)}.{name}"
        for slot in model.adapted
        for encoder in [encoder_of(model, slot)]
        for own in [set(_own(encoder))]
        for name in encoder.state_dict()
        if not is_adapter(name) and name not in own
    }
    return {name: tensor for name, tensor in model.state_dict().items() if name not in frozen}


def load_learned(model: Model, state: Mapping[str, Tensor]) -> None:
    """Load a state of ``learned_state`` into a model that has its pretrained weights and its adapters."""
    learned = learned_state(model)
    base = {name: tensor for name, tensor in model.state_dict().items() if name not in learned}
    model.load_state_dict({**base, **state})


def encoder_of(model: Model, slot: str) -> Encoder:
    """Return a slot's trained encoder."""
    encoder = model.encoders[module_key(slot)]
    assert isinstance(encoder, Encoder)
    return encoder


def _own(encoder: Encoder) -> Iterator[str]:
    """Yield the names of the encoder's own parameters that are trained besides the adapters."""
    if encoder.needs_training:
        yield from (name for name, _ in encoder.named_parameters(recurse=False))


def _checked(found: Layers, slot: SlotPlan, lora: Lora) -> Layers:
    if not found.ranks:
        why = "; ".join(f"{why}: {len(names)}" for why, names in found.left.items()) or "it has no weights"
        raise UserError("adapt-no-layers", slot=slot.name, name=slot.encoder.name, targets=lora.targets, why=why)
    if lora.rank > (highest := max(found.ranks.values())):
        raise UserError("adapt-rank", slot=slot.name, rank=lora.rank, highest=highest)
    return found


def _choose(slot: SlotPlan, targets: str) -> Layers:
    """Divide the parts of a slot's encoder that have matrices into layers to adapt and others."""
    called: set[str] = set()

    def watch(encoder: nn.Module) -> None:
        encoder.eval()
        for name, part in encoder.named_modules():
            part.register_forward_hook(partial(_note, called, name))

    encoder = meta_or_real(lambda: build_encoder(slot))
    with torch.no_grad():
        probe(encoder, slot, watch)
    fused = [name for name, part in encoder.named_modules() if isinstance(part, nn.TransformerEncoderLayer)]
    fit: dict[str, nn.Module] = {}
    left: dict[str, list[str]] = {}
    for name, part in encoder.named_modules():
        if name and any(parameter.ndim > 1 for parameter in part.parameters(recurse=False)):
            if why := _obstacle(name, part, called, fused):
                left.setdefault(why, []).append(name)
            else:
                fit[name] = part
    chosen = {name: part for name, part in fit.items() if _is_target(name, part, fit, targets)}
    if others := [name for name in fit if name not in chosen]:
        left[f"not in targets={targets}"] = others
    return Layers({n: _rank(part) for n, part in chosen.items()}, {why: tuple(names) for why, names in left.items()})


def _note(called: set[str], name: str, *_: object) -> None:
    called.add(name)


def _obstacle(name: str, part: nn.Module, called: set[str], fused: list[str]) -> str:
    """Return why a layer cannot be adapted; "" if it can."""
    if isinstance(part, CONVOLUTIONS) and part.groups > 1:
        return "grouped convolution"
    if type(part) not in (nn.Linear, *CONVOLUTIONS):  # a subclass may do more, such as standardise its weights
        return type(part).__name__
    if isinstance(part, CONVOLUTIONS) and (max(part.dilation) > 1 or part.padding_mode != "zeros"):
        return "dilated convolution" if max(part.dilation) > 1 else "convolution padded with other than zeros"
    if {own for own, _ in part.named_parameters(recurse=False)} - {"weight", "bias"}:
        return "layer with normalised weights"
    if any(name.startswith(f"{layer}.") for layer in fused):
        return "layer of a TransformerEncoderLayer, which reads weights directly"
    return "" if name in called else "layer that is not called"


def _is_target(name: str, part: nn.Module, fit: dict[str, nn.Module], targets: str) -> bool:
    """Return True if the option ``targets`` means a layer that can be adapted."""
    if targets == AUTO:
        attends = any(_ATTENTION.search(other) for other, layer in fit.items() if isinstance(layer, nn.Linear))
        return isinstance(part, nn.Linear) or not attends
    if targets == ATTENTION:
        return bool(_ATTENTION.search(name))
    return targets == ALL or bool(re.search(targets, name))


def _rank(part: nn.Module) -> int:
    """Return the highest rank of a layer's weight as a matrix (outputs, inputs times kernel)."""
    weight = part.get_parameter("weight")
    return min(weight.shape[0], weight[0].numel())
