"""Person boxes from OpenPose's BODY_25 key points, with one JSON file per frame."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from harness.data.tracking.face_tracks import choose
from harness.data.tracking.tracker import track_faces
from zoo.api import Faces
from zoo.errors import UserError
from zoo.files import SETTINGS, read_bytes

VERSION = 4
"""Increase when the same files would give other boxes: boxes are cached (harness.data.tracking.person_boxes)."""

HEAD = (0, 15, 16, 17, 18)  # nose, eyes, ears
MARGIN = (0.01, 0.25)  # of the box's width and height on each side, as NTUA-CVSP (arXiv 2107.03465) widened theirs
SURE = 0.05  # key points with a lower confidence are noise

_NAME = re.compile(r"(?:.*_)?(\d+)_keypoints\.json")


def read_openpose(
    folder: Path,
    n_frames: int,
    face: np.ndarray | None = None,
    *,
    name: str = "",
    width: int | None = None,
    size: tuple[int, int] | None = None,
    scale: tuple[float, float] = (1.0, 1.0),
) -> np.ndarray:
    """Read person boxes (n_frames, 4) float32, NaN where the person is not seen, from ``<video>_openpose_body25/json``.

    Files with OpenPose's own 12 digits (``<video>_000000000000_keypoints.json``) are numbered from 0, others
    (``00001_keypoints.json``) from 1 unless there is a number 0.

    Args:
        folder: The folder of key points.
        n_frames: Number of rows.
        face: (m, 4) the tracked face, NaN where absent. The person is the one with most head points in it, not the
            first in the file. In frames without the face, the person is found by overlap with their boxes in frames
            with the face. If None, persons are tracked like faces and ``name`` chooses one.
        name: The annotated name: ``..._left``, ``..._right``, or else the main person.
        width: Width of a frame that two people share, or None (harness.data.tracking.face_tracks.choose).
        size: Width and height of the frame, at which boxes are clipped.
        scale: Width and height of a stored pixel in shown pixels. Boxes are in shown pixels, but OpenPose reads
            pictures through OpenCV in stored pixels.
    """
    people = [_people(path) * (*scale, 1.0) for path in _numbered(folder, n_frames)]
    boxes = [_boxes(points) for points in people]
    tracks = track_faces([Faces(b, np.ones(len(b), np.float32), np.zeros((len(b), 5, 2))) for b in boxes])
    person = np.full((n_frames, 4), np.nan, np.float32)
    if face is None:
        track = choose(tracks, name, width)
        person[track.frames] = track.boxes
    else:
        known = np.full((n_frames, 4), np.nan)
        known[: len(face)] = face[:n_frames]
        hits = [_hits(points, box) for points, box in zip(people, known, strict=True)]
        for frame, hit in enumerate(hits):
            if hit.max(initial=0) > 0:
                person[frame] = boxes[frame][hit.argmax()]
        unseen = np.isnan(known).any(axis=1)
        # Of several tracks that are mostly this person, the longest and largest one is believed: it comes last.
        for track in sorted(tracks, key=lambda track: track.weight):
            matches = [hits[k][f] > 0 and hits[k].argmax() == f for k, f in zip(track.frames, track.faces, strict=True)]
            seen = ~unseen[track.frames]
            if seen.any() and np.mean(np.array(matches)[seen]) > 0.5:
                person[track.frames[~seen]] = track.boxes[~seen]
    limit = np.array([*size, *size] if size else [np.inf] * 4, np.float32)
    return np.clip(person, 0, limit)


def _numbered(folder: Path, n_frames: int) -> list[Path | None]:
    """Return the file of each frame, or None."""
    files = {}
    for path in folder.iterdir():
        if match := _NAME.fullmatch(path.name):
            files[match[1]] = path
    first = 0 if any(len(digits) == 12 or int(digits) == 0 for digits in files) else 1
    numbered = {int(digits) - first: path for digits, path in files.items()}
    return [numbered.get(index) for index in range(n_frames)]


def _people(path: Path | None) -> np.ndarray:
    """Read key points (persons, 25, 3): x, y, confidence. Persons without a sure point are left out."""
    if path is None:
        return np.empty((0, 25, 3))
    try:
        found = json.loads(read_bytes(path, SETTINGS))["people"]
        points = np.array([person["pose_keypoints_2d"] for person in found], np.float64).reshape(len(found), 25, 3)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {str(error)[:100]}"
        raise UserError("openpose-invalid", file=path, reason=reason) from error
    return points[(points[:, :, 2] >= SURE).any(axis=1)]


def _boxes(points: np.ndarray) -> np.ndarray:
    """Return boxes (persons, 4) float32 around the sure points, widened by MARGIN."""
    sure = points[:, :, 2:] >= SURE
    low = np.where(sure, points[:, :, :2], np.inf).min(axis=1, initial=np.inf)
    high = np.where(sure, points[:, :, :2], -np.inf).max(axis=1, initial=-np.inf)
    margin = (high - low) * MARGIN
    return np.concatenate([low - margin, high + margin], axis=1).astype(np.float32)


def _hits(points: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Return a score (persons,) for how much of each person's head is in the face's box; 0 for an unknown face.

    It is the summed confidence of the sure head points inside the box, widened by a quarter of the face on each side.
    """
    head = points[:, HEAD]
    margin = np.tile((face[2:] - face[:2]) / 4, 2) * (-1, -1, 1, 1)
    low, high = np.split(face + margin, 2)
    inside = ((head[..., :2] >= low) & (head[..., :2] <= high)).all(axis=2) & (head[..., 2] >= SURE)
    return np.asarray((inside * head[..., 2]).sum(axis=1))
