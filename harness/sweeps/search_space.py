"""Search spaces: ranges and lists of values of settings. Imports nothing heavy.

The usual space, without settings that ``--set`` gives or that a combination does not use:

    train.lr               1e-4 to 1e-2, logarithmic
    train.encoder_lr       1e-6 to 1e-3, logarithmic    with --finetune
    train.weight_decay     1e-4 to 1e-1, logarithmic
    train.output_dropout   0 to 0.5
    train.clip             32, 64, 128, 256
    train.stride           1, 2, 4
    train.batch            8, 16, 32
    project.dropout        0 to 0.6            with a frozen slot
    project.width          32, 64, 128, 256    with a frozen slot
    head.hidden            32, 64, 128, 256, 512    if the head has it
    head.layers            1, 2, 3                  if the head has it

The combination's own value is always part, so that the first trial can have it: a range reaches to it, and is not
logarithmic if it is 0. Clips shorter than a stride, and strides longer than a clip, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import BaseModel

from harness.config.overrides import BLOCK_KEYS, parsed
from harness.config.schema import RunConfig, known_keys, with_settings
from zoo.api import Spec
from zoo.errors import UserError
from zoo.registry.plan import Plan, all_options

WANTED = "give KEY=LOW:HIGH, KEY=LOW:HIGH:log or KEY=A,B,..., such as train.lr=1e-4:1e-2:log"


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high`` inclusive; ``whole``: integers only; ``log``: sampled on a logarithmic scale."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        """Its lowest and highest value."""
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)

    def __contains__(self, value: Any) -> bool:
        return type(value) in (int, float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One value out of a list."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """All of its values."""
        return self.values

    def __contains__(self, value: Any) -> bool:
        return value in self.values


Space = dict[str, Range | Choice]

USUAL: Space = {
    "train.lr": Range(1e-4, 1e-2, log=True),
    "train.encoder_lr": Range(1e-6, 1e-3, log=True),
    "train.weight_decay": Range(1e-4, 1e-1, log=True),
    "train.output_dropout": Range(0.0, 0.5),
    "train.clip": Choice((32, 64, 128, 256)),
    "train.stride": Choice((1, 2, 4)),
    "train.batch": Choice((8, 16, 32)),
    "project.dropout": Range(0.0, 0.6),
    "project.width": Choice((32, 64, 128, 256)),
    "head.hidden": Choice((32, 64, 128, 256, 512)),
    "head.layers": Choice((1, 2, 3)),
}


def parse_space(texts: Iterable[str]) -> Space:
    """Parse ``KEY=LOW:HIGH[:log]`` and ``KEY=A,B,...``; raise UserError if a text is neither."""
    found: Space = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not key or not equals or not value:
            raise UserError("space-invalid", got=text, wanted=WANTED)
        if ":" in value:
            found[key] = _range(text, value.split(":"))
            continue
        values = tuple(dict.fromkeys(parsed(part.strip()) for part in value.split(",") if part.strip()))
        if len(values) < 2:
            raise UserError("space-one-value", got=text, wanted=WANTED)
        found[key] = Choice(values)
    return found


def _range(text: str, parts: Sequence[str]) -> Range:
    try:
        low, high = float(parts[0]), float(parts[1])
    except ValueError:
        raise UserError("space-invalid", got=text, wanted=WANTED) from None
    log = len(parts) == 3 and parts[2].strip() == "log"
    if len(parts) > 3 or (len(parts) == 3 and not log) or not (math.isfinite(low) and math.isfinite(high)):
        raise UserError("space-invalid", got=text, wanted=WANTED)
    if low >= high or (log and low <= 0):
        raise UserError("space-order", got=text, which="over 0 and " if log else "")
    return Range(low, high, log)


def space_of(config: RunConfig, plan: Plan, given: Space, fixed: Iterable[str]) -> Space:
    """Return the space of one combination.

    It is the usual space without ``fixed`` keys, with those of the user's keys that the combination has.
    """
    types = setting_types(plan)
    space: Space = {}
    for key, kind in {**_usual(config, plan, given, fixed), **given}.items():
        if key not in types:
            _refuse_unknown(key)
            continue
        if types[key] is int and isinstance(kind, Range):
            if not all(end.is_integer() for end in map(float, kind.ends)):
                raise UserError("space-whole-number", key=key, low=kind.low, high=kind.high)
            kind = Range(kind.low, kind.high, kind.log, whole=True)
        for end in kind.ends:
            with_settings(config, {key: end}, f"--space {key}")
        space[key] = kind
    if not space:
        raise UserError("search-nothing-left")
    furthest: dict[str, Callable[..., Any]] = {"train.stride": max, "train.clip": min}
    with_settings(config, {key: end(space[key].ends) for key, end in furthest.items() if key in space}, "--space")
    return space


def _usual(config: RunConfig, plan: Plan, given: Space, fixed: Iterable[str]) -> Space:
    """Return the usual space as far as the combination has its settings, without ``given`` and ``fixed`` keys."""
    usual = {key: kind for key, kind in USUAL.items() if key not in {*fixed, *given}}
    if not any(slot.frozen for slot in plan.slots):
        usual = {key: kind for key, kind in usual.items() if not key.startswith("project.")}
    if not any(slot.passport is not None and not slot.frozen for slot in plan.slots):
        usual.pop("train.encoder_lr", None)
    if config.train.fps:
        usual.pop("train.stride", None)
    types = setting_types(plan)
    usual = {key: _with(kind, current(config, plan, key)) for key, kind in usual.items() if key in types}
    longest = max(*given.get("train.stride", Choice((config.train.stride,))).ends, *config.tta.strides, 1)
    _keep(usual, "train.clip", lambda clip: clip >= longest)
    shortest = min({**given, **usual}.get("train.clip", Choice((config.train.clip,))).ends)
    _keep(usual, "train.stride", lambda stride: stride <= shortest)
    return usual


def _keep(space: Space, key: str, fits: Callable[[Any], bool]) -> None:
    """Keep the values of a list that fit; leave out the key if fewer than two do."""
    if key in space:
        values = tuple(value for value in space.pop(key).ends if fits(value))
        space |= {key: Choice(values)} if len(values) > 1 else {}


def _refuse_unknown(key: str) -> None:
    """Raise UserError for a key that no combination can have, whatever its blocks are."""
    if key in known_keys() or key.startswith("post."):  # a trial is scored without post-processing
        raise UserError("space-not-searched", key=key)
    if not key.startswith(BLOCK_KEYS):
        raise UserError("space-unknown-setting", key=key)


def _with(kind: Range | Choice, own: Any) -> Range | Choice:
    """Return a list of values with the combination's own one in its order; a range that reaches to it."""
    if own is None or own in kind:
        return kind
    if isinstance(kind, Choice):
        return Choice(tuple(sorted((*kind.values, own))))
    low, high = min(kind.low, own), max(kind.high, own)
    return replace(kind, low=low, high=high, log=kind.log and low > 0)


