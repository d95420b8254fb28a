"""Submission files: every row that the organisers list, in their order, answered and in range.

``answers`` and ``prediction_tables`` hold what is predicted, ``row_lists`` what is asked for, ``rows`` brings both
together, ``text`` writes it in the track's form, ``files`` puts it in its place, whole or not at all. Headers are an
edition's own (plugins/editions), forms are those of zoo.submission_forms. What is written here is checked by
harness.submissions.verifier, which shares no code with it.
"""

from __future__ import annotations

from harness.submissions.writer.answers import Answers, from_videos
from harness.submissions.writer.files import place, zipped
from harness.submissions.writer.prediction_tables import read_table
from harness.submissions.writer.row_lists import Listing, read_list
from harness.submissions.writer.rows import check_name
from harness.submissions.writer.text import Submission, compose

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
