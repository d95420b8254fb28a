"""Names -> specs and options: everything about a combination that can be settled without torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.api import Answer, EncoderSpec, FusionSpec, HeadSpec, LossSpec, Passport, PostSpec, Spec, StreamSpec
from zoo.errors import UserError
from zoo.registry import Registry, check_options, resolve
from zoo.slots import Slot, parse_slots

COMMON = {"pretrained": True, "weights": None, "sha256": None}
"""Options that every encoder has: whether to load weights, a local file instead of the usual one, its digest."""


@dataclass(frozen=True)
class SlotPlan:
    """One slot resolved. ``frozen``: its features are computed once and cached; else it is trained with the model."""

    slot: Slot
    stream: StreamSpec
    encoder: EncoderSpec
    options: Mapping[str, Any]
    passport: Passport | None
    frozen: bool

    @property
    def name(self) -> str:
        """The slot's name, ``face`` or ``face.b``."""
        return self.slot.name


@dataclass(frozen=True)
class Block:
    """A spec with its options filled in."""

    spec: Spec
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """A whole combination, resolved."""

    slots: tuple[SlotPlan, ...]
    fusion: Block
    head: Block
    losses: Mapping[str, Block]  # kind of answer -> loss
    post: tuple[Block, ...]
    answers: tuple[Answer, ...]

    @property
    def fusion_spec(self) -> FusionSpec:
        """The fusion's spec."""
        assert isinstance(self.fusion.spec, FusionSpec)
        return self.fusion.spec

    @property
    def head_spec(self) -> HeadSpec:
        """The head's spec."""
        assert isinstance(self.head.spec, HeadSpec)
        return self.head.spec

    def loss_groups(self) -> list[tuple[Block, tuple[int, ...]]]:
        """Losses with the indices of the answers they serve, in the order of the answers."""
        kinds = list(dict.fromkeys(answer.kind for answer in self.answers))
        return [(self.losses[k], tuple(i for i, a in enumerate(self.answers) if a.kind == k)) for k in kinds]


