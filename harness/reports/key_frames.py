"""Key frames of a video: the strongest prediction of each class and unit, and the extremes of each value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.data.decoding.video import VideoInfo, read_pictures
from harness.reports.pictures import picture_uri
from zoo.api import Answer, VideoAnswers

MOST = 24
"""Most key frames of a person."""
SIDE = 256
"""Pixels of a picture's longer side."""
QUALITY = 80


@dataclass(frozen=True)
class KeyFrame:
    """A key frame.

    ``frame``: from 0; ``seconds``: from the first frame; ``says``: the class, unit or extreme that it shows; ``value``:
    a probability or a value.
    """

    frame: int
    seconds: float
    says: str
    value: float


def key_frames(answers: Sequence[Answer], person: VideoAnswers) -> list[KeyFrame]:
    """Return the key frames of a person: one for each class and unit that is predicted at all, two for each value.

    Frames without data in any input branch are skipped, because their predictions come from other frames.
    """
    seen = np.any(list(person.present.values()), axis=0) if person.present else np.ones(len(person.times), bool)
    found: list[KeyFrame] = []

    def add(says: str, values: np.ndarray, among: np.ndarray) -> None:
        if among.any():
            at = int(np.where(among, values, -np.inf).argmax())
            found.append(KeyFrame(at, float(person.times[at]), says, float(values[at])))

    for answer in answers:
        values = np.asarray(person.values[answer.name], np.float64)
        if answer.kind == "class":
            for k, name in enumerate(answer.classes):
                add(name, values[:, k], seen & (values.argmax(1) == k))
        elif answer.kind == "binary":
            add(answer.name, values, seen & (values >= 0.5))
        else:
            add(f"highest {answer.name}", values, seen)
            add(f"lowest {answer.name}", -values, seen)
            if seen.any():
                found[-1] = KeyFrame(found[-1].frame, found[-1].seconds, found[-1].says, -found[-1].value)
    return found[:MOST]


def pictures_of(video: VideoInfo, frames: Sequence[int]) -> dict[int, str]:
    """Return small pictures of some frames as data URIs of JPEGs, by frame.

    Raises:
        UserError: The video cannot be read.
    """
    scale = min(1.0, SIDE / max(video.width, video.height))
    size = max(1, round(video.width * scale)), max(1, round(video.height * scale))
    wanted, found = set(frames), dict[int, str]()
    for index, (picture,) in enumerate(read_pictures(video.path, [size])):
        if index in wanted:
            found[index] = picture_uri(picture, QUALITY)
        if len(found) == len(wanted):
            break
    return found
