"""The options of a block: defaults filled in, text turned into values, mistakes named. Light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.api import Option, Spec
from zoo.errors import UserError
from zoo.registry.suggestions import did_you_mean

_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    tuple: "values separated by commas",
}

# --set reads 50 as a number before anybody knows what is wanted, so a whole number may be text.
_READABLE = ((str, int), (str, float), (int, float), (int, str))


def check_options(spec: Spec, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a block, in the order of its spec: ``given`` over the defaults.

    Values may be text (from the command line) or already of their kind (from a recipe). Where the default is None,
    None and the text ``none`` are admitted. Raises UserError for an unknown option, a value that is not of the
    option's kind, and one that is not among its choices.
    """
    block = f"{type(spec).__name__.removesuffix('Spec').lower()} {spec.name!r}"
    for name in given:
        if name not in spec.options:
            known = ", ".join(spec.options) or "none"
            near = did_you_mean(name, spec.options)
            raise UserError("option-unknown", block=block, name=name, near=near, known=known)
    return {
        name: _checked(option, given[name], f"option {name!r} of {block}") if name in given else option.default
        for name, option in spec.options.items()
    }


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
    """The value as ``kind``; ValueError where it is none."""
    if isinstance(value, str) and kind is bool:
        value = {"true": True, "false": False}.get(value.lower())
    elif (type(value), kind) in _READABLE:
        value = kind(value)
    bool_for_number = isinstance(value, bool) and kind is not bool
    if not isinstance(value, kind) or bool_for_number or value != value:  # NaN is no option's value
        raise ValueError
    return value
