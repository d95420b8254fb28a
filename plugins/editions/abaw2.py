"""ABAW2, ICCV 2021: valence-arousal, seven expressions, twelve action units; one text file a video is handed in."""

from __future__ import annotations

from plugins.editions import _answers as a
from zoo.api import EditionSpec, TrackSpec

_LEADERBOARDS = "official leaderboards, github dkollias/ABAW2-Results"
_RULES = (
    "The organisers' rule for frames without a face is unconfirmed; teams wrote -1, held the last answer or "
    "interpolated. At most seven submissions a team are in the official leaderboards."
)
_UNCONFIRMED = ("videos and frames of each split", "rule for frames without a face", "packaging of the files")
_FIGURES = {"videos_train": None, "videos_val": None, "videos_test": None, "labelled_train": None, "labelled_val": None}

VA = TrackSpec(
    name="va",
    answers=a.VA,
    metric="mean_ccc",
    score_range=(-1.0, 1.0),
    folders=a.VA_FOLDERS,
    headers=(a.VA_HEADER,),
    submission="per_video",
    submission_header=a.VA_HEADER,
    joint_labels=True,
    lists=("test_set_VA_Challenge*.txt",),
    rules=_RULES,
    figures=_FIGURES,
    sources=(_LEADERBOARDS, "github sucv/ABAW2", "github ryanhe312/ABAW2-FPNMAA gen_test.py"),
    unconfirmed=_UNCONFIRMED,
)

EXPR = TrackSpec(
    name="expr",
    answers=a.EXPR7,
    metric="f1_accuracy",
    score_range=(0.0, 1.0),
    folders=a.EXPR_FOLDERS,
    headers=(",".join(a.SEVEN),),
    submission="per_video",
    submission_header=",".join(a.SEVEN),
    lists=("test_set_EXPR_Challenge*.txt",),
    rules=_RULES,
    figures=_FIGURES,
    sources=(_LEADERBOARDS, "github ratkhohieu/ABAW2021 metrics.py", "Vu et al., ICCVW 2021"),
    unconfirmed=_UNCONFIRMED,
)

AU = TrackSpec(
    name="au",
    answers=a.AU12,
    metric="au_f1_accuracy",
    score_range=(0.0, 1.0),
    folders=a.AU_FOLDERS,
    headers=(",".join(a.UNITS),),
    submission="per_video",
    submission_header=",".join(a.UNITS),
    lists=("test_set_AU_Challenge*.txt",),
    rules=_RULES,
    figures=_FIGURES,
    sources=(_LEADERBOARDS, "github ratkhohieu/ABAW2021 metrics.py", "github ryanhe312/ABAW2-FPNMAA gen_test.py"),
    unconfirmed=_UNCONFIRMED,
)

EDITION = EditionSpec(
    name="abaw2",
    venue="ICCV 2021",
    year=2021,
    tracks=(VA, EXPR, AU),
    paper="arXiv 2106.15318",
    summary="Aff-Wild2: valence-arousal, 7 expressions, 12 action units; one file a video.",
)
