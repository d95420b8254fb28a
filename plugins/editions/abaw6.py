"""ABAW6, CVPR 2024: the three tracks on Aff-Wild2, compound expressions, emotional mimicry."""

from __future__ import annotations

from plugins.editions import _affwild2 as on
from plugins.editions import _companions as companions
from plugins.editions._sites import site, with_sources
from zoo.api import EditionSpec

_TEAMS = (
    "github DresvyanskiyDenis/ABAW_2024",
    "github namho-96/ABAW2024 prediction.py",
    "github upczww/abaw6 abaw6.pdf",
)

EDITION = EditionSpec(
    name="abaw6",
    venue="CVPR 2024",
    year=2024,
    tracks=(
        *on.keyed(site(6), *_TEAMS, limit=5, unconfirmed=("5 submissions (one team's)",)),
        with_sources(companions.CE, site(6)),
        with_sources(companions.EMI, site(6)),
    ),
    paper="arXiv 2402.19344",
    summary="Aff-Wild2: valence-arousal, 8 expressions, 12 action units; compound expressions; emotional mimicry.",
)
