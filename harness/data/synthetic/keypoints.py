"""OpenPose BODY_25 key points of the people in a picture, in OpenPose's own file format."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from harness.data.synthetic.appearance import SHOULDERS, Figure, Look
from harness.data.synthetic.latents import Floats, LatentTrajectory, Person
from harness.data.synthetic.rendering import ARM
from harness.data.synthetic.video_plans import HEIGHT, WIDTH

POINTS = 25
NOSE, NECK, MID_HIP = 0, 1, 8
# Shoulder, elbow, wrist; hip; eye, ear. The right side of a person who faces the camera is on the left of the picture.
SIDES = {-1: ((2, 3, 4), 9, (15, 17)), 1: ((5, 6, 7), 12, (16, 18))}


Points = dict[str, list[int] | list[float]]
"""A person: part -> x, y and score of each of its points."""


class Frame(TypedDict):
    """A file of OpenPose: everybody in one picture."""

    version: float
    people: list[Points]


def people_json(story: LatentTrajectory, look: Look, frame: int, rng: np.random.Generator) -> Frame:
    """Return the content of one frame's file: everybody in the picture, in an order drawn from `rng`."""
    pairs = list(zip(story.people, look.figures, strict=True))
    seen = [pairs[i] for i in rng.permutation(len(pairs)) if not pairs[i][0].out[frame]]
    return {
        "version": 1.3,
        "people": [_person_json(look, person, figure, frame, rng) for person, figure in seen],
    }


def _person_json(look: Look, person: Person, figure: Figure, frame: int, rng: np.random.Generator) -> Points:
    points = body_25(person, figure, frame)
    found = ~np.isnan(points[:, 0])
    points[found] = look.place(frame, figure.centre[frame] + figure.scale * points[found])
    found &= (points >= 0).all(axis=1) & (points < [WIDTH, HEIGHT]).all(axis=1)
    jitter, score = rng.standard_normal((POINTS, 2)), rng.uniform(0.6, 0.95, POINTS)
    rows = np.column_stack([points + jitter, score])
    rows[~found] = 0.0  # OpenPose marks key points that it did not find with zeros
    flat = [round(float(value), 3) for value in rows.ravel()]
    empty: Points = {
        f"{part}_keypoints_{dim}": [] for dim in ("2d", "3d") for part in ("pose", "face", "hand_left", "hand_right")
    }
    return {"person_id": [-1], **empty, "pose_keypoints_2d": flat}


def body_25(person: Person, figure: Figure, frame: int) -> Floats:
    """Return key points (25, 2) in pixels from the middle of the head at scale 1.

    Hidden points are NaN: the legs, and the face if it is turned away.
    """
    valence, arousal = person.body[frame]
    half, angle = 62 + 17 * valence, np.radians(-60 + 62 * arousal)
    points = np.full((POINTS, 2), np.nan)
    points[NECK], points[MID_HIP] = (0, SHOULDERS), (0, SHOULDERS + 140)
    if person.face_seen[frame]:
        points[NOSE] = (0, 10)
    for side, (arm, hip, (eye, ear)) in SIDES.items():
        reach = np.array([side * np.cos(angle), -np.sin(angle)]) * ARM
        shoulder = np.array([side * (half - 6), SHOULDERS + 8])
        points[list(arm)] = shoulder, shoulder + reach / 2, shoulder + reach
        points[hip] = (side * 0.6 * half, SHOULDERS + 140)
        if person.face_seen[frame]:
            points[eye], points[ear] = (side * 20, -8), (side * 0.95 * figure.half_width, 0)
    return points
