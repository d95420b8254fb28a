"""ABAW5, CVPR 2023: valence-arousal, eight expressions, twelve action units, one file a track; emotional reactions."""

from __future__ import annotations

from plugins.editions import _affwild2 as on
from plugins.editions import _companions as companions
from zoo.api import EditionSpec

EDITION = EditionSpec(
    name="abaw5",
    venue="CVPR 2023",
    year=2023,
    tracks=(
        *on.keyed("github khanhnd185/ABAW5 test.py", limit=5, unconfirmed="5 submissions (one team's)"),
        companions.ERI,
    ),
    paper="arXiv 2303.01498",
    summary="Aff-Wild2: valence-arousal, 8 expressions, 12 action units; Hume-Reaction: intensities of reactions.",
)
