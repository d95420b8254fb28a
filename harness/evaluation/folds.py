"""The rule of folds: groups of videos, dealt out as evenly as can be. Cross-fitting and k-fold runs use this one."""

from __future__ import annotations

from collections.abc import Sequence


def folds_of(groups: Sequence[str], n: int = 5) -> dict[str, int]:
    """Group -> fold, by the order of the names, as even as can be."""
    return {group: i % n for i, group in enumerate(sorted(set(groups)))}
