"""The multi-task track on the images of s-Aff-Wild2 (editions 3, 4, 7 and 11)."""

from __future__ import annotations

from plugins.editions import _classes as a
from zoo.api import TrackSpec
from zoo.tracks import Form

_HEADER = "image,valence,arousal,expression,aus"

MTL = TrackSpec(
    name="mtl",
    answers=(*a.VA, *a.EXPR8, *a.AU12),
    metric="mtl_sum",
    score_range=(-1.0, 3.0),
    folders=a.MTL_FOLDERS,
    headers=(_HEADER,),
    submission=Form.MTL,
    submission_header=_HEADER,
    unit="image",
    joint_labels=True,  # valence and arousal are labelled together; expression and each action unit independently
    lists=(
        "MTL_Challenge_test_set_release*.txt",
        "Multi_Task_Learning_Challenge_test_set_release*.txt",
        "*_MTL_test_set_*.txt",
        "MTL.txt",
    ),
    data="s-Aff-Wild2",
    size="about 221,000 images",
    rules="Every listed image must have a prediction; all of them exist.",
    figures={
        "labelled_train": 142_333,
        "labelled_val": 26_876,
        "class_counts_train": dict(
            zip(a.EIGHT, (23_976, 4_555, 3_168, 3_122, 18_135, 7_609, 5_228, 24_852), strict=True)
        ),
        "class_counts_val": dict(zip(a.EIGHT, (1_886, 487, 565, 1_254, 3_751, 1_893, 1_003, 4_601), strict=True)),
        "test_rows": 51_159,
    },
    sources=(
        "notebook of HSEmotion, github av-savchenko/face-emotion-recognition src/ABAW/ABAW7/mtl.ipynb",
        "github bakinalexey/abaw-11-mtl-bah-recognition",
    ),
    unconfirmed=("which rows the published counts regard as usable", "required name of the submission file"),
)

IMAGES_ONLY = (
    "Only the images of s-Aff-Wild2 may be used: the videos, sound and annotations of A/V Aff-Wild2 are forbidden "
    "in editions 7 and 11, so a submission must not use the streams audio, body, context, frame and portrait."
)
WITHOUT_VIDEOS = ("audio", "body", "context", "frame", "portrait")
