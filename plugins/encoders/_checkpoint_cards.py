"""Options of the encoder ``checkpoint``, completed from the card inside a file of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.weights.network_cards import NetworkCard, read_network_card

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Told:
    """Options, completed from the card inside the file.

    ``squashed``: values at the end that are a tanh; ``fixed``: the options that the card states.
    """

    model: str
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]
    squashed: int = 0
    card: NetworkCard | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)


def told_of(
    argument: str | None,
    model: str,
    size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    classes: tuple[str, ...],
) -> Told:
    """Return the options, completed from the card inside the file if it has one.

    An option that has its default counts as not given here; the plan knows better (ModelCard.fixed). Raises UserError
    if another one contradicts the card.
    """
    card = read_network_card(Path(argument).expanduser()) if argument else None
    if card is None:
        return Told(model, size, tuple(mean), tuple(std), tuple(classes))
    said = {"model": card.model, "size": card.size, "mean": card.mean, "std": card.std}
    said["classes"] = (*card.classes, *card.values)
    given = {"model": model, "size": size, "mean": tuple(mean), "std": tuple(std), "classes": tuple(classes)}
    usual = {"model": "resnet50", "size": 224, "mean": MEAN, "std": STD, "classes": ()}
    for name, value in given.items():
        if value not in (usual[name], said[name]):
            raise UserError(
                "option-fixed", name=name, encoder="checkpoint", value=value, file=argument, said=said[name]
            )
    squashed = len(card.values) if card.squash == "tanh" else 0
    return Told(card.model, card.size, card.mean, card.std, (*card.classes, *card.values), squashed, card, said)
