"""The tracks on Aff-Wild2's videos.

The submission is one file per track, keyed by image, in editions 5 to 10, and one file per video in editions 1 to 3.
The file of each edition contains what differs in it.

Keys of ``figures`` (read by ``harness data doctor``):

- ``videos_<split>``: videos
- ``labelled_<split>``: frames with a label
- ``labelled_with_crop_<split>`` and ``labelled_without_crop_<split>``: of these, frames with and without a crop
- ``class_counts_with_crop_<split>``: frames per class
- ``test_rows``: rows of the organisers' example file

A tuple holds published counts that differ; None means unconfirmed. The counts are those of editions 5, 6 and 8;
editions 9 and 10 state the same videos.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plugins.editions import _classes as a
from zoo.api import TrackSpec
from zoo.tracks import Form

COUNTS = "notebooks of HSEmotion, github av-savchenko/face-emotion-recognition src/ABAW (editions 5 and 6)"
_NAME = "required name of the submission file"
EVERY_ROW = (
    "Every row of the organisers' example file must have a prediction, with or without a face crop; otherwise the "
    "submission is invalid."
)
UNI_TASK = f"Uni-task: no other labels of Aff-Wild2 may be used, nor networks pre-trained on Aff-Wild2. {EVERY_ROW}"

VA = TrackSpec(
    name="va",
    answers=a.VA,
    metric="mean_ccc",
    score_range=(-1.0, 1.0),
    folders=a.VA_FOLDERS,
    headers=(a.VA_HEADER,),
    submission=Form.KEYED,
    submission_header=f"image_location,{a.VA_HEADER}",
    joint_labels=True,
    lists=("*_VA_test_set_*.txt", "Valence_Arousal_Estimation_Challenge_test_set_release*.txt"),
    rules=UNI_TASK,
    size="594 videos, about 3 million frames, 584 subjects",
    figures={
        "videos_train": 356,
        "videos_val": 76,
        "videos_test": 162,
        "labelled_train": None,
        "labelled_val": 382_021,
        "labelled_with_crop_train": (1_653_710, 1_653_757, 1_653_930),
        "labelled_with_crop_val": 376_323,
        "test_rows": 927_210,
    },
    sources=(COUNTS,),
    unconfirmed=("labelled frames of train (1,680,1xx)", _NAME),
)

EXPR = TrackSpec(
    name="expr",
    answers=a.EXPR8,
    metric="macro_f1",
    score_range=(0.0, 1.0),
    folders=a.EXPR_FOLDERS,
    headers=(",".join(a.EIGHT),),
    submission=Form.KEYED,
    submission_header="image_location," + ",".join(a.EIGHT),
    lists=(
        "*_EXPR_test_set_*.txt",
        "*_Expr_test_set_*.txt",
        "Expression_Classification_Challenge_test_set_release*.txt",
        "Expression_Recognition_Challenge_test_set_release*.txt",
    ),
    rules=UNI_TASK,
    size="548 videos, about 2.7 million frames",
    figures={
        "videos_train": 248,
        "videos_val": 70,
        "videos_test": 228,
        "labelled_train": 597_361,
        "labelled_val": 284_230,
        "labelled_with_crop_train": 585_317,
        "labelled_with_crop_val": 280_532,
        "labelled_without_crop_train": 12_044,
        "labelled_without_crop_val": 3_698,
        "class_counts_with_crop_train": dict(
            zip(a.EIGHT, (177_198, 16_573, 10_771, 9_080, 95_463, 78_751, 31_615, 165_866), strict=True)
        ),
        "class_counts_with_crop_val": dict(
            zip(a.EIGHT, (82_258, 6_126, 5_296, 8_408, 34_511, 25_157, 12_332, 106_444), strict=True)
        ),
        "test_rows": 1_022_655,
    },
    sources=(COUNTS,),
    unconfirmed=("228 test videos by the list, 230 by the site's total of 548", _NAME),
)

AU = TrackSpec(
    name="au",
    answers=a.AU12,
    metric="mean_f1",
    score_range=(0.0, 1.0),
    folders=a.AU_FOLDERS,
    headers=(",".join(a.UNITS),),
    submission=Form.KEYED,
    submission_header="image_location," + ",".join(a.UNITS),
    lists=("*_AU_test_set_*.txt", "Action_Unit_Detection_Challenge_test_set_release*.txt"),
    rules=UNI_TASK,
    size="547 videos (papers: 542), about 2.7 million frames",
    figures={
        "videos_train": 295,
        "videos_val": 105,
        "videos_test": 141,
        "labelled_train": 1_359_523,
        "labelled_val": 445_845,
        "labelled_with_crop_train": 1_356_694,
        "labelled_with_crop_val": 445_836,
        "test_rows": 729_736,
    },
    sources=(COUNTS,),
    unconfirmed=("541 videos by the splits, 542 by papers, 547 by the site", _NAME),
)

# Editions 1 to 3: one file per video, and little is known of the splits.
NO_FACE = (
    "The organisers' rule for frames without a face is unconfirmed; teams wrote -1, repeated the last prediction or "
    "interpolated."
)
NO_COUNTS = dict.fromkeys(("videos_train", "videos_val", "videos_test", "labelled_train", "labelled_val"))
UNKNOWN = (
    "videos and frames of each split",
    "rule for frames without a face",
    "how exactly the header must match",
    "packaging of the files (some teams: one folder per track, VA_Set, EXPR_Set, AU_Set)",
)
LIST_NAME = "name of the test list (inferred from that of another track)"


def a_file_a_video(track: TrackSpec, header: str, *lists: str, **changed: Any) -> TrackSpec:
    """Return the track with one submission file per video, as in editions 1 to 3.

    ``header``: of the files; ``lists``: patterns of the test list's name; ``changed``: further fields.
    """
    fields: dict[str, Any] = {"size": "", "figures": NO_COUNTS, "rules": NO_FACE, "unconfirmed": UNKNOWN, **changed}
    return replace(
        track,
        headers=(header,),
        submission=Form.PER_VIDEO,
        submission_header=header,
        file="predictions",
        lists=lists,
        **fields,
    )


def keyed(*sources: str, unconfirmed: tuple[str, ...], limit: int | None = None) -> tuple[TrackSpec, ...]:
    """Return the tracks va, expr and au as in editions 5 to 10, with an edition's sources, open points and limit."""
    return tuple(
        replace(t, sources=(*sources, *t.sources), unconfirmed=(*t.unconfirmed, *unconfirmed), limit=limit)
        for t in (VA, EXPR, AU)
    )
