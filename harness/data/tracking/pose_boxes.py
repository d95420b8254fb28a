"""Person boxes from the points of the body, for `detector.person=ENCODER`; by default they follow from the face.

An encoder of poses has a method ``person_box`` for this (BlazePose). It looks at each frame alone, near the box by body
proportions (harness.data.tracking.body_proportions), which also takes its place if the body is not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from zoo.api import EncoderSpec
from zoo.errors import UserError
from zoo.registry.registry import load, resolve

RULE = "face"
"""The value of `detector.person` for boxes by body proportions."""


class PoseFinder(Protocol):
    """An encoder that also finds person boxes."""

    def person_box(self, frame: np.ndarray, face: np.ndarray, person: np.ndarray) -> np.ndarray | None:
        """Return the box (4,) of a person's body in a frame, uint8 RGB (H, W, 3), in pixels; None if it is not seen.

        ``face``: (4,), the person's face. ``person``: (4,), the box by body proportions, inside the frame.
        """


@dataclass
class Posed:
    """The number of frames with a face nearby (``asked``), and of those whose box is from the pose (``seen``)."""

    seen: int = 0
    asked: int = 0

    @property
    def share(self) -> float:
        """Share of frames whose box is from the pose; NaN without frames."""
        return self.seen / self.asked if self.asked else float("nan")

    def __str__(self) -> str:
        rest = self.asked - self.seen
        return f"person boxes by pose: {self.seen} of {self.asked} frames; {rest} by body proportions: no pose is seen"


class PosedPeople:
    """Person boxes by a pose encoder, built on first use in each process.

    Args:
        name: The encoder.

    Raises:
        UserError: There is no such encoder, or it has no method ``person_box``.
    """

    def __init__(self, name: str) -> None:
        known: Any = load([])
        able = [entry.spec.name for entry in known.entries("encoders") if entry.spec.person_boxes]
        if name not in able:
            raise UserError("detector-person", got=name, known=", ".join([RULE, *able]))
        spec: EncoderSpec = known.get("encoders", name)
        self.build, self.stream, self.label = spec.build, spec.streams[0], f"{spec.name}-{spec.version}"
        self._finder: PoseFinder | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_finder": None}

    def box(self, frame: np.ndarray, face: np.ndarray, person: np.ndarray, count: Posed) -> np.ndarray:
        """Return a person's box (4,) float32 in a frame, uint8 RGB (H, W, 3); NaN if ``person`` is.

        Args:
            frame: The frame.
            face: The face box (4,), interpolated if no face is detected.
            person: The box (4,) by body proportions.
            count: Counts the frame.
        """
        if not np.isfinite(person).all():
            return person
        if self._finder is None:
            self._finder = resolve(self.build)(self.stream, None)
        found = self._finder.person_box(frame, face, person)
        count.asked += 1
        count.seen += found is not None
        return person if found is None else np.asarray(found, np.float32)
