"""Submission files: every row that the organisers list, in their order, answered and in range.

``answers`` and ``table`` hold what is predicted, ``lists`` what is asked for, ``rows`` brings both together, ``text``
writes it in the track's form, ``files`` puts it in its place, whole or not at all. What is written here is checked by
harness.submissions.verifier, which shares no code with it.
"""

from __future__ import annotations

from harness.submissions.writer.answers import Answers, from_videos
from harness.submissions.writer.files import place, zipped
from harness.submissions.writer.formats import Submission, compose
from harness.submissions.writer.prediction_tables import read_table
from harness.submissions.writer.row_lists import Listing, read_list
from harness.submissions.writer.rows import check_name

__all__ = [
    "Answers",
    "Listing",
    "Submission",
    "check_name",
    "compose",
    "from_videos",
    "place",
    "read_list",
    "read_table",
    "zipped",
]
