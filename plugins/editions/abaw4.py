"""ABAW4, ECCV 2022: multi-task prediction for single images, and learning from synthetic data."""

from __future__ import annotations

from dataclasses import replace

from plugins.editions import _companions as companions
from plugins.editions import _s_affwild2 as images
from zoo.api import EditionSpec

EDITION = EditionSpec(
    name="abaw4",
    venue="ECCV 2022",
    year=2022,
    tracks=(
        replace(
            images.MTL,
            file="MTL_predictions.txt",
            sources=(
                "notebook of HSEmotion, github av-savchenko/face-emotion-recognition src/ABAW/abaw4_mtl_train.ipynb",
                "github khanhnd185/MTL-ABAW4",
                "github jinqijinqi/ABAW_STAR2022 track1/test.py",
            ),
        ),
        companions.LSD,
    ),
    paper="arXiv 2207.01138",
    summary="s-Aff-Wild2: multi-task prediction for listed images; learning from synthetic data.",
)
