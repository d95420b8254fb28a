"""Settings that override others: ``KEY=VALUE`` texts of ``--set``, or values by dotted key from Python."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.errors import UserError
from zoo.files import TooDeepError, is_plain, parse_toml

BLOCK_KEYS = ("encoder.", "augment.", "fusion.", "head.", "loss.", "post.")
OPTIONS = ("options.", "logger_options.")
STORABLE = (bool, int, float, str, datetime.date, datetime.time)

Overrides = Mapping[str, Any] | Sequence[str]


def read_overrides(sets: Overrides) -> dict[str, Any]:
    """Return the values by dotted key; raise UserError for a text without a key or an equals sign."""
    if isinstance(sets, Mapping):
        return dict(sets)
    settings = {}
    for text in sets:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UserError("set-invalid", got=text)
        settings[name.strip()] = parsed(value.strip())
    return settings


def parsed(text: str) -> Any:
    """Parse a text as a TOML value; return the bare string if it does not parse."""
    try:
        return parse_toml(f"x = {text}")["x"]
    except (tomllib.TOMLDecodeError, TooDeepError):
        return text


def put_all(tree: dict[str, Any], settings: Mapping[str, Any]) -> None:
    """Override a tree's values with dotted keys; set ``min_steps`` to 0 if epochs are given without it."""
    for name, value in settings.items():
        _put(tree, name, value)
    if "train.epochs" in settings and "train.min_steps" not in settings:
        _put(tree, "train.min_steps", 0)


def _put(tree: dict[str, Any], name: str, value: Any) -> None:
    if name.startswith("logger."):  # loggers do not change what is trained
        tree["logger_options"] = {**tree.get("logger_options", {}), name.removeprefix("logger."): value}
        return
    if name.startswith(BLOCK_KEYS):
        tree["options"] = {**tree.get("options", {}), name: value}
        return
    section, _, key = name.rpartition(".")
    if not section:
        tree[key] = value
    else:
        before = tree.get(section, {})
        tree[section] = {**(before if isinstance(before, dict) else {}), key: value}


def refuse_unstorable(value: Any, where: str, dotted: str = "") -> None:
    """Raise UserError for a key, text or option that config.toml and the record cannot hold unchanged."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            refuse_unstorable(str(key), where, dotted)
            refuse_unstorable(inner, where, f"{dotted}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for inner in value:
            refuse_unstorable(inner, where, dotted)
    elif isinstance(value, str) and not is_plain(value):
        raise UserError("setting-unprintable", dotted=dotted or "a key", got=ascii(value)[:80], where=where)
    elif dotted.startswith(OPTIONS) and not isinstance(value, STORABLE):  # other settings have types of their own
        key = dotted.removeprefix(OPTIONS[0])
        raise UserError("setting-not-storable", dotted=key, got=ascii(value)[:80], where=where)
