"""Names of videos that look as if a part of them were a person's id, where nobody has said who is who."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

FEWEST = 6  # names below which a pattern may be chance
REPEATED = 3  # videos a value must have on average: an id that is seen once groups nothing
_AFFWILD2 = re.compile(r"\d+-\d+-\d+x\d+|video\d+", re.IGNORECASE)
_ID = re.compile(r"[A-Za-z]{1,8}\d{1,4}[A-Za-z]?|[A-Z]{1,4}")
_NUMBER = re.compile(r"\d{1,4}")
CODED = 4  # parts from which on bare numbers are codes, as in 03-01-06-01-02-01-12, and not the count of a take
_SHOWN = 3


def speaker_note(names: Iterable[str]) -> str:
    """Return a note on names, each a group of its own, that share a part like an id, such as ``F01`` in ``F01_007``;
    empty where there is none. The organisers' own names of Aff-Wild2 are left out: who is who there is known.

    Letters with a number come first, bare numbers count in names of many parts; of several such parts the one with the
    most values is named: there are more people than emotions, mostly.
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
        f"({len(values)} values: {some}); if it is one, say so in groups.csv (video,group), or people stand on both "
        "sides of a split and intervals come out too short"
    )


def _candidates(parts: Sequence[Sequence[str]], like: re.Pattern[str]) -> list[list[str]]:
    """The different values at every place that all names have and where they repeat."""
    found = []
    for place in range(min(map(len, parts))):
        values = sorted({name[place] for name in parts})
        few = 2 <= len(values) <= len(parts) / REPEATED
        if few and len(min(parts, key=len)) > 1 and all(like.fullmatch(value) for value in values):
            found.append(values)
    return found
