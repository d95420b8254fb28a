"""Arguments of the Python API: one name or several, and paths."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import UserError

PathLike = str | Path
Names = str | Sequence[str]
"""One name, several names as a list, or several in one text as on the command line."""


def joined(names: Names, separator: str = ",") -> str:
    """Return names as one text, as the command line takes it."""
    return names if isinstance(names, str) else separator.join(map(str, names))


def paths(given: PathLike | Sequence[PathLike]) -> list[Path]:
    """Return one path or several as a list."""
    several = [given] if isinstance(given, str | os.PathLike) else given
    return [Path(path).expanduser() for path in several]


def settings_of(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return settings by key; raise UserError for anything but a mapping whose keys are texts."""
    if given is not None and not (isinstance(given, Mapping) and all(isinstance(key, str) for key in given)):
        raise UserError("settings-no-mapping", got=ascii(given)[:80])
    return dict(given or {})
