"""ABAW7, ECCV 2024: multi-task prediction for single images, and compound expressions."""

from __future__ import annotations

from dataclasses import replace

from plugins.editions import _companions as companions
from plugins.editions import _s_affwild2 as images
from plugins.editions._sites import site, with_sources
from zoo.api import EditionSpec

EDITION = EditionSpec(
    name="abaw7",
    venue="ECCV 2024",
    year=2024,
    tracks=(
        replace(
            with_sources(images.MTL, site(7), "github pr-vsl/abaw7 main.py"),
            rules=images.IMAGES_ONLY,
            forbidden_streams=images.WITHOUT_VIDEOS,
        ),
        with_sources(companions.CE, site(7)),
    ),
    paper="arXiv 2407.03835",
    summary="s-Aff-Wild2: multi-task prediction for listed images, audio forbidden; compound expressions.",
)
