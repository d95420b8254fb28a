"""Person boxes by pose (`detector.person=ENCODER`) next to those by body proportions.

    uv run python tests/benchmarks/person_boxes.py VIDEO... [--every 10] [--draw DIR]

Processor seconds for each frame on one thread; the share of frames with a face nearby whose pose is seen; the IoU of
the two boxes there. ``--draw`` writes pictures of some frames: the face and the box by body proportions in white, the
box by pose in green.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from tabulate import tabulate

from harness.data.decoding.video import probe, read_frames
from harness.data.tracking.body_proportions import GAP_SECONDS, faces_and_people
from harness.data.tracking.detection import FaceFinder, in_frames
from harness.data.tracking.face_tracks import choose
from harness.data.tracking.person_boxes import boxes_of
from harness.data.tracking.pose_boxes import Posed, PosedPeople
from harness.data.tracking.tracker import overlap
from zoo.registry.registry import load


def measured(path: Path, finder: FaceFinder, people: PosedPeople, every: int, folder: Path | None) -> list[str]:
    """Return a line of the table for every so many frames of a video."""
    info = probe(path)
    track = choose(finder.tracks(info, lambda share: None), path.stem, info.width)
    face = boxes_of(track, info, "").face
    both = faces_and_people(face, info.width, info.height, max_gap=in_frames(info, GAP_SECONDS))
    posed, alike, seconds = Posed(), [], 0.0
    for index, frame in enumerate(read_frames(path)):
        if index % every:
            continue
        seen, began = posed.seen, time.process_time()
        box = people.box(frame, both[index, :4], both[index, 4:], posed)
        seconds += time.process_time() - began if posed.asked > 1 else 0  # the first call opens the networks
        if posed.seen > seen:
            alike.append(float(overlap(box[None], both[index : index + 1, 4:])[0, 0]))
        if folder is not None and index % (10 * every) == 0:
            draw(folder / f"{path.stem}-{index:05d}.jpg", frame, both[index], box if posed.seen > seen else None)
    spread = [f"{value:.3f}" for value in (np.mean(alike), np.percentile(alike, 5))] if alike else ["-", "-"]
    each = 1000 * seconds / max(posed.asked - 1, 1)
    return [path.name, f"{info.width} x {info.height}", str(posed.asked), f"{each:.1f}", f"{posed.share:.3f}", *spread]


def draw(path: Path, frame: np.ndarray, both: np.ndarray, posed: np.ndarray | None) -> None:
    """Write a frame with its boxes."""
    picture = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    for box, colour in ((both[:4], (255, 255, 255)), (both[4:], (255, 255, 255)), (posed, (0, 255, 0))):
        if box is not None and np.isfinite(box).all():
            x0, y0, x1, y1 = box.round().astype(int).tolist()
            cv2.rectangle(picture, (x0, y0), (x1, y1), colour, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--person", default="blazepose")
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--draw", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    finder = FaceFinder(load([]).get("detectors", "centerface"))  # type: ignore[arg-type]
    people = PosedPeople(given.person)
    rows = [measured(path, finder, people, given.every, given.draw) for path in given.videos]
    header = ["video", "size", "frames", "ms a frame", "share with a pose", "mean IoU", "5th percentile"]
    print(tabulate(rows, header, "github", disable_numparse=True))


if __name__ == "__main__":
    main()
