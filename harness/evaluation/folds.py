"""The assignment of groups of videos to folds, as even as possible. Cross-fitting and k-fold runs both use it."""

from __future__ import annotations

from collections.abc import Sequence


def folds_of(groups: Sequence[str], n: int = 5) -> dict[str, int]:
    """Return group -> fold, dealt out in the order of the names so that folds differ by one group at most."""
    return {group: i % n for i, group in enumerate(sorted(set(groups)))}
