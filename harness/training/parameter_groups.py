"""Groups of parameters with their learning rates and weight decay.

Without settings for pretrained encoders there are two groups, with and without weight decay. Otherwise each layer of a
pretrained encoder has two of its own; each layer of an encoder with adapters always has. The rate of a layer is
``encoder_lr * layer_decay ** d``, where d is its distance from the encoder's last layer (Clark et al. 2020,
arXiv:2003.10555; Bao et al. 2022, arXiv:2106.08254). timm writes such a factor next to the group (``lr_scale``), where
torch's optimizers do not read it; here it is part of the rate itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.config.schema import Train
from harness.training.freezing import last_trained
from leaderboards.blocks import ParameterGroup
from zoo.model.encoder_layers import layer_numbers
from zoo.model.model import Model, module_key
from zoo.model.weight_decay import decayed_names


@dataclass(frozen=True)
class Group:
    """Parameters with one highest learning rate and one weight decay; ``encoder``: of a pretrained encoder."""

    name: str
    names: tuple[str, ...]
    lr: float
    weight_decay: float
    encoder: bool = False


def parameter_groups(model: Model, settings: Train) -> list[Group]:
    """Return the groups of all trained parameters; the first holds decayed ones of the fusion and its heads.

    Groups without parameters are left out, except for the first two.
    """
    decayed = decayed_names(model)
    trained = {name: None for name, parameter in model.named_parameters() if parameter.requires_grad}
    groups: list[Group] = []
    for slot in model.pretrained if has_own_rates(settings) else model.adapted:
        groups += _encoder_groups(model, settings, slot, trained, decayed)
    taken = {name for group in groups for name in group.names}
    rest = tuple(name for name in trained if name not in taken)
    return [*_halves("model", rest, settings.lr, settings, decayed), *(group for group in groups if group.names)]


def group_rows(model: Model, groups: Sequence[Group], settings: Train) -> list[ParameterGroup]:
    """Return the groups for the record, without parameters that no epoch trains; the first two even if none is left.

    Call it before anything is frozen (harness.training.freezing).
    """
    trained = last_trained(model, settings)
    rows: list[ParameterGroup] = [
        {
            "name": group.name,
            "lr": group.lr,
            "weight_decay": group.weight_decay,
            "parameters": sum(model.get_parameter(name).numel() for name in group.names if name in trained),
        }
        for group in groups
    ]
    return [*rows[:2], *(row for row in rows[2:] if row["parameters"])]


def has_own_rates(settings: Train) -> bool:
    """Return True if pretrained encoders have learning rates of their own."""
    return settings.encoder_lr is not None or settings.layer_decay < 1 or settings.encoder_warmup > 0


def describe(rows: list[ParameterGroup]) -> Iterator[str]:
    """Yield one line for each group."""
    for row in rows:
        yield (
            f"  {row['name']}: {row['parameters']:,} parameters, learning rate {row['lr']:.3g}, "
            f"weight decay {row['weight_decay']:g}"
        )


def _encoder_groups(
    model: Model, settings: Train, slot: str, trained: dict[str, None], decayed: set[str]
) -> Iterator[Group]:
    """Yield two groups for each layer of a slot's encoder, from the last layer to the first."""
    prefix = f"encoders.{module_key(slot)}"
    layers = layer_numbers(model.encoders[module_key(slot)])
    top, base = max(layers.values()), settings.encoder_lr if settings.encoder_lr is not None else settings.lr
    for layer in range(top, -1, -1):
        names = [f"{prefix}.{name}" for name, number in layers.items() if number == layer]
        lr = base * settings.layer_decay ** (top - layer)
        members = tuple(name for name in names if name in trained)
        yield from _halves(f"encoder {slot} layer {layer}", members, lr, settings, decayed, encoder=True)


def _halves(
    name: str, names: tuple[str, ...], lr: float, settings: Train, decayed: set[str], encoder: bool = False
) -> Iterator[Group]:
    """Yield the parameters with weight decay, then those without."""
    yield Group(name, tuple(n for n in names if n in decayed), lr, settings.weight_decay, encoder)
    yield Group(f"{name}, no decay", tuple(n for n in names if n not in decayed), lr, 0.0, encoder)
