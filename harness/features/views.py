"""Features of augmented views (``features.views``): computed once, cached, and chosen anew for every clip and epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256

from harness.data.streams.augmented import MIRROR, AugmentedReader, MirroredReader
from harness.features.frozen_encoder import FrozenSlot
from zoo.augmenting import ClipName
from zoo.modules import Encoder
from zoo.registry.augmentations import AugmentationPlan
from zoo.weights.bf16_rounding import Rounded


@dataclass
class ViewSlot(FrozenSlot):
    """A frozen encoder that sees an augmented view; ``base`` is that of the plain pictures, whose network it uses."""

    base: FrozenSlot = field(kw_only=True)

    @property
    def encoder(self) -> Encoder:
        """The network of the plain slot."""
        return self.base.encoder

    @property
    def rounded(self) -> Rounded:
        """The weights for bfloat16 of the plain slot."""
        return self.base.rounded


def view_name(slot: str, view: int | str) -> str:
    """Return the name of a slot's view in the store; view 0 is the plain slot, ``mirror`` its mirror image."""
    return f"{slot}@{view}" if view else slot


def view_slots(
    frozen: Sequence[FrozenSlot], augment: Mapping[str, tuple[AugmentationPlan, ...]], views: int
) -> list[ViewSlot]:
    """Return the slots of all views of the frozen slots that are augmented.

    Args:
        frozen: The frozen slots.
        augment: Slot -> its augmentations.
        views: The number of views of each.
    """
    return [
        _view(slot, view, partial(AugmentedReader, chain=augment[slot.plan.name], view=view))
        for slot in frozen
        if slot.plan.name in augment
        for view in range(1, views + 1)
    ]


def mirror_slots(frozen: Sequence[FrozenSlot]) -> list[ViewSlot]:
    """Return the slots of the mirror images of the frozen slots that take pictures."""
    return [_view(slot, MIRROR, MirroredReader) for slot in frozen if slot.plan.stream.kind == "frames"]


def _view(slot: FrozenSlot, view: int | str, reader: Callable[..., object]) -> ViewSlot:
    """Return a slot with another name, and with ``reader`` around the reader of its pictures."""
    plan = slot.plan
    named = replace(plan.slot, name=view_name(plan.name, view))
    stream = replace(plan.stream, reader=partial(reader, reader=plan.stream.reader))
    return ViewSlot(replace(plan, slot=named, stream=stream), slot.settings, slot.device, slot.file, base=slot)


@dataclass
class ViewChoice:
    """The view of each clip: 0, the plain pictures, to ``views``, drawn from (seed, epoch, clip).

    ``slots``: those that have views; ``epoch``: set by the training at the beginning of each. All slots of a clip have
    the same number of a view, and so the same draws if their augmentations are the same.
    """

    slots: frozenset[str]
    views: int
    seed: int
    epoch: int = 0

    def __call__(self, slot: str, video: str, start: int, length: int, repetition: int = 0) -> str:
        """Return the name in the store of the features of a slot's clip."""
        if slot not in self.slots:
            return slot
        words = "\n".join(["view", *ClipName(self.seed, self.epoch, video, start, length, repetition).words()])
        number = int.from_bytes(sha256(words.encode()).digest()[:8], "little")
        return view_name(slot, number % (self.views + 1))


@dataclass(frozen=True)
class FixedView:
    """One view of all clips, for test-time augmentation. ``slots``: those that have it; the others are plain."""

    slots: frozenset[str]
    view: str

    def __call__(self, slot: str, video: str, start: int, length: int, repetition: int = 0) -> str:
        """Return the name in the store of the features of a slot's clip."""
        return view_name(slot, self.view) if slot in self.slots else slot
