"""The result of `harness data crop`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data.tracking.pose_boxes import Posed
from harness.runtime.launchers import Failure


@dataclass(frozen=True)
class CropReport:
    """The people and faces that were found, and what was not read.

    ``found``: annotated name -> (frames, frames with a face), including videos that were finished before. ``skipped``:
    number of those. ``failures``: videos that could not be read. ``left_out``: one line for each kind of file that is
    not a video. ``posed``: counts of the person boxes by pose, if they are.
    """

    out: Path
    found: Mapping[str, tuple[int, int]]
    skipped: int
    failures: Sequence[Failure]
    left_out: Sequence[str] = ()
    posed: Posed | None = None

    def __str__(self) -> str:
        frames, faces = (sum(column) for column in zip(*self.found.values(), strict=True)) if self.found else (0, 0)
        lines = [
            f"{self.out}: people {len(self.found)}, frames {frames}, a face in {faces} "
            f"({100 * faces / max(frames, 1):.1f} %)"
        ]
        if self.posed is not None:
            lines.append(str(self.posed))
        if self.skipped:
            lines.append(f"videos finished before: {self.skipped}")
        lines += [f"{name}: no face in {n} frames" for name, (n, seen) in sorted(self.found.items()) if n and not seen]
        lines += self.left_out
        if self.failures:
            lines.append(f"videos that failed: {len(self.failures)}")
        return "\n".join(lines)
