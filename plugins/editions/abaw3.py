"""ABAW3, CVPR 2022: valence-arousal, eight expressions, twelve action units (one file per video); multi-task."""

from __future__ import annotations

from dataclasses import replace

from plugins.editions import _affwild2 as on
from plugins.editions import _classes as a
from plugins.editions import _s_affwild2 as images
from plugins.editions._sites import README3
from zoo.api import EditionSpec

_HSE = "notebook of HSEmotion, github av-savchenko/face-emotion-recognition src/ABAW/abaw3_train.ipynb"
_SOURCES = (README3, _HSE, "github congvmit/ABAW2-BEAST README.md (metrics)")

EDITION = EditionSpec(
    name="abaw3",
    venue="CVPR 2022",
    year=2022,
    tracks=(
        on.a_file_a_video(
            on.VA,
            a.VA_HEADER,
            "Valence_Arousal_Estimation_Challenge_test_set_release*.txt",
            sources=(*_SOURCES, "github th2l/Affwild2-ABAW3-ActionUnit main.py"),
            figures={**on.NO_COUNTS, "videos_test": 152},
        ),
        on.a_file_a_video(
            on.EXPR,
            ",".join(a.EIGHT),
            "Expression_Classification_Challenge_test_set_release*.txt",
            sources=(*_SOURCES, "github phan-kimngan/Affwild2-ABAW3-EXPR-PRLAB main.py"),
            figures={**on.NO_COUNTS, "videos_test": 228},
        ),
        on.a_file_a_video(
            on.AU,
            ",".join(a.UNITS),
            "Action_Unit_Detection_Challenge_test_set_release*.txt",
            sources=(*_SOURCES, "github situAI/ABAW2022_AU_SituTech model_infer_logits_0323.py"),
            figures={**on.NO_COUNTS, "videos_test": 141},
        ),
        replace(
            images.MTL,
            figures={"test_rows": 51_245},
            file="MTL_predictions.txt",
            sources=(README3, _HSE, "github wtomin/ABAW3_MultiEmotionNet"),
            unconfirmed=("rows of train and val", "required name of the submission file"),
        ),
    ),
    paper="arXiv 2202.10659",
    summary="Aff-Wild2: valence-arousal, 8 expressions, 12 action units, one file per video; multi-task on images.",
)
