"""Parse the grammar of ``--encoders``: ``slot[=encoder[:argument]]``, separated by commas. No heavy imports.

A slot is ``stream`` or ``stream.suffix``, so that one stream may have several encoders:
``face=hsemotion:enet_b0_8_best_vgaf,face.b=timm:vit_small_patch14_dinov2,audio``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from zoo.errors import UserError

_WORD = r"[A-Za-z][A-Za-z0-9_-]*"
_SLOT = re.compile(rf"(?P<stream>{_WORD})(\.[A-Za-z0-9_-]+)?")
_ENCODER = re.compile(_WORD)


@dataclass(frozen=True)
class Slot:
    """One encoder on one stream; ``encoder`` None is the stream's default, ``argument`` None no argument."""

    name: str
    stream: str
    encoder: str | None = None
    argument: str | None = None

    def __str__(self) -> str:
        encoder = "" if self.encoder is None else f"={self.encoder}"
        return self.name + encoder + ("" if self.argument is None else f":{self.argument}")


def parse_slots(text: str) -> list[Slot]:
    """Parse ``"face=timm:resnet18,audio"`` into slots, in the given order (the first one leads).

    Each item is split at the first ``=`` and the first ``:`` after it; an argument may contain anything but a comma.
    The existence of streams and encoders is not checked here.

    Raises:
        UserError: A slot is empty, malformed or given twice.
    """
    if not text.strip():
        raise UserError("slots-none")
    slots: dict[str, Slot] = {}
    for item in text.split(","):
        slot = _parse(item.strip(), text)
        if slot.name in slots:
            raise UserError("slot-twice", name=slot.name, text=text, stream=slot.stream)
        slots[slot.name] = slot
    return list(slots.values())


def _parse(item: str, text: str) -> Slot:
    if not item:
        raise UserError("slot-empty", text=text)
    name, equals, choice = item.partition("=")
    encoder, colon, argument = choice.partition(":")
    found = _SLOT.fullmatch(name)
    if found is None:
        raise UserError("slot-invalid", name=name, text=text)
    if equals and _ENCODER.fullmatch(encoder) is None:
        raise UserError("slot-encoder-invalid", encoder=encoder, item=item, name=name)
    if colon and not argument.strip():
        raise UserError("slot-argument-empty", item=item, name=name, encoder=encoder)
    return Slot(name, found["stream"], encoder if equals else None, argument if colon else None)
