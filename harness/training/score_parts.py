"""The parts of a score that are shown over the epochs, alike on a page, in a terminal and in a log."""

from __future__ import annotations

import math
from collections.abc import Mapping

CLASS_F1 = "f1_"
"""Prefixes of the F1 of a class or unit. They are too many for a line and have a chart of their own on a page."""


def is_part(name: str) -> bool:
    """Return whether a figure is a part of the score: not a count, and not a correlation next to the concordance."""
    return not name.startswith(("frames", "pearson", "mean_pearson"))


def is_shown(name: str) -> bool:
    """Return whether a figure is shown among the parts, without the F1 of each class and unit."""
    return is_part(name) and not name.startswith(CLASS_F1)


def shown_parts(parts: Mapping[str, float]) -> dict[str, float]:
    """Return the parts that are shown, those that are numbers."""
    return {name: value for name, value in parts.items() if is_shown(name) and math.isfinite(value)}


def parts_text(parts: Mapping[str, float]) -> str:
    """Return the shown parts for the end of a line: `` (ccc_valence 0.512, ...)``; empty without any."""
    shown = ", ".join(f"{name} {value:.3f}" for name, value in shown_parts(parts).items())
    return f" ({shown})" if shown else ""
