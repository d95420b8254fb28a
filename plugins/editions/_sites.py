"""Sources published by the organisers: sites, posters, leaderboards."""

from __future__ import annotations

from dataclasses import replace

from zoo.api import TrackSpec


def site(edition: int) -> str:
    """Return the source text of the official site of an edition from 6 on."""
    return f"official site, github affective-behavior-analysis-in-the-wild/{edition}th index.html"


README3 = "official Aff-Wild2 ReadMe2.pdf (edition 3), github congvmit/ABAW2-BEAST documents/"
POSTERS10 = "posters of edition 10, github affective-behavior-analysis-in-the-wild/11th img/14, 21, 22"
LEADERBOARDS2 = "official leaderboards, github dkollias/ABAW2-Results"


def with_sources(track: TrackSpec, *sources: str) -> TrackSpec:
    """Return the track with ``sources`` added before its other sources."""
    return replace(track, sources=(*sources, *track.sources))
