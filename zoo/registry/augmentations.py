"""Resolve ``--augment`` to augmentations of input branches. No heavy imports.

The grammar of one text is ``[BRANCH=]NAME,NAME,...``. Names are applied in the given order. Without a branch, each name
goes to every branch whose input it can change. ``default`` stands for the default set of the branch's kind of input, in
the order of names, and ``none`` for nothing: ``BRANCH=none`` also takes away what other texts give the branch, in any
order of the texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zoo.api import AugmentationSpec, Option
from zoo.errors import UserError
from zoo.layers.validation import between
from zoo.registry.registry import Registry, check_options

DEFAULT, NONE = "default", "none"


@dataclass(frozen=True)
class Augmentable:
    """An input branch as far as augmentations see it: its name, its kind of input, and if it may be augmented.

    It may if its encoder is trained, or if features of augmented views are computed (``features.views``).
    """

    name: str
    kind: str
    allowed: bool


@dataclass(frozen=True)
class AugmentationPlan:
    """An augmentation with its options filled in; ``p`` and ``per_frame`` are those of every augmentation."""

    spec: AugmentationSpec
    options: Mapping[str, Any]
    p: float
    per_frame: bool


def common_options(spec: AugmentationSpec) -> dict[str, Option]:
    """Return the options that every augmentation has, with the defaults of this one."""
    return {
        "p": Option(spec.p, "probability that a clip is changed"),
        "per_frame": Option(False, "draw anew for every frame; false: once for the whole clip"),
    }


def plan_augmentations(
    registry: Registry,
    slots: Sequence[Augmentable],
    texts: Sequence[str],
    take: Callable[[str], dict[str, Any]],
) -> dict[str, tuple[AugmentationPlan, ...]]:
    """Return the augmentations of every branch that has some, in the order in which they are applied.

    Args:
        registry: The registered blocks.
        slots: The input branches.
        texts: Texts in the grammar of this module; none: nothing is augmented.
        take: Returns the options given for a prefix, ``augment.BRANCH.NAME``.

    Returns:
        Branch -> its augmentations.

    Raises:
        UserError: A name or branch is unknown, a branch is frozen or has another kind of input, or an option is wrong.
    """
    chosen: dict[str, list[AugmentationSpec]] = {slot.name: [] for slot in slots}
    for text in texts:
        for slot, spec in _chosen(registry, slots, text):
            if spec in chosen[slot.name]:
                raise UserError("augment-twice", name=spec.name, slot=slot.name)
            chosen[slot.name].append(spec)
    for text in texts:
        branch, _, names = text.rpartition("=")
        if names.strip() == NONE:
            chosen.pop(branch.strip(), None)
    return {
        slot: tuple(_planned(spec, slot, take(f"augment.{slot}.{spec.name}")) for spec in specs)
        for slot, specs in chosen.items()
        if specs
    }


def augmentation_texts(plans: Mapping[str, Sequence[AugmentationPlan]]) -> tuple[str, ...]:
    """Return the texts that name these augmentations, one for each branch, for config.toml and the record."""
    return tuple(f"{slot}={','.join(plan.spec.name for plan in chain)}" for slot, chain in plans.items())


def _chosen(registry: Registry, slots: Sequence[Augmentable], text: str) -> list[tuple[Augmentable, AugmentationSpec]]:
    """Return the (branch, augmentation) pairs that one text names."""
    branch, equals, rest = text.rpartition("=")
    names = [name.strip() for name in rest.split(",")]
    if not all(names) or (equals and not branch.strip()) or (NONE in names and len(names) > 1):
        raise UserError("augment-text-invalid", text=text)
    if equals:
        slots = [_slot(slots, branch.strip(), text)]
        if not slots[0].allowed and names != [NONE]:
            raise UserError("augment-frozen", text=text, slot=slots[0].name)
    slots = [slot for slot in slots if slot.allowed]
    found: list[tuple[Augmentable, AugmentationSpec]] = []
    for name in names:
        if name == NONE:
            continue
        if name == DEFAULT:
            found += [(slot, spec) for slot in slots for spec in _of_kind(registry, slot.kind) if spec.default]
            continue
        spec: AugmentationSpec = registry.get("augmentations", name)
        fitting = [slot for slot in slots if slot.kind == spec.kind]
        if equals and not fitting:
            choices = ", ".join(other.name for other in _of_kind(registry, slots[0].kind)) or NONE
            slot = slots[0]
            raise UserError(
                "augment-kind", text=text, name=name, kind=spec.kind, slot=slot.name, kind2=slot.kind, names=choices
            )
        if not fitting:
            raise UserError("augment-nothing", text=text, name=name, kind=spec.kind)
        found += [(slot, spec) for slot in fitting]
    return found


def _slot(slots: Sequence[Augmentable], name: str, text: str) -> Augmentable:
    for slot in slots:
        if slot.name == name:
            return slot
    raise UserError("augment-unknown-slot", text=text, slot=name, names=", ".join(slot.name for slot in slots))


def _of_kind(registry: Registry, kind: str) -> list[AugmentationSpec]:
    return [entry.spec for entry in registry.entries("augmentations") if entry.spec.kind == kind]


def _planned(spec: AugmentationSpec, slot: str, given: Mapping[str, Any]) -> AugmentationPlan:
    common = {name: option for name, option in common_options(spec).items() if name not in spec.options}
    values = check_options(replace(spec, options={**spec.options, **common}), given)
    p, per_frame = values.pop("p"), values.pop("per_frame")
    between(f"augmentation {spec.name!r} of {slot!r}", 0, 1, p=p)
    if per_frame and spec.kind != "frames":
        raise UserError("augment-per-frame", name=spec.name, slot=slot)
    return AugmentationPlan(spec, values, p, per_frame)
