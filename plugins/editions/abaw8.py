"""ABAW8, CVPR 2025: the three tracks on Aff-Wild2, compound expressions, emotional mimicry, ambivalence in frames."""

from __future__ import annotations

from dataclasses import replace

from plugins.editions import _affwild2 as on
from plugins.editions import _companions as companions
from plugins.editions._sites import site, with_sources
from zoo.api import EditionSpec

_TEAMS = (
    "github PRVSL/abaw-8th main.py",
    "notebook of HSEmotion, github sb-ai-lab/EmotiEffLib training_and_examples/ABAW/ABAW8/abaw8_expr.ipynb",
    "github MyGitHub-ax/8th_ABAW",
)
_PRESUMED = "form (presumed that of editions 6 and 7)"

EDITION = EditionSpec(
    name="abaw8",
    venue="CVPR 2025",
    year=2025,
    tracks=(
        *on.keyed(site(8), *_TEAMS, unconfirmed=("submissions allowed",)),
        with_sources(replace(companions.CE, unconfirmed=(_PRESUMED, *companions.CE.unconfirmed)), site(8)),
        with_sources(companions.EMI, site(8)),
        with_sources(companions.AH_FRAMES, site(8)),
    ),
    paper="CVPRW 2025, pp. 5572-5583",
    summary="Aff-Wild2: valence-arousal, 8 expressions, 12 action units; compounds; mimicry; ambivalence in frames.",
)
