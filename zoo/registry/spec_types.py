"""The types of a spec's fields, checked when a plugin registers it. No heavy imports."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from zoo.specs import Option
from zoo.tracks import Answer, TrackSpec

_INSIDE = (Option, TrackSpec, Answer)
_hints = cache(get_type_hints)


def misfit(spec: Any, kind: type) -> str | None:
    """Return what is wrong with the first field that is not as ``kind``, a dataclass, declares it, or None."""
    for name, hint in _hints(kind).items():
        value = getattr(spec, name)
        if not _fits(value, hint):
            return f"{name} must be {_words(hint)}, got {value!r:.80}"
        for place, inner in _items(value):
            nested = next((each for each in _INSIDE if isinstance(inner, each)), None)
            if nested and (fault := misfit(inner, nested)):
                return f"{name}[{place!r}].{fault}"
    return None


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, tuple):
        yield from enumerate(value)


def _fits(value: Any, hint: Any) -> bool:
    """Return True if a value is of an annotated type; a whole number is a number, True and False are none."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return isinstance(value, str) and value in parts
    if origin is tuple:
        kinds = parts[:1] * len(value) if isinstance(value, tuple) and parts[-1] is ... else parts
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_fits, value, kinds))
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_fits(k, parts[0]) and _fits(v, parts[1]) for k, v in value.items())
    if origin is Callable:
        return callable(value)
    if hint in (int, float):
        return isinstance(value, int if hint is int else (int, float)) and not isinstance(value, bool)
    return isinstance(value, hint)


def _words(hint: Any) -> str:
    """Return an annotated type as a plugin writes it."""
    return (
        hint.__name__
        if isinstance(hint, type) and not get_args(hint)
        else re.sub(r"\b(?:\w+\.)+(?=\w)", "", repr(hint))
    )
