"""Detect video names that seem to contain a person's id, for videos that are not grouped by person yet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

FEWEST = 6  # minimum number of names; with fewer, a pattern may be chance
REPEATED = 3  # minimum mean number of videos per value: an id that occurs once groups nothing
_AFFWILD2 = re.compile(r"\d+-\d+-\d+x\d+|video\d+", re.IGNORECASE)
_ID = re.compile(r"[A-Za-z]{1,8}\d{1,4}[A-Za-z]?|[A-Z]{1,4}")
_NUMBER = re.compile(r"\d{1,4}")
CODED = 4  # names with this many parts use plain numbers as codes (03-01-06-01-02-01-12), not to count takes
_SHOWN = 3


def speaker_note(names: Iterable[str]) -> str:
    """Return a note if names share a part that looks like a person's id, such as ``F01`` in ``F01_007``; else "".

    ``names``: those that are each a group of their own. Aff-Wild2's own names are left out: their people are known.
    Letters with a number are preferred; plain numbers count only in names of many parts. Of several such parts the one
    with the most values is named, because there are usually more people than emotions.
    """
    foreign = [name for name in names if not _AFFWILD2.match(name)]
    if len(foreign) < FEWEST:
        return ""
    parts = [re.split(r"[-_. ]+", name) for name in foreign]
    coded = min(map(len, parts)) >= CODED
    values = max(_candidates(parts, _ID) or (_candidates(parts, _NUMBER) if coded else []), key=len, default=[])
    if not values:
        return ""
    some = ", ".join(values[:_SHOWN]) + (", ..." if len(values) > _SHOWN else "")
    return (
        f"{len(foreign)} videos count as that many groups, but a part of their names looks like a person's id "
        f"({len(values)} values: {some}); if it is one, put it into groups.csv (video,group), or people may be on both "
        "sides of a split and intervals are too narrow"
    )


def _candidates(parts: Sequence[Sequence[str]], like: re.Pattern[str]) -> list[list[str]]:
    """Return the different values of each name part that all names have, whose values repeat and match ``like``."""
    found = []
    for place in range(min(map(len, parts))):
        values = sorted({name[place] for name in parts})
        few = 2 <= len(values) <= len(parts) / REPEATED
        if few and len(min(parts, key=len)) > 1 and all(like.fullmatch(value) for value in values):
            found.append(values)
    return found
