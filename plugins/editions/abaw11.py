"""ABAW11, ECCV 2026: multi-task prediction for single images (s-Aff-Wild2), and ambivalence in videos."""

from __future__ import annotations

from dataclasses import replace

from plugins.editions import _companions as companions
from plugins.editions import _s_affwild2 as images
from plugins.editions._sites import site, with_sources
from zoo.api import EditionSpec

EDITION = EditionSpec(
    name="abaw11",
    venue="ECCV 2026",
    year=2026,
    tracks=(
        replace(
            with_sources(images.MTL, site(11), "github cprl-team/MTL-ABAW-11th"),
            rules=images.IMAGES_ONLY,
            forbidden_streams=images.WITHOUT_VIDEOS,
            unconfirmed=("sizes of the splits (a team's counts, of edition 7)", *images.MTL.unconfirmed),
        ),
        with_sources(companions.AH_VIDEOS, site(11)),
    ),
    summary="s-Aff-Wild2: multi-task prediction for listed images, audio forbidden; ambivalence in videos.",
)
