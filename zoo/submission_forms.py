"""Forms of submissions: every file format that an edition of the competition has required."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Form(StrEnum):
    """The form of a submission; ``TrackSpec.submission`` is one of these."""

    KEYED = "keyed"
    MTL = "mtl"
    PER_VIDEO = "per_video"
    ITEMS = "items"
    FRAME_TRIALS = "frame_trials"
    TRIALS = "trials"
    CSV = "csv"


FORMS: Mapping[str, str] = {
    Form.KEYED: "one file: header, then <video>/00001.jpg,<answers> for every frame of every listed video",
    Form.MTL: "one file: header, then <video>/00001.jpg,<answers> for every listed image",
    Form.PER_VIDEO: "a folder, <video>.txt each: header, then the answers to a frame on each line, no key",
    Form.ITEMS: "one file: header, then <id>,<answers> for every listed video or image",
    Form.FRAME_TRIALS: "one file without header: <video>/frame-0.jpg,<class>, frames counted from 0",
    Form.TRIALS: "one file without header: <id>,<class>, or <id>,<p0>,<p1>,<class> where p0 + p1 is exactly 1",
    Form.CSV: "a folder, <video>.csv each: header, then <frame>,<class>, frames counted from 1",
}
"""Form -> description."""
