"""Find the table of names and tensors in a weight file, wherever its program put it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.weights import averaged
from zoo.weights.pickled_values import Array, Stored
from zoo.weights.torch_files import Content

NAMES = ("state_dict", "model", "model_state_dict", "model_state", "net", "network", "params")
"""Keys under which files keep the table, in order of preference; all others are searched after them."""
DEPTH = 4
_OTHER = re.compile(r"optim|sched|scaler|rng|random|criterion|loss|buffer_config|hyper|^args$|^config", re.IGNORECASE)

Found = tuple[str | None, Any]
"""The place of a table in a file, ``checkpoint/model``, None for the file itself; and the value there."""


def usual(content: Content) -> Found | None:
    """Return the table at one of the usual places: the file itself, or a key in NAMES."""
    for key in (None, *NAMES):
        value = content.root if key is None else _inside(content.root, key)
        if content.table(value) is not None:
            return key, value
    return None


def search(path: Path, content: Content) -> Found | None:
    """Return the table at any other place, level by level; states of optimizers and averaged weights are passed over.

    Raises:
        UserError: A level holds several tables, such as a teacher and a student.
    """
    level: list[tuple[str, Any]] = [("", content.root)]
    for _ in range(DEPTH):
        level = [(place, value) for start, whole in level for place, value in _below(start, whole)]
        tables = [(place, value) for place, value in level if content.table(value) is not None]
        if len(tables) > 1:
            places = ", ".join(place for place, _ in tables)
            raise UserError("weights-several-tables", file=path, places=places, first=tables[0][0])
        if tables:
            return tables[0]
    return None


def at(path: Path, content: Content, place: str) -> Found:
    """Return the table at a place that the user names; raise UserError if there is none."""
    value: Any = content.root
    for key in place.split("/"):
        value = dict(_children(value)).get(key)
    if content.table(value) is None:
        raise UserError("weights-no-such-table", file=path, place=place)
    return place, value


def partial(root: Any) -> tuple[dict[str, Any], list[str]] | None:
    """Return the tensors of a mapping that has other values too, and the names of the others; None without tensors."""
    if not isinstance(root, Mapping):
        return None
    tensors = {key: value for key, value in root.items() if isinstance(key, str) and isinstance(value, Stored | Array)}
    others = [str(key) for key in root if key not in tensors]
    return (tensors, others) if len(tensors) > len(others) else None


def _below(start: str, whole: Any) -> Iterator[tuple[str, Any]]:
    for key, value in _children(whole):
        if not _OTHER.search(key) and key not in averaged.KEYS:
            yield f"{start}/{key}" if start else key, value


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        yield from ((str(k), item) for k, item in enumerate(value[:100]))


def _inside(root: Any, key: str) -> Any:
    return root.get(key) if isinstance(root, Mapping) else None
