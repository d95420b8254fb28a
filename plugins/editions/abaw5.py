"""ABAW5, CVPR 2023: valence-arousal, eight expressions, twelve action units (one file per track); reactions."""

from __future__ import annotations

from plugins.editions import _affwild2 as on
from plugins.editions import _companions as companions
from zoo.api import EditionSpec

_TEAMS = ("github khanhnd185/ABAW5 test.py", "github upczww/abaw5", "github sucv/ABAW3 generate_result.py")
_UNCONFIRMED = (
    "metric (that of edition 3 and of later sites)",
    "videos of train and val (those of edition 10)",
    "rules (those of edition 6)",
    "way of submission",
    "5 submissions (one team's)",
)

EDITION = EditionSpec(
    name="abaw5",
    venue="CVPR 2023",
    year=2023,
    tracks=(
        *on.keyed(*_TEAMS, limit=5, unconfirmed=_UNCONFIRMED),
        companions.ERI,
    ),
    paper="arXiv 2303.01498",
    summary="Aff-Wild2: valence-arousal, 8 expressions, 12 action units; Hume-Reaction: intensities of reactions.",
)
