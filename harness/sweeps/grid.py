"""Grammar of a sweep: lists of encoders, fusions and heads -> combinations. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from harness.config.overrides import Overrides
from harness.config.schema import RunConfig, load_usual
from zoo.errors import UserError


def grid(encoders: str | None, fusions: str | None, heads: str | None) -> list[dict[str, str]]:
    """Return every combination as flags of ``harness run``; the heads vary fastest.

    ``encoders``: lists of slots, separated by semicolons. An argument that is None is left to the recipe.
    """
    lists = {
        "encoders": _parts(encoders, ";", "--encoders"),
        "fusion": _parts(fusions, ",", "--fusion"),
        "head": _parts(heads, ",", "--head"),
    }
    given = {name: parts for name, parts in lists.items() if parts}
    return [dict(zip(given, values, strict=True)) for values in product(*given.values())]


def _parts(text: str | None, separator: str, option: str) -> list[str]:
    """Return the parts of a list without duplicates, in the given order."""
    if text is None:
        return []
    parts = [part.strip() for part in text.split(separator)]
    if not all(parts):
        example = "face;face,context" if separator == ";" else "late,concat"
        raise UserError("grid-empty-item", option=option, text=text, separator=separator, example=example)
    return list(dict.fromkeys(parts))


def configurations(
    recipe: str | None,
    flags: Mapping[str, Any],
    sets: Overrides,
    combinations: Sequence[Mapping[str, str]],
) -> list[RunConfig]:
    """Return the settings of every combination: those of ``harness run`` with its encoders, fusion and head."""
    return [load_usual(recipe, {**flags, **combination}, sets) for combination in combinations]
