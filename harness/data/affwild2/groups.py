"""Group annotated names that show the same people in the same recording."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SIDE = re.compile(r"_(?:left|right)$")
_PART = re.compile(r"^(video\d+)_\d+$")


def without_side(name: str) -> str:
    """Return the raw video's name for an annotated name: ``6-30-1920x1080_left`` -> ``6-30-1920x1080``.

    The main person of ``10-60-1280x720``, ``video59`` and ``video2`` has no suffix and keeps the name.
    """
    return _SIDE.sub("", name)


def group_of(name: str, table: Mapping[str, str] | None = None) -> str:
    """Return the group of an annotated name. Videos of one group are never on two sides of a split or a fold.

    The first match counts: the table's entry for the name; its entry for the name without ``_left`` / ``_right``;
    for parts of a recording such as ``video45_1`` ... ``video45_7``, the recording ``video45``; the name without its
    side. ``5-60-1920x1080-3`` and ``-1`` are groups of their own, because the organisers put them on different sides
    of a split that they call disjoint in subjects.
    """
    table = table or {}
    bare = without_side(name)
    for known in (name, bare):
        if known in table:
            return table[known]
    part = _PART.match(bare)
    return part[1] if part else bare
