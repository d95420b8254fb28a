"""ABAW9, ICCV 2025: valence-arousal, compound expressions, violence."""

from __future__ import annotations

from dataclasses import replace

from plugins.editions import _affwild2 as on
from plugins.editions import _companions as companions
from plugins.editions._sites import site, with_sources
from zoo.api import EditionSpec

_VA, *_ = on.keyed(
    site(9),
    "github namho-96/ABAW-9th prediction_affwild.py",
    "github cwhoaon/9th-ABAW generate_result.py",
    unconfirmed=(
        "form: one team wrote one file per video with the same header, another a single file",
        "submissions allowed",
    ),
)

EDITION = EditionSpec(
    name="abaw9",
    venue="ICCV 2025",
    year=2025,
    tracks=(
        replace(
            _VA, rules=f"Uni-task or multi-task: other labels of Aff-Wild2 may be used in this edition. {on.EVERY_ROW}"
        ),
        with_sources(
            replace(
                companions.CE,
                unconfirmed=("form (presumed that of editions 6 and 7)", *companions.CE.unconfirmed),
            ),
            site(9),
        ),
        with_sources(
            replace(companions.VD, submission_header="Frame_Num,Label", other_headers=("Frame_Number,Label",)), site(9)
        ),
    ),
    paper="ICCVW 2025, From emotions to violence",
    summary="Aff-Wild2: valence-arousal; compound expressions; DVD: violence in frames.",
)
