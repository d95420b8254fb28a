"""What `detector.mode=track` gains and loses against a detection in every frame, on one thread.

    uv run python tests/benchmarks/face_tracking.py VIDEO... [--every 5] [--cut 17]

Frames a second of the detection stage alone, on decoded frames in memory, both ways in turn; the IoU of each face of
every frame with the nearest one that is followed; frames with another number of faces. Then the same on a film that
jumps to the next video every ``--cut`` frames: all its frames, and the EVERY - 1 frames after each cut.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from tabulate import tabulate

from harness.data.decoding.video import read_frames
from harness.data.tracking.between import EVERY, FollowedFaces
from harness.data.tracking.detection import FaceFinder
from harness.data.tracking.tracker import overlap
from zoo.api import Faces
from zoo.registry.registry import load

Look = Callable[[np.ndarray], Faces]
MOST = 300  # frames of a video, which are all in memory


def ious(full: Sequence[Faces], followed: Sequence[Faces]) -> np.ndarray:
    """(frames,) the lowest IoU of a frame's faces with the nearest that is followed; NaN where it has none."""
    out = np.full(len(full), np.nan)
    for i, (a, b) in enumerate(zip(full, followed, strict=True)):
        if len(a.boxes):
            out[i] = overlap(a.boxes, b.boxes).max(1).min() if len(b.boxes) else 0
    return out


def timed(look: Look, frames: Sequence[np.ndarray]) -> tuple[list[Faces], float]:
    """The faces, and seconds of processor."""
    start = time.process_time()
    found = [look(frame) for frame in frames]
    return found, time.process_time() - start


def row(name: str, finder: FaceFinder, frames: Sequence[np.ndarray], every: int, after: int = 0) -> list[str]:
    """A line of the table; ``after``: frames from cut to cut, 0 for none."""
    full, slow = timed(finder.faces, frames)
    follow = FollowedFaces(finder.faces, every)
    followed, quick = timed(follow, frames)
    found, n = ious(full, followed), len(frames)
    other = np.array([len(a.boxes) != len(b.boxes) for a, b in zip(full, followed, strict=True)])
    said = [name, str(n), f"{n / slow:.0f}", f"{n / quick:.0f}", f"{slow / quick:.2f}", f"{follow.detections / n:.3f}"]
    seen = found[~np.isnan(found)]
    said += [f"{(seen >= 0.9).mean():.4f}", f"{np.percentile(seen, 1):.3f}", f"{other.mean():.4f}"]
    if after:
        late = found[[i for i in range(after, n) if i % after < every - 1]]
        said.append(f"{(late[~np.isnan(late)] >= 0.9).mean():.4f}")
    return said


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--detector", default="centerface")
    parser.add_argument("--every", type=int, default=EVERY)
    parser.add_argument("--cut", type=int, default=17)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    finder = FaceFinder(load([]).get("detectors", given.detector))  # type: ignore[arg-type]
    rows, film, total = [], [], []
    parts = []
    for path in given.videos:
        frames = list(islice(read_frames(path), MOST))
        rows.append(row(path.name, finder, frames, given.every))
        total += frames[:90]
        parts.append([frames[i : i + given.cut] for i in range(0, len(frames) - given.cut, given.cut)][:4])
    for turn in range(4):
        film += [frame for part in parts if turn < len(part) for frame in part[turn]]
    largest = min(frame.shape[:2] for frame in film)
    same = [cv2.resize(frame, largest[::-1], interpolation=cv2.INTER_AREA) for frame in film]
    rows.append(row("all, 90 frames each", finder, total, given.every))
    rows.append(row(f"a film cut every {given.cut} frames", finder, same, given.every, given.cut))
    header = ["video", "frames", "every frame/s", "followed/s", "ratio", "detections", "IoU >= .9", "1st percentile"]
    print(tabulate(rows, [*header, "other count", "IoU >= .9 after cuts"], "github", disable_numparse=True))


if __name__ == "__main__":
    main()
