"""ABAW10, CVPR 2026: the three tracks on Aff-Wild2, violence, emotional mimicry, ambivalence in videos."""

from __future__ import annotations

from dataclasses import replace

from plugins.editions import _affwild2 as on
from plugins.editions import _companions as companions
from plugins.editions._sites import POSTERS10, site, with_sources
from zoo.api import EditionSpec

_TEAMS = (
    "github Byeooon/cvpr_abaw_10th txt.py",
    "github ora942878/ABAW_10_EXPR",
    "github byeongjin1/abaw10th_imlab-va-",
)

EDITION = EditionSpec(
    name="abaw10",
    venue="CVPR 2026",
    year=2026,
    tracks=(
        *on.keyed(site(10), POSTERS10, *_TEAMS, limit=5, unconfirmed=("5 submissions (second-hand)",)),
        with_sources(companions.VD, site(10)),
        with_sources(
            replace(
                companions.EMI,
                unconfirmed=("form and counts (presumed those of editions 6 and 8)", *companions.EMI.unconfirmed),
            ),
            site(10),
            "github ZZZRamsey/CVPR_2026_ABAW_10th_EMI",
        ),
        with_sources(companions.AH_VIDEOS, site(10), "github sbelharbi/sbelharbi.github.io otherdocs"),
    ),
    paper="arXiv 2605.27451",
    summary="Aff-Wild2: valence-arousal, 8 expressions, 12 action units; violence; mimicry; ambivalence in videos.",
)
