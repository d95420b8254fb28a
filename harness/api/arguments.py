"""Arguments of the Python API: one name or several, and paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

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
