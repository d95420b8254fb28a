"""Resolve names to specs and options: every part of a combination that can be determined without torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar

from zoo.api import (
    Answer,
    AugmentationSpec,
    EncoderSpec,
    FusionSpec,
    HeadSpec,
    LossSpec,
    ModelCard,
    Option,
    OwnScores,
    PostSpec,
    Spec,
    StreamSpec,
)
from zoo.errors import UserError
from zoo.registry.augmentations import Augmentable, AugmentationPlan, common_options, plan_augmentations
from zoo.registry.lora import Lora, plan_adapters
from zoo.registry.options import check_fixed
from zoo.registry.own_classes import own_classes
from zoo.registry.registry import Registry, check_options, resolve
from zoo.registry.slots import Slot, parse_slots
from zoo.registry.suggestions import did_you_mean

S = TypeVar("S", bound=Spec, covariant=True)

COMMON: dict[str, dict[str, Option]] = {
    "encoders": {
        "pretrained": Option(True, "load pretrained weights; false: train from random weights"),
        "weights": Option(None, "a local file to load instead of the usual weights", type=str),
        "sha256": Option(None, "sha256 that this file must have", type=str),
        "scores": Option(False, "append the encoder's own predictions to its features, if it has any"),
    },
    "fusions": {"per_slot": Option(0.0, "weight of the loss of each slot's own prediction (0: none is made)")},
}
"""Options that every block of a kind has in addition to its own."""


@dataclass(frozen=True)
class SlotPlan:
    """One slot, resolved.

    Attributes:
        slot: The slot as given.
        stream: The registered stream; if the encoder opens its own input, that of the encoder.
        encoder: The encoder's spec.
        options: The encoder's options.
        passport: The model card of its weights, if it has any.
        frozen: Its features are computed once and cached; otherwise it is trained with the model.
        scores: The encoder's own predictions are appended to its features.
        lora: The adapters that are trained in place of its weights, if there are any.
    """

    slot: Slot
    stream: StreamSpec
    encoder: EncoderSpec
    options: Mapping[str, Any]
    passport: ModelCard | None
    frozen: bool
    scores: bool = False
    lora: Lora | None = None

    @property
    def name(self) -> str:
        """The slot's name, ``face`` or ``face.b``."""
        return self.slot.name

    @property
    def own_scores(self) -> OwnScores | None:
        """The encoder's own predictions with these options; None if it has none."""
        if self.encoder.scores is None:
            return None
        said: OwnScores | None = resolve(self.encoder.scores)(self.stream.name, self.slot.argument, **self.options)
        return said if said is not None and (said.classes or said.values) else None


@dataclass(frozen=True)
class Block(Generic[S]):
    """A spec with its options filled in."""

    spec: S
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """A whole combination, resolved."""

    slots: tuple[SlotPlan, ...]
    fusion: Block[FusionSpec]
    head: Block[HeadSpec]
    losses: Mapping[str, Block[LossSpec]]  # kind of answer -> loss
    post: tuple[Block[PostSpec], ...]
    answers: tuple[Answer, ...]
    per_slot: float = 0.0  # weight of the loss of the slots' own predictions
    augment: Mapping[str, tuple[AugmentationPlan, ...]] = field(default_factory=dict)  # by slot, in order

    def loss_groups(self) -> list[tuple[Block[LossSpec], tuple[int, ...]]]:
        """Return the losses with the indices of their answers, in the order of the answers."""
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
    adapt: Sequence[str] = (),
    augment: Sequence[str] = (),
    views: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Plan:
    """Look up every name and check every option.

    Args:
        registry: The registered blocks.
        encoders: The slots, as for ``--encoders``.
        fusion: Name of the fusion.
        head: Name of the head.
        answers: The answers to predict.
        losses: Names of losses; a kind of answer without one gets its default.
        post: Names of post-processors.
        finetune: The slots to train though they have pretrained weights.
        adapt: The adapters of slots (zoo.registry.lora), whose pretrained weights stay as they are.
        augment: The augmentations of slots (zoo.registry.augmentations).
        views: Frozen slots of pictures may be augmented too (``features.views``).
        options: Flat keys ``encoder.<slot>.<option>``, ``augment.<slot>.<name>.<option>``, ``fusion.<option>``,
            ``head.<option>``, ``loss.<name>.<option>``, ``post.<name>.<option>``.

    Returns:
        The plan.

    Raises:
        UserError: Something does not fit.
    """
    slots = parse_slots(encoders)
    fused = registry.get("fusions", fusion)
    given = _Options(options or {}, [slot.name for slot in slots])
    tuned = set(finetune)
    fusion_options, common = _checked(fused, "fusions", given.take("fusion"))
    per_slot = common["per_slot"]
    if per_slot < 0:
        raise UserError("per-slot-weight", fusion=fusion, per_slot=per_slot)
    if twice := [name for i, name in enumerate(post) if name in post[:i]]:
        raise UserError("post-twice", name=twice[0])
    adapters = plan_adapters(adapt, [slot.name for slot in slots], tuned)
    planned = tuple(
        _plan_slot(registry, slot, given.take(f"encoder.{slot.name}"), slot.name in tuned, adapters.get(slot.name))
        for slot in slots
    )
    plan = Plan(
        slots=planned,
        fusion=Block(fused, fusion_options),
        head=_block(registry, "heads", head, given.take("head")),
        losses=_losses(registry, answers, losses, given),
        post=tuple(_block(registry, "postprocessors", name, given.take(f"post.{name}")) for name in post),
        answers=answers,
        per_slot=per_slot,
        augment=plan_augmentations(
            registry,
            [
                Augmentable(s.name, s.stream.kind, not s.frozen or (views and s.stream.kind == "frames"))
                for s in planned
            ],
            augment,
            given.take,
        ),
    )
    if per_slot == 0 and not fused.per_slot and any(b.spec.per_slot for b in plan.post):
        names = ", ".join(b.spec.name for b in plan.post if b.spec.per_slot)
        raise UserError("per-slot-needed", names=names, fusion=fusion)
    _check_own_classes(plan)
    if unknown := tuned - {slot.name for slot in slots}:
        raise UserError("finetune-unknown-slot", names=", ".join(sorted(unknown)), encoders=encoders)
    given.refuse_rest()
    return plan