def setting_types(plan: Plan) -> dict[str, type]:
    """Return every setting that a search may choose, with its type.

    These are sections of the configuration and options of the blocks in use.
    """
    found: dict[str, type] = {}
    for section in ("train", "project"):
        model = RunConfig.model_fields[section].annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        for name, field in model.model_fields.items():
            found[f"{section}.{name}"] = field.annotation if isinstance(field.annotation, type) else str
    blocks: list[tuple[str, Spec, str]] = [(f"encoder.{slot.name}", slot.encoder, "encoders") for slot in plan.slots]
    blocks += [("fusion", plan.fusion.spec, "fusions"), ("head", plan.head.spec, "heads")]
    blocks += [(f"loss.{block.spec.name}", block.spec, "losses") for block in plan.losses.values()]
    blocks += [
        (f"augment.{slot}.{block.spec.name}", block.spec, "augmentations")
        for slot, chain in plan.augment.items()
        for block in chain
    ]
    for prefix, spec, kind in blocks:
        found |= {f"{prefix}.{name}": option.kind for name, option in all_options(spec, kind).items()}
    return found


def current(config: RunConfig, plan: Plan, key: str) -> Any:
    """Return a setting's current value in the configuration."""
    if not key.startswith(BLOCK_KEYS):
        section, _, name = key.partition(".")
        value = getattr(getattr(config, section), name)
        return config.train.lr if key == "train.encoder_lr" and value is None else value
    prefix, _, name = key.rpartition(".")
    options: Mapping[str, Any] = {}
    if prefix == "fusion":
        options = {"per_slot": plan.per_slot, **plan.fusion.options}
    elif prefix == "head":
        options = plan.head.options
    elif prefix.startswith("loss."):
        options = next(b.options for b in plan.losses.values() if f"loss.{b.spec.name}" == prefix)
    elif prefix.startswith("augment."):
        slot, _, block = prefix.removeprefix("augment.").rpartition(".")
        drawn = next(one for one in plan.augment[slot] if one.spec.name == block)
        options = {"p": drawn.p, "per_frame": drawn.per_frame, **drawn.options}
    else:
        options = next(slot.options for slot in plan.slots if f"encoder.{slot.name}" == prefix)
    return options.get(name)


def plain(space: Space) -> dict[str, Any]:
    """Return the space as plain values."""
    return {key: asdict(kind) for key, kind in sorted(space.items())}
