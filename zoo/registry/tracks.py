"""Find editions and tracks by name; load the registry with a user's plugin files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from zoo.api import EditionSpec, TrackSpec
from zoo.errors import UserError
from zoo.registry.registry import Registry, load
from zoo.registry.suggestions import did_you_mean


def load_plugins(files: Sequence[str]) -> Registry:
    """Return the registry with the user's plugin files."""
    return load([Path(file) for file in files])


def all_editions(registry: Registry) -> list[EditionSpec]:
    """Return every registered edition, sorted by number."""
    return sorted((entry.spec for entry in registry.entries("editions")), key=_number)


def find_track(registry: Registry, track: str, edition: str | None) -> tuple[EditionSpec, TrackSpec]:
    """Return a track of the named edition, or of the latest edition that has it.

    Raises:
        UserError: No edition has the track, or the named one does not.
    """
    editions = all_editions(registry)
    having = [e for e in editions if any(t.name == track for t in e.tracks)]
    if not having:
        names = ", ".join(sorted({t.name for e in editions for t in e.tracks})) or "none"
        near = did_you_mean(track, names.split(", "))
        raise UserError("track-unknown", track=track, near=near, names=names, skipped=registry.skipped)
    chosen = having[-1]
    if edition is not None:
        chosen = registry.get("editions", edition)
        if chosen not in having:
            others = ", ".join(e.name for e in having)
            raise UserError("edition-without-track", edition=edition, track=track, others=others)
    return chosen, next(t for t in chosen.tracks if t.name == track)


def _number(edition: EditionSpec) -> tuple[int, str]:
    digits = re.search(r"\d+$", edition.name)
    return (int(digits.group()) if digits else 0, edition.name)