def _check_own_classes(plan: Plan) -> None:
    """Raise UserError if a post-processor needs class scores that no frozen encoder of the plan gives."""
    for block in plan.post:
        answers = [a.name for a in plan.answers if a.kind == "class" and a.kind in block.spec.kinds]
        if not block.spec.own_classes or not answers:
            continue
        found = own_classes(plan.slots, plan.answers)
        slots = [s.name for s in plan.slots if {own.answer for own in found if own.slot == s.name} >= set(answers)]
        wanted = block.options.get("slot")
        if not slots or (wanted is not None and wanted not in slots):
            asked = f"; it asks for {wanted!r}" if wanted is not None else ""
            some = ", ".join(slots) or "none"
            raise UserError(
                "own-classes-none", name=block.spec.name, asked=asked, answers=", ".join(answers), some=some
            )


def named_encoders(registry: Registry, encoders: str) -> str:
    """Add the encoder to every slot that does not name one.

    It is the stream's default encoder, which a bare stream also means in an older config.toml or record. A stream that
    is not registered is left as it is.

    Example:
        ``face,audio=egemaps`` -> ``face=lite0,audio=egemaps``
    """
    return ",".join(str(_named(registry, slot)) for slot in parse_slots(encoders))


def _named(registry: Registry, slot: Slot) -> Slot:
    if slot.encoder is not None or slot.stream not in registry.names("streams"):
        return slot
    stream: StreamSpec = registry.get("streams", slot.stream)
    return replace(slot, encoder=stream.default_encoder)


class _Options:
    """Flat option keys, handed out by prefix. A key that nothing takes is a mistake."""

    def __init__(self, flat: Mapping[str, Any], slots: Sequence[str]) -> None:
        self.rest = dict(flat)
        self.slots = sorted(slots, key=len, reverse=True)

    def take(self, prefix: str) -> dict[str, Any]:
        keys = [k for k in self.rest if k.rpartition(".")[0] == prefix]
        return {k.rpartition(".")[2]: self.rest.pop(k) for k in keys}

    def refuse_rest(self) -> None:
        for key in self.rest:
            raise UserError("set-without-block", key=key, names=", ".join(sorted(self.slots)))


def _plan_slot(registry: Registry, slot: Slot, given: dict[str, Any], finetune: bool, lora: Lora | None) -> SlotPlan:
    stream = registry.get("streams", slot.stream)
    spec = _encoder(registry, slot, slot.encoder or stream.default_encoder)
    assert isinstance(spec, EncoderSpec)
    assert isinstance(stream, StreamSpec)
    if spec.streams and stream.name not in spec.streams:
        raise UserError("encoder-stream", name=spec.name, name2=stream.name, names=", ".join(spec.streams))
    if spec.reader is None and stream.kind not in spec.kinds:
        kinds = " or ".join(spec.kinds)
        raise UserError("encoder-reads", name=spec.name, kind=kinds, name2=stream.name, kind2=stream.kind)
    _check_argument(spec, slot)
    options, common = _checked(spec, "encoders", given)
    if spec.reader is not None:
        reader = partial(resolve(spec.reader), argument=slot.argument, **options)
        stream = replace(stream, kind=spec.kinds[0], needs=(), reader=reader)
    passport = _passport(spec, slot, stream, options, common) if common["pretrained"] else None
    if passport is not None:
        check_fixed(spec, {name: options[name] for name in given if name in options}, passport)
    if spec.passport is not None and passport is None and common["pretrained"]:
        raise UserError("weights-none-known", name=slot.name, name2=spec.name, argument=slot.argument)
    if spec.fixed and finetune:
        raise UserError("finetune-nothing", name=slot.name, name2=spec.name)
    if lora is not None and (spec.fixed or passport is None):
        why = "has no trainable layers" if spec.fixed else "has no pretrained weights, so all of it is trained"
        raise UserError("adapt-not-pretrained", name=slot.name, name2=spec.name, why=why)
    frozen = spec.fixed or (passport is not None and not finetune and lora is None)
    plan = SlotPlan(slot, stream, spec, options, passport, frozen, bool(common["scores"]), lora)
    if plan.scores and plan.own_scores is None:
        raise UserError("scores-none", name=slot.name, name2=spec.name)
    return plan