def make_plan(
    registry: Registry,
    *,
    encoders: str,
    fusion: str,
    head: str,
    answers: tuple[Answer, ...],
    losses: Sequence[str] = (),
    post: Sequence[str] = (),
    finetune: Iterable[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Plan:
    """Look everything up and check every option; UserError where something does not fit.

    ``options``: flat keys ``encoder.<slot>.<option>``, ``fusion.<option>``, ``head.<option>``,
    ``loss.<name>.<option>``, ``post.<name>.<option>``.
    """
    slots = parse_slots(encoders)
    given = _Options(options or {}, [slot.name for slot in slots])
    tuned = set(finetune)
    plan = Plan(
        slots=tuple(
            _plan_slot(registry, slot, given.take(f"encoder.{slot.name}"), slot.name in tuned) for slot in slots
        ),
        fusion=_block(registry, "fusions", fusion, given.take("fusion")),
        head=_block(registry, "heads", head, given.take("head")),
        losses=_losses(registry, answers, losses, given),
        post=tuple(_block(registry, "postprocessors", name, given.take(f"post.{name}")) for name in post),
        answers=answers,
    )
    if unknown := tuned - {slot.name for slot in slots}:
        raise UserError(f"--finetune {', '.join(sorted(unknown))}: no such slot in --encoders {encoders}")
    given.refuse_rest()
    return plan


class _Options:
    """Flat option keys, handed out by prefix; what nobody takes is a mistake."""

    def __init__(self, flat: Mapping[str, Any], slots: Sequence[str]) -> None:
        self.rest = dict(flat)
        self.slots = sorted(slots, key=len, reverse=True)

    def take(self, prefix: str) -> dict[str, Any]:
        keys = [k for k in self.rest if k.rpartition(".")[0] == prefix]
        return {k.rpartition(".")[2]: self.rest.pop(k) for k in keys}

    def refuse_rest(self) -> None:
        for key in self.rest:
            raise UserError(
                f"--set {key}: nothing in this combination has this option; keys are encoder.SLOT.X (slots: "
                f"{', '.join(sorted(self.slots))}), fusion.X, head.X, loss.NAME.X, post.NAME.X"
            )


def _plan_slot(registry: Registry, slot: Slot, given: dict[str, Any], finetune: bool) -> SlotPlan:
    stream = registry.get("streams", slot.stream)
    spec = registry.get("encoders", slot.encoder or stream.default_encoder)
    assert isinstance(spec, EncoderSpec)
    assert isinstance(stream, StreamSpec)
    if spec.streams and stream.name not in spec.streams:
        raise UserError(
            f"encoder {spec.name!r} does not take the stream {stream.name!r}, only {', '.join(spec.streams)}"
        )
    if slot.argument is not None and not spec.argument:
        raise UserError(f"{slot.name}={spec.name}:{slot.argument}: encoder {spec.name!r} takes no argument")
    common = {key: given.pop(key, default) for key, default in COMMON.items() if key not in spec.options}
    options = check_options(spec, given)
    pretrained = common.get("pretrained", options.get("pretrained", True)) not in (False, "false", "False", "0")
    passport = _passport(spec, slot, stream, options, common) if pretrained else None
    if spec.passport is not None and passport is None and pretrained:
        raise UserError(
            f"slot {slot.name!r}: no weights are known for {spec.name}:{slot.argument}; give a file with "
            f"--set encoder.{slot.name}.weights=FILE, or say --set encoder.{slot.name}.pretrained=false to train it "
            f"from random weights"
        )
    return SlotPlan(slot, stream, spec, options, passport, frozen=passport is not None and not finetune)


def _passport(
    spec: EncoderSpec, slot: Slot, stream: StreamSpec, options: Mapping[str, Any], common: Mapping[str, Any]
) -> Passport | None:
    if spec.passport is None:
        if common.get("weights"):
            raise UserError(f"--set encoder.{slot.name}.weights: encoder {spec.name!r} has no pretrained form")
        return None
    usual: Passport | None = resolve(spec.passport)(stream.name, slot.argument, **options)
    if not common.get("weights"):
        return usual
    file = str(common["weights"])
    return Passport(
        name=file.rsplit("/", 1)[-1],
        sha256=common.get("sha256"),
        license="as the file's owner says",
        source="a local file",
        path=file,
        adapt=usual.adapt if usual else None,
    )


def _block(registry: Registry, kind: str, name: str, given: dict[str, Any]) -> Block:
    spec = registry.get(kind, name)
    return Block(spec, check_options(spec, given))


def _losses(registry: Registry, answers: tuple[Answer, ...], names: Sequence[str], given: _Options) -> dict[str, Block]:
    """The loss of each kind of answer: a named one that admits the kind, else the kind's default."""
    chosen: dict[str, Block] = {}
    named = [registry.get("losses", name) for name in names]
    every = [entry.spec for entry in registry.entries("losses")]
    for kind in dict.fromkeys(answer.kind for answer in answers):
        specs = [s for s in named if kind in s.kinds] or [s for s in every if kind in s.kinds and s.default]
        if not specs:
            raise UserError(f"no loss for answers of kind {kind!r}: name one with --loss (`harness list losses`)")
        spec = specs[0]
        assert isinstance(spec, LossSpec)
        same = [block for block in chosen.values() if block.spec.name == spec.name]
        chosen[kind] = same[0] if same else Block(spec, check_options(spec, given.take(f"loss.{spec.name}")))
    for spec in named:
        if spec.name not in {block.spec.name for block in chosen.values()}:
            raise UserError(f"--loss {spec.name}: the track has no answers of kind {' or '.join(spec.kinds)}")
    return chosen


__all__ = ["Block", "Plan", "PostSpec", "SlotPlan", "make_plan"]
