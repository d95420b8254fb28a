"""Write a submission and verify what was written, by two programs that share nothing."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.data.lists import TestList
from harness.submit import write_submission
from harness.verify import verify
from zoo.api import TrackSpec, VideoAnswers
from zoo.errors import UserError


def submit_videos(
    track: TrackSpec, videos: Sequence[VideoAnswers], rows: TestList | None, folder: Path
) -> tuple[dict[str, Any], list[str]]:
    """A verified submission in ``folder``; refused, and nothing left behind, where it does not verify."""
    folder.mkdir(parents=True, exist_ok=True)
    written = write_submission(folder / "predictions.txt", track, {video.video: video for video in videos}, rows)
    if findings := verify(written.path, track, rows):
        (shutil.rmtree if written.path.is_dir() else Path.unlink)(written.path)  # type: ignore[operator]
        shown = "; ".join(f"line {finding.line}: {finding.text}" for finding in findings[:5])
        raise UserError(f"{written.path}: the submission does not verify and was removed: {shown}")
    notes = (
        []
        if written.official
        else ["submission: not an official row set (no organisers' list with rows was found or given with --list)"]
    )
    facts = {
        "file": written.path.name, "rows": written.rows, "official": written.official, "sha256": written.sha256,
        "list": rows.path.name if rows else None, "held": written.held,
    }  # fmt: skip
    return facts, notes
