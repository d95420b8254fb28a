"""Check a submission as a strict stranger would: from its bytes, the track and the organisers' list alone.

A program of its own: it shares no code with harness.submit or the readers of harness.data, so that a mistake there is
found here. ``verify`` looks at one submission; ``read_list`` reads the organisers' list for it; ``compare`` says how
two submissions differ.
"""

from __future__ import annotations

from harness.verify.against import compare
from harness.verify.check import Report, verify
from harness.verify.findings import SHOWN, Finding
from harness.verify.lists import Listing, read_list
from harness.verify.manifest import check_manifest, sha256_of, submission_in

__all__ = [
    "SHOWN", "Finding", "Listing", "Report", "check_manifest", "compare", "read_list", "sha256_of", "submission_in",
    "verify",
]  # fmt: skip
