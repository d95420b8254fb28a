"""Write submission files: every row that the organisers list, in their order, with a prediction in range.

``answers`` and ``prediction_tables`` hold the predictions, ``row_lists`` the requested rows. ``rows`` matches the two,
``text`` writes them in the track's form, and ``files`` puts the result in place, whole or not at all. Headers belong to
the editions (plugins/editions), forms to zoo.submission_forms. The result is checked by harness.submissions.verifier,
which shares no code with this package.
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
