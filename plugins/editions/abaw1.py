"""ABAW1, FG 2020: valence-arousal, seven expressions, eight action units; one text file per video."""

from __future__ import annotations

from dataclasses import replace

from plugins.editions import _affwild2 as on
from plugins.editions import _classes as a
from zoo.api import EditionSpec

_TEAMS = (
    "github kuhnkeF/ABAW2020TNT write_labelfile.py",
    "github wtomin/Multitask-Emotion-Recognition-with-Incomplete-Labels",
)
_FRAME_TOTALS = "{}_Challenge_video_and_total_number_of_frames*.txt"

EDITION = EditionSpec(
    name="abaw1",
    venue="IEEE FG 2020",
    year=2020,
    tracks=(
        on.a_file_a_video(
            on.VA,
            a.VA_HEADER,
            _FRAME_TOTALS.format("VA"),
            sources=(
                *_TEAMS,
                "github dntai/dntai_fg20_affwild2_challenges submission.py",
                "github pablovin/FaceChannel-AffWIld2",
            ),
        ),
        on.a_file_a_video(
            replace(on.EXPR, answers=a.EXPR7, metric="f1_accuracy"),
            ",".join(a.SEVEN),
            _FRAME_TOTALS.format("Expr"),
            sources=(*_TEAMS, "github zerosansan/fg2020_abaw", "github 1980x/ABAW2020DMACS train_affwild2.py"),
            figures={**on.NO_COUNTS, "videos_test": (222, 223)},
        ),
        on.a_file_a_video(
            replace(on.AU, answers=a.AU8, metric="au_f1_accuracy"),
            ",".join(a.UNITS8),
            _FRAME_TOTALS.format("AU"),
            sources=_TEAMS,
            unconfirmed=(
                "metric: accuracy over all pairs of frame and action unit (a team's code)",
                on.LIST_NAME,
                *on.UNKNOWN,
            ),
        ),
    ),
    paper="arXiv 2001.11409",
    summary="Aff-Wild2: valence-arousal, 7 expressions, 8 action units; one file per video.",
)