def _encoder(registry: Registry, slot: Slot, name: str) -> Spec:
    """Return the encoder of a name; raise UserError with the right notation if the name is an encoder's argument."""
    if name not in registry.names("encoders"):
        specs = [entry.spec for entry in registry.entries("encoders")]
        owners = [s.name for s in specs if isinstance(s, EncoderSpec) and _knows(s, slot.stream, name)]
        if owners:
            ways = " or ".join(f"{slot.name}={owner}:{name}" for owner in owners)
            raise UserError("encoder-is-argument", name=slot.name, encoder=name, owners=" and ".join(owners), ways=ways)
    spec: Spec = registry.get("encoders", name)
    return spec


def _knows(spec: EncoderSpec, stream: str, argument: str) -> bool:
    """Return True if an encoder has a network of that name: it lists the name, or has a model card for it."""
    if spec.streams and stream not in spec.streams:
        return False
    if spec.names or spec.passport is None or not spec.argument:
        return argument in spec.names
    try:
        card = resolve(spec.passport)(stream, argument)
    except Exception:  # a plugin may raise anything for a name that it does not know
        return False
    return card is not None and card.url is not None


def _check_argument(spec: EncoderSpec, slot: Slot) -> None:
    if slot.argument is not None and not spec.argument:
        raise UserError("encoder-no-argument", name=slot.name, name2=spec.name, argument=slot.argument)
    if spec.names and slot.argument not in spec.names:
        near = did_you_mean(slot.argument or "", spec.names)
        what = f"has no {slot.argument!r}" if slot.argument else "needs an argument"
        raise UserError(
            "encoder-argument", name=slot.name, name2=spec.name, what=what, near=near, names=", ".join(spec.names)
        )


def all_options(spec: Spec, kind: str) -> dict[str, Option]:
    """Return a block's own options and those of every block of its kind."""
    common = common_options(spec) if isinstance(spec, AugmentationSpec) else COMMON.get(kind, {})
    return {**spec.options, **{k: o for k, o in common.items() if k not in spec.options}}


def _checked(spec: Spec, kind: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the values of a block's own options and those of its kind's options."""
    values = check_options(replace(spec, options=all_options(spec, kind)), given)
    return {k: v for k, v in values.items() if k in spec.options}, {k: values[k] for k in COMMON[kind]}


def _passport(
    spec: EncoderSpec, slot: Slot, stream: StreamSpec, options: Mapping[str, Any], common: Mapping[str, Any]
) -> ModelCard | None:
    if spec.passport is None:
        if common.get("weights"):
            raise UserError("weights-no-pretrained-form", name=slot.name, name2=spec.name)
        return None
    usual: ModelCard | None = resolve(spec.passport)(stream.name, slot.argument, **options)
    if not common.get("weights"):
        return usual if usual and usual.has_place else None
    file = str(common["weights"])
    return ModelCard(
        name=file.rsplit("/", 1)[-1],
        sha256=common.get("sha256"),
        license="as the file's owner says",
        source="a local file",
        path=file,
        adapt=usual.adapt if usual else None,
    )


def _block(registry: Registry, kind: str, name: str, given: dict[str, Any]) -> Block[Any]:
    spec = registry.get(kind, name)
    return Block(spec, check_options(spec, given))


def _losses(
    registry: Registry, answers: tuple[Answer, ...], names: Sequence[str], given: _Options
) -> dict[str, Block[LossSpec]]:
    """Return the loss of each kind of answer: a named one that is for the kind, else the kind's default."""
    chosen: dict[str, Block[LossSpec]] = {}
    named = [registry.get("losses", name) for name in names]
    every = [entry.spec for entry in registry.entries("losses")]
    for kind in dict.fromkeys(answer.kind for answer in answers):
        specs = [s for s in named if kind in s.kinds] or [s for s in every if kind in s.kinds and s.default]
        if not specs:
            raise UserError("loss-missing", kind=kind)
        spec = specs[0]
        assert isinstance(spec, LossSpec)
        same = [block for block in chosen.values() if block.spec.name == spec.name]
        chosen[kind] = same[0] if same else Block(spec, check_options(spec, given.take(f"loss.{spec.name}")))
    for spec in named:
        if spec.name not in {block.spec.name for block in chosen.values()}:
            raise UserError("loss-kind", name=spec.name, names=" or ".join(spec.kinds))
    return chosen


__all__ = ["Block", "Plan", "SlotPlan", "all_options", "make_plan", "named_encoders"]
