"""Run a face detector over a video and return its face tracks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from harness.config.overrides import parsed
from harness.data.decoding.video import VideoInfo, read_frames
from harness.data.tracking.between import FollowedFaces
from harness.data.tracking.pose_boxes import RULE, PosedPeople
from harness.data.tracking.tracker import Track, Tracker
from harness.runtime.process_pool import Tick
from zoo.api import DetectorSpec, Faces
from zoo.errors import UserError
from zoo.registry.options import check_options
from zoo.registry.registry import resolve

MAX_FACES = 8  # only the largest faces of a frame are used; a crowd in the background would only cost time
BRIDGE = 0.5  # a track ends after this many seconds without a face
MODES = ("every", "track")
"""The detector sees every frame, or faces are followed between some frames (harness.data.tracking.between)."""


class Detector(Protocol):
    """Interface of the detector that a DetectorSpec builds."""

    def detect(self, frame: np.ndarray) -> Faces:
        """Return the faces in a frame, uint8 RGB (H, W, 3)."""


def detector_settings(sets: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a FaceFinder from ``detector.KEY=VALUE``; raise UserError for anything else."""
    found = {}
    for text in sets:
        name, equals, value = text.partition("=")
        section, _, key = name.strip().partition(".")
        if not equals or section != "detector" or not key:
            raise UserError("detector-setting", got=text)
        found[key] = parsed(value.strip())
    return found


class FaceFinder:
    """A detector with its settings, built on first use in each process.

    ``settings``: the detector's options; ``mode``, one of MODES; ``person``, the encoder that finds person boxes
    (harness.data.tracking.pose_boxes), kept as ``people``. ``label`` names detector, version and settings:
    files made under another label are made again. ``portable``: True if other processes can build it too; they cannot
    build a detector from a single plugin file.
    """

    def __init__(self, spec: DetectorSpec, settings: Mapping[str, Any] | None = None) -> None:
        options = dict(settings or {})
        self.mode = str(options.pop("mode", MODES[0]))
        if self.mode not in MODES:
            raise UserError("detector-mode", got=self.mode)
        person = str(options.pop("person", RULE))
        self.people = None if person == RULE else PosedPeople(person)
        self.build = spec.build
        self.options = check_options(spec, options, also=("mode", "person"))
        said = self.options if self.mode == MODES[0] else {**self.options, "mode": self.mode}
        said = said if self.people is None else {**said, "person": self.people.label}
        self.label = " ".join((spec.name, str(spec.version), *(f"{name}={value}" for name, value in said.items())))
        self.portable = isinstance(spec.build, str)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_detector"}

    @cached_property
    def _detector(self) -> Detector:
        detector: Detector = resolve(self.build)(**self.options)
        return detector

    def tracks(
        self, info: VideoInfo, tick: Tick, see: Callable[[int, np.ndarray, Faces], None] | None = None
    ) -> list[Track]:
        """Return the face tracks of a video, from the MAX_FACES largest faces of each frame. It is decoded once.

        ``see`` is called with every frame's index, picture and faces.
        """
        tracker, look = self.tracker(info), self.start()
        for index, frame in enumerate(read_frames(info.path)):
            faces = look(frame)
            tracker.add(faces)
            if see is not None:
                see(index, frame, faces)
            tick((index + 1) / info.n_frames)
        return tracker.tracks()

    def start(self) -> Callable[[np.ndarray], Faces]:
        """Return the face finder of one video; call it with the video's frames in order."""
        return FollowedFaces(self.faces) if self.mode == "track" else self.faces

    def faces(self, frame: np.ndarray) -> Faces:
        """Return the MAX_FACES largest faces of a frame, uint8 RGB (H, W, 3)."""
        return largest(self._detector.detect(frame), MAX_FACES)

    @staticmethod
    def tracker(info: VideoInfo) -> Tracker:
        """Return a new tracker for a video, to which the faces of its frames are added in order."""
        return Tracker(max_gap=in_frames(info, BRIDGE))


def largest(faces: Faces, most: int) -> Faces:
    """Return the ``most`` largest faces of a frame, in their original order."""
    if len(faces.boxes) <= most:
        return faces
    areas = np.prod(faces.boxes[:, 2:] - faces.boxes[:, :2], axis=1)
    keep = np.sort(np.argsort(-areas, kind="stable")[:most])
    return Faces(faces.boxes[keep], faces.scores[keep], faces.landmarks[keep])


def in_frames(info: VideoInfo, seconds: float) -> int:
    """Convert seconds to a number of frames of this video, at least one."""
    step = float(np.median(np.diff(info.times))) if info.n_frames > 1 else seconds
    return max(1, round(seconds / step))
