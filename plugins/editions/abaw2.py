"""ABAW2, ICCV 2021: valence-arousal, seven expressions, twelve action units; one text file per video."""

from __future__ import annotations

from dataclasses import replace

from plugins.editions import _affwild2 as on
from plugins.editions import _classes as a
from plugins.editions._sites import LEADERBOARDS2
from zoo.api import EditionSpec

_SOURCES = (LEADERBOARDS2, "github ryanhe312/ABAW2-FPNMAA gen_test.py", "github sucv/ABAW2")
_RULES = f"{on.NO_FACE} The official leaderboards list at most seven submissions per team."
_LIMIT = "7 submissions (no team has more in the leaderboards)"
_UNKNOWN = (_LIMIT, on.LIST_NAME, *on.UNKNOWN)

EDITION = EditionSpec(
    name="abaw2",
    venue="ICCV 2021",
    year=2021,
    tracks=(
        on.a_file_a_video(
            on.VA,
            a.VA_HEADER,
            "test_set_VA_Challenge*.txt",
            rules=_RULES,
            limit=7,
            sources=(
                *_SOURCES,
                "github flab-facial-exp/ICCV2021-ABAW-VA submit_make.py",
                "github gsethan17/CAPNet_ABAW2021 eval.py",
            ),
            unconfirmed=(_LIMIT, *on.UNKNOWN),
        ),
        on.a_file_a_video(
            replace(on.EXPR, answers=a.EXPR7, metric="f1_accuracy"),
            ",".join(a.SEVEN),
            "test_set_EXPR_Challenge*.txt",
            sources=(*_SOURCES, "github ratkhohieu/ABAW2021 metrics.py", "Vu et al., ICCVW 2021"),
            rules=_RULES,
            limit=7,
            unconfirmed=_UNKNOWN,
        ),
        on.a_file_a_video(
            replace(on.AU, metric="au_f1_accuracy"),
            ",".join(a.UNITS),
            "test_set_AU_Challenge*.txt",
            sources=(*_SOURCES, "github ratkhohieu/ABAW2021 metrics.py"),
            rules=_RULES,
            limit=7,
            unconfirmed=_UNKNOWN,
        ),
    ),
    paper="arXiv 2106.15318",
    summary="Aff-Wild2: valence-arousal, 7 expressions, 12 action units; one file per video.",
)
