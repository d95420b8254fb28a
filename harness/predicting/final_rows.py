"""Rows of a video that are final before its end: all windows at their frames are closed, and post-processing too."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

import numpy as np

from harness.evaluation.postprocessing import Chain, applied
from zoo.api import VideoAnswers

REST = 20  # post-processing of the first frames may take one part in so many of the time


@dataclass(frozen=True)
class Person:
    """One person of an input, at all frames or at some consecutive ones.

    Attributes:
        number: From 1.
        face: (n, 4) float32, the face boxes in pixels; NaN if no face is detected.
        score: (n,) scores of the detector.
        predictions: Predictions of every frame.
    """

    number: int
    face: np.ndarray
    score: np.ndarray
    predictions: VideoAnswers

    def part(self, start: int, stop: int) -> Person:
        """Return the person at the frames [start, stop)."""
        rows = slice(start, stop)
        return Person(self.number, self.face[rows], self.score[rows], self.predictions.part(start, stop))


class Follower(Protocol):
    """A reader of rows as they become final."""

    def rows(self, person: Person, start: int) -> None:
        """Take the next rows of a person; ``start``: the index of their first frame."""

    def restart(self, reason: str) -> None:
        """Drop all rows so far; all rows follow."""

    def wait(self, reason: str) -> None:
        """Learn why no row is final before the end of the video."""


class Nobody:
    """A follower that ignores all rows."""

    def rows(self, person: Person, start: int) -> None:
        """Do nothing."""

    def restart(self, reason: str) -> None:
        """Do nothing."""

    def wait(self, reason: str) -> None:
        """Do nothing."""


Faces = Callable[[int, int], tuple[np.ndarray, np.ndarray]]
"""Returns the face boxes and scores of the frames [start, stop), or of fewer if the rest is not known yet."""


class FinalRows:
    """The rows of one person, passed on as they become final.

    Args:
        chain: The post-processors.
        follower: Gets the rows.
        number: The person's number.
        faces: The person's faces.
    """

    def __init__(self, chain: Chain, follower: Follower, number: int, faces: Faces) -> None:
        self.chain, self.follower, self.number, self.faces = chain, follower, number, faces
        self.done = 0
        self._given: dict[str, blake2b] = {}  # digests of the values that were passed on
        self._resume = 0.0

    def __call__(self, raw: VideoAnswers) -> None:
        """Take the predictions, not post-processed, of all leading frames whose windows are closed.

        Post-processing begins at the first frame each time, so that the bits are those of the whole video. It pauses
        in proportion to the time it took, so that the whole takes time in proportion to the length of the video.
        """
        began = time.monotonic()
        if began < self._resume:
            return
        video = raw
        for name, part in self.chain.parts.items():
            count = part.settled(video) if hasattr(part, "settled") else None
            if count is None:
                self.follower.wait(f"post-processor {name} needs the whole video")
                self._resume = float("inf")
            if not count:
                return
            video = applied(name, part, video).part(0, count)
        ended = time.monotonic()
        self._resume = ended + REST * (ended - began)
        if any(mask.any() for mask in video.present.values()):  # a video that shows nothing at all is an error
            self._pass_on(video)

    def _pass_on(self, video: VideoAnswers) -> None:
        face, score = self.faces(self.done, len(video.times))
        stop = self.done + len(face)
        if stop > self.done:
            part = video.part(self.done, stop)
            # No values are kept: a part is a view, which keeps the arrays of the whole video up to here.
            for name, values in part.values.items():
                self._given.setdefault(name, blake2b()).update(np.ascontiguousarray(values).data)
            self.follower.rows(Person(self.number, face, score, part), self.done)
            self.done = stop

    def finish(self, person: Person) -> bool:
        """Pass on the rest of the person's rows; return False, and pass on nothing, if a row passed on has changed."""
        for name, given in self._given.items():
            final = np.ascontiguousarray(person.predictions.values[name][: self.done])
            if blake2b(final.data).digest() != given.digest():
                return False
        if self.done < len(person.score):
            self.follower.rows(person.part(self.done, len(person.score)), self.done)
        return True
