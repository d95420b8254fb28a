"""Options of a block: fill in defaults, convert text to values, report mistakes. No heavy imports."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.api import ModelCard, Option, Spec
from zoo.errors import UserError
from zoo.registry.suggestions import did_you_mean

_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    tuple: "values separated by commas",
}

# --set parses 50 as a number before the option's type is known, so a whole number may be meant as text.
_READABLE = ((str, int), (str, float), (int, float), (int, str))


def check_options(spec: Spec, given: Mapping[str, Any], *, also: Sequence[str] = ()) -> dict[str, Any]:
    """Return all options of a block, in the order of its spec: ``given`` values over the defaults.

    Values may be text (from the command line) or already of their kind (from a recipe). If the default is None, None
    and the text ``none`` are allowed. ``also``: options that the caller takes itself, for the message.

    Raises:
        UserError: An option is unknown, or a value is not of the option's kind or not among its choices.
    """
    given = _renamed(spec, given)
    block = f"{type(spec).__name__.removesuffix('Spec').lower()} {spec.name!r}"
    for name in given:
        if name not in spec.options:
            names = [*spec.options, *also]
            known = ", ".join(names) or "none"
            near = did_you_mean(name, names)
            raise UserError("option-unknown", block=block, name=name, near=near, known=known)
    return {
        name: _checked(option, given[name], f"option {name!r} of {block}") if name in given else option.default
        for name, option in spec.options.items()
    }


def _renamed(spec: Spec, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the given options under their present names; warn about older ones."""
    present = {old: name for name, option in spec.options.items() for old in option.formerly}
    for old in given.keys() & present.keys():
        warnings.warn(f"option {old!r} of {spec.name!r} is now called {present[old]!r}", stacklevel=3)
    return {present.get(name, name): value for name, value in given.items()}


def _checked(option: Option, value: Any, what: str) -> Any:
    if option.default is None and (value is None or value == "none"):
        return None
    try:
        result = _coerce(option, value)
    except ValueError:
        kind = _WORDS.get(option.kind, f"a {option.kind.__name__}")
        raise UserError("option-type", what=what, kind=kind, value=value, default=option.default) from None
    if option.choices and result not in option.choices:
        choices = ", ".join(map(str, option.choices))
        near = did_you_mean(str(result), map(str, option.choices))
        raise UserError("option-choice", what=what, value=value, near=near, choices=choices)
    return result


def _coerce(option: Option, value: Any) -> Any:
    if option.kind is not tuple:
        return _scalar(option.kind, value)
    items = value.split(",") if isinstance(value, str) and value else value or ()
    if not isinstance(items, list | tuple):
        raise ValueError
    element = type(option.default[0]) if option.default else str
    return tuple(_scalar(element, item.strip() if isinstance(item, str) else item) for item in items)


def _scalar(kind: type, value: Any) -> Any:
    """Return the value as ``kind``; raise ValueError if it cannot be converted."""
    if isinstance(value, str) and kind is bool:
        value = {"true": True, "false": False}.get(value.lower())
    elif (type(value), kind) in _READABLE:
        value = kind(value)
    bool_for_number = isinstance(value, bool) and kind is not bool
    if not isinstance(value, kind) or bool_for_number or value != value:  # no option may be NaN
        raise ValueError
    return value


def check_fixed(spec: Spec, given: Mapping[str, Any], card: ModelCard) -> None:
    """Raise UserError if a given option contradicts what a file of weights states. Defaults are not given."""
    file = card.path or card.name
    for name in sorted(card.fixed.keys() & given.keys()):
        if given[name] != (said := card.fixed[name]):
            raise UserError("option-fixed", name=name, encoder=spec.name, value=given[name], file=file, said=said)
