"""Name the track that a header or list belongs to, if it is not the one asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch

from zoo.tracks import EditionSpec, TrackSpec

_ORDINAL = re.compile(r"(?<![0-9])([0-9]{1,2})(?:st|nd|rd|th)(?![a-z])|abaw[-_]?([0-9]{1,2})(?![0-9])", re.IGNORECASE)


def tracks_with(header: str, editions: Sequence[EditionSpec]) -> str:
    """Return the tracks that have a header, as ``abaw1 expr, abaw2 expr``; "" if none has."""
    fields = _fields(header)
    return _named(
        (edition, track)
        for edition, track in _all(editions)
        if any(_fields(one) == fields for one in (track.submission_header, *track.headers, *track.other_headers))
    )


def tracks_named(mark: str | int, own: TrackSpec, editions: Sequence[EditionSpec]) -> str:
    """Return the other tracks whose list has a file name or a number of rows; "" if it may be this track's list."""
    if isinstance(mark, int):
        found = [(e, t) for e, t in _all(editions) if t.figures.get("test_rows") == mark]
        return _named(found)
    named = [(e, t) for e, t in _all(editions) if any(fnmatch(mark.lower(), one.lower()) for one in t.lists)]
    return "" if any(t.name == own.name for _, t in named) else _named(named)


def other_number(name: str, edition: str) -> str:
    """Return the edition in the name of a list if it is not the one asked for; else ""."""
    asked = re.search(r"[0-9]+$", edition)
    said = {next(filter(None, match.groups())) for match in _ORDINAL.finditer(name)}
    if asked is None or len(said) != 1 or asked[0] in said:
        return ""
    return f"abaw{said.pop()}"


def _fields(header: str) -> list[str]:
    return [field.strip().lower() for field in header.strip().rstrip(", ").split(",")]


def _all(editions: Sequence[EditionSpec]) -> Iterable[tuple[EditionSpec, TrackSpec]]:
    return ((edition, track) for edition in editions for track in edition.tracks)


def _named(tracks: Iterable[tuple[EditionSpec, TrackSpec]]) -> str:
    return ", ".join(f"{edition.name} {track.name}" for edition, track in tracks)
