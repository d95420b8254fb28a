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


def shown_parts(parts: Mapping[str, float], score: float) -> dict[str, float]:
    """Return the parts of a score that are shown: numbers, and not the score itself under the name of its metric."""
    return {n: value for n, value in parts.items() if is_shown(n) and math.isfinite(value) and value != score}


def parts_text(parts: Mapping[str, float], score: float) -> str:
    """Return the shown parts for the end of a line: `` (ccc_valence 0.512, ...)``; empty without any."""
    shown = ", ".join(f"{name} {value:.3f}" for name, value in shown_parts(parts, score).items())
    return f" ({shown})" if shown else ""
