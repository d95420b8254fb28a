"""Companion tracks on data other than Aff-Wild2. The harness scores, writes and verifies them; it does not train."""

from __future__ import annotations

from plugins.editions import _classes as a
from zoo.api import TrackSpec
from zoo.tracks import Form

_CE_HEADER = "image_location," + ",".join(a.COMPOUND)
CE = TrackSpec(
    name="ce",
    answers=a.CE,
    metric="macro_f1",
    score_range=(0.0, 1.0),
    folders=(),
    headers=(),
    submission=Form.KEYED,
    submission_header=_CE_HEADER,
    data="C-EXPR-DB",
    lists=("*_CE_test_set_*.txt", "CER.txt"),
    rules="56 videos without annotations, seven of the twelve compound expressions; any data may be used.",
    size="56 of 400 videos; the 400 have about 200,000 frames",
    figures={"videos_test": 56, "test_rows": 26_145},
    sources=("notebooks of HSEmotion, github av-savchenko/face-emotion-recognition src/ABAW/ABAW6/cexpr.ipynb",),
    unconfirmed=("required name of the submission file", "submissions allowed"),
)

LSD = TrackSpec(
    name="lsd",
    answers=a.LSD,
    metric="macro_f1",
    score_range=(0.0, 1.0),
    folders=(),
    headers=(),
    submission=Form.ITEMS,
    submission_header="image,expression",
    unit="image",
    data="synthetic images of Aff-Wild2; real images for the evaluation",
    lists=("LSD_Challenge_test_set_release*.txt",),
    rules="Learning from synthetic data: train on synthetic images, predict real ones.",
    figures={"images_train": 277_251, "images_val": 4_670, "test_rows": 106_120},
    sources=(
        "notebook of HSEmotion, github av-savchenko/face-emotion-recognition src/ABAW/abaw4_lsd_train.ipynb",
        "github jinqijinqi/ABAW_STAR2022 track2/inference.py",
    ),
    unconfirmed=("metric: mean F1 over six classes", "numbers of the classes", "submissions allowed"),
)

ERI = TrackSpec(
    name="eri",
    answers=a.ERI,
    metric="mean_pearson",
    score_range=(-1.0, 1.0),
    folders=(),
    headers=(),
    submission=Form.ITEMS,
    submission_header="File_ID,Adoration,Amusement,Anxiety,Disgust,Empathic-Pain,Fear,Surprise",
    unit="video",
    data="Hume-Reaction",
    item="[{}]",
    file="predictions.csv",
    lists=("*ERI*test*.csv", "*ERI*test*.txt"),
    rules="Intensities of seven emotional reactions, one row per video.",
    sources=("github HKUST-NISL/ABAW5 models/eri.py",),
    unconfirmed=("formula of the metric", "sizes of the splits", "file name and form (one team's)"),
)

EMI = TrackSpec(
    name="emi",
    answers=a.EMI,
    metric="mean_pearson",
    score_range=(-1.0, 1.0),
    folders=(),
    headers=(),
    submission=Form.ITEMS,
    submission_header="Filename,Admiration,Amusement,Determination,Empathic Pain,Excitement,Joy",
    unit="video",
    data="Hume-Vidmimic2",
    lists=("*EMI*test*.csv", "*EMI*test*.txt", "test_split.csv"),
    rules="Intensities of six imitated emotions, one row per video.",
    size="over 15,000 videos, over 25 hours",
    figures={"videos_train": 8_072, "videos_val": 4_588, "videos_test": 4_586, "test_rows": 4_586},
    sources=("notebooks of HSEmotion, github sb-ai-lab/EmotiEffLib training_and_examples/ABAW (ABAW6, ABAW8)",),
    unconfirmed=("form, file name and ending (one team's)", "sizes of the splits (one team's counts)"),
)

AH_FRAMES = TrackSpec(
    name="ah",
    answers=a.AH,
    metric="weighted_f1",
    score_range=(0.0, 1.0),
    folders=(),
    headers=(),
    submission=Form.FRAME_TRIALS,
    submission_header="",
    data="BAH",
    file="trial-1.txt",
    lists=("trial-1.txt",),
    rules="Ambivalence or hesitancy in each frame; frames are counted from 0.",
    size="124 subjects: 84 in train and val (431 videos, about 295,500 frames), 40 in test",
    figures={"videos_test": 280, "test_rows": 169_479},
    sources=("notebook of HSEmotion, github sb-ai-lab/EmotiEffLib training_and_examples/ABAW/ABAW8/bah.ipynb",),
    unconfirmed=("submissions allowed",),
)

AH_VIDEOS = TrackSpec(
    name="ah",
    answers=a.AH,
    metric="macro_f1",
    score_range=(0.0, 1.0),
    folders=(),
    headers=(),
    submission=Form.TRIALS,
    submission_header="",
    unit="video",
    data="BAH",
    file="trial-0.txt",
    limit=5,
    lists=("trial-0.txt",),
    rules=(
        "Ambivalence or hesitancy of a video; rows and their order as in the organisers' trial-0.txt; up to five "
        "trials, trial-0.txt to trial-4.txt, by e-mail. The average precision of class 1 is reported with the score. "
        "The evaluation is on a private test set."
    ),
    size="1,427 videos, 10.60 hours, 300 participants; 30 more in the private test",
    figures={"videos_train": (778, 598), "videos_val": (124, 107), "videos_test": (525, 427), "videos_private": 152},
    sources=(
        "github wmivikas/ABAW2026-Task2-ECCV make_submission.py",
        "github LEYA-HSE/ABAW10-BAH scripts/run_challenge_inference.py",
        "github Kaitlina-S/ABAW11th_AIMEMO",
    ),
    unconfirmed=("sizes of the splits: a poster of edition 10 says 598, 107 and 427 videos",),
)

VD = TrackSpec(
    name="vd",
    answers=a.VD,
    metric="macro_f1",
    score_range=(0.0, 1.0),
    folders=(),
    headers=(),
    submission=Form.CSV,
    submission_header="Frame_Number,Label",
    data="DVD",
    other_headers=("Frame_Num,Label", "Frame_Number,Predicted_Label"),
    file="predictions",
    lists=("*VD*test*.txt", "*DVD*test*.txt"),
    rules="Violence in each frame; one CSV file per video, in the format of the organisers' template, zipped.",
    size="172 videos, 1.39 million frames, of over 500 with 2.7 million",
    figures={
        "videos_train": 103,
        "videos_val": 17,
        "videos_test": 52,
        "labelled_train": 772_000,
        "labelled_val": 77_000,
    },
    sources=(
        "github kdtsypliakova/ABAW-10-Violence-Detection",
        "github namho-96/ABAW-9th prediction_dvd.py",
    ),
    unconfirmed=("names of the columns (two teams differ)", "52 test videos (172 minus train and val)"),
)
