"""Verify a submission like a strict stranger: from its bytes, the track and the organisers' list alone.

This is a program of its own. It shares no code with harness.submissions.writer or the readers of harness.data, so that
a mistake there is found here. ``verify`` checks one submission, ``read_list`` reads the organisers' list for it, and
``compare`` reports how two submissions differ.
"""

from __future__ import annotations

from harness.submissions.verifier.diff import compare
from harness.submissions.verifier.findings import SHOWN, Finding
from harness.submissions.verifier.manifest import check_manifest, sha256_of, submission_in
from harness.submissions.verifier.row_lists import Listing, read_list
from harness.submissions.verifier.verify import Report, verify

__all__ = [
    "SHOWN",
    "Finding",
    "Listing",
    "Report",
    "check_manifest",
    "compare",
    "read_list",
    "sha256_of",
    "submission_in",
    "verify",
]
