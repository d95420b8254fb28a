"""Streaming prediction of frames and sound by a run that stays loaded."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from harness.data.decoding.jpeg import resize
from harness.data.preprocessing.alignment import face_jpeg
from harness.data.streams.raw_inputs import collate
from harness.data.streams.sound_window import sound_window
from harness.data.tracking.body_proportions import GAP_SECONDS, faces_and_people
from harness.data.tracking.detection import BRIDGE
from harness.data.tracking.pose_boxes import Posed
from harness.data.tracking.tracker import Tracker
from harness.evaluation.prediction_tables import to_frame
from harness.predicting.live_checks import check_frame, check_samples, check_time
from harness.predicting.models import Model, Recent, finder_of
from harness.predicting.video_scan import Wanted
from zoo.api import AudioInput, FrameInput, VideoAnswers
from zoo.errors import UserError
from zoo.readers import FrameView

SETTLE = 0.1  # seconds that sound may lag behind before a frame counts as silent
TOLERANCE = 0.02  # seconds between the time of a piece of sound and the end of the one before it
MOST_BACK, MOST_AHEAD = 1.0, 3600.0  # seconds; a piece further off has a wrong time


@dataclass
class _Kept:
    """Face, features, pictures and masks of one frame."""

    time: float
    box: np.ndarray
    score: float
    features: dict[str, np.ndarray] = field(default_factory=dict)
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    present: dict[str, bool] = field(default_factory=dict)


class Predictor:
    """Streaming predictor of the main person.

    Each prediction uses the frame and the frames before it, but none after it, so predictions differ from those of the
    whole video.

        predictor = harness.load("runs/x").predictor()
        for frame in camera:                      # uint8 RGB (H, W, 3)
            print(predictor(frame)["expression_name"])

    Args:
        model: A run or a ready model.
        rate: Frames a second, used if calls give no times.
        detector: Settings of the FaceFinder (harness.data.tracking.detection). ``mode=track`` has no effect.

    Raises:
        UserError: A stream of the model cannot be read frame by frame, or the rate is not a positive number.
    """

    def __init__(self, model: Model, *, rate: float = 30.0, detector: Mapping[str, Any] | None = None) -> None:
        if isinstance(rate, bool) or not isinstance(rate, int | float | np.number) or not 0 < rate < math.inf:
            raise UserError("predictor-rate", got=rate)
        self.model, self.rate = model, rate
        if model.stages:
            names = ", ".join(stage.branch for stage in model.stages)
            raise UserError("stage-live", model=model.about.model, names=names)
        if unread := model.branches.unread():
            raise UserError("predict-stream-needs-folder", names=", ".join(unread))
        self.length, self.step = model.length, model.step(rate)
        self.wanted = {p.name: w for p, w in zip(model.branches.pictures, model.branches.wanted(), strict=True)}
        self.finder = finder_of(model, detector)
        self.reset()

    def reset(self) -> None:
        """Begin a new video."""
        self.tracker = Tracker(max_gap=max(1, round(BRIDGE * self.rate)))
        self.frames: deque[_Kept] = deque(maxlen=(self.length - 1) * self.step + 1)
        self.samples = np.zeros(0, np.float32)
        self.heard_from = 0.0  # seconds of samples[0], or of the end of the sound if all of it is dropped
        self.heard = False
        self.posed = Posed()  # counts of person boxes by pose
        self._shape: tuple[int, ...] | None = None  # of the frames so far
        self._last: tuple[float, np.ndarray] | None = None  # time and box of the last face

    def hear(self, samples: np.ndarray, rate: int = 16_000, *, time: float | None = None) -> None:
        """Add the sound since the last call. A model that does not listen keeps none.

        Args:
            samples: (S,) mono, float in [-1, 1] or int16.
            rate: Samples a second; must be that of the encoders, 16,000.
            time: Time of the first sample in seconds; None: the end of the sound so far, or 0. As in a file, a gap of
                over 20 ms becomes silence, and an overlap of over 20 ms is cut.

        Raises:
            UserError: The samples have another form, their rate is not that of the encoders, or they lie more than a
                second before, or an hour after, the end of the sound so far.
        """
        check_samples(samples)
        if time is not None:
            check_time(time, None)
        own = {s.rate for p in self.model.branches.plans if isinstance(s := self.model.branches.spec(p), AudioInput)}
        if own and own != {rate}:
            raise UserError("predictor-sound-rate", got=rate, wanted=", ".join(map(str, sorted(own))))
        if not own:
            return
        if not self.heard and time is not None:
            self.heard_from = time
        self.heard = self.heard or bool(len(samples))
        values = samples.astype(np.float32) / 32767 if samples.dtype == np.int16 else samples.astype(np.float32)
        hole = 0 if time is None else self._hole(time, rate)
        silence = np.zeros(max(0, hole), np.float32)
        self.samples = np.concatenate([self.samples, silence, values[max(0, -hole) :]])

    def _hole(self, time: float, rate: int) -> int:
        """Return how many samples lie between the sound so far and ``time``; negative if they overlap."""
        end = self.heard_from + len(self.samples) / rate
        if not -MOST_BACK <= time - end <= MOST_AHEAD:
            raise UserError("predictor-sound-time", got=float(time), last=end)
        return 0 if abs(time - end) <= TOLERANCE else round((time - end) * rate)

    def __call__(self, frame: np.ndarray, time: float | None = None) -> dict[str, Any]:
        """Predict a frame from it and the frames before it.

        Args:
            frame: The picture, uint8 RGB (H, W, 3).
            time: Its time in seconds, ascending; None: one frame after the last.

        Returns:
            ``time``, the face box ``x0`` to ``y1`` with ``score`` (NaN if no face is detected), the predictions as in
            the tables of `harness predict`, and ``present_<branch>``.

        Raises:
            UserError: The frame has another type or shape than uint8 (H, W, 3), another size than the frames before it,
                or an earlier time.
        """
        check_frame(frame, self._shape)
        if time is not None:
            check_time(time, self.frames[-1].time if self.frames else None)
        self._shape = frame.shape
        if time is None:
            time = self.frames[-1].time + 1 / self.rate if self.frames else 0.0
        self.frames.append(self._look(frame, time))
        self._listen()
        predictions = self._window()
        row: dict[Any, Any] = to_frame(self.model.answers, [predictions], labels=False).iloc[-1].to_dict()
        kept = self.frames[-1]
        box = dict(zip(("x0", "y0", "x1", "y1"), kept.box.tolist(), strict=True))
        left_out = ("video", "group", "frame", "time")
        shown = {str(k): v for k, v in row.items() if k not in left_out and not str(k).startswith("extra_")}
        return {"time": time, **box, "score": kept.score, **shown}

    # --- one frame ---

    def _look(self, frame: np.ndarray, time: float) -> _Kept:
        faces = self.finder.faces(frame)
        self.tracker.add(faces)
        taken = self.tracker.leading()
        kept = _Kept(time, np.full(4, np.nan, np.float32), float("nan"))
        crop = None
        if taken is not None:
            kept.box, kept.score = faces.boxes[taken], float(faces.scores[taken])
            self._last = time, kept.box
            crop = face_jpeg(frame, faces.landmarks[taken])
        height, width = frame.shape[:2]
        near = self._last is not None and time - self._last[0] <= GAP_SECONDS
        face = self._last[1] if near and self._last is not None else np.full(4, np.nan, np.float32)
        both = faces_and_people(face[None], width, height, max_gap=0)[0]
        person = both[4:]
        if self.finder.people is not None and any("boxes" in want.needs for want in self.wanted.values()):
            person = self.finder.people.box(frame, both[:4], person, self.posed)
        for name, want in self.wanted.items():
            shown = frame if want.kind is None else resize(frame, *want.kind)
            shown_to_it = shown if want.uses_video else None
            picture = want.cut(FrameView(shown_to_it, crop, person, (width, height), both[:4]))
            kept.present[name] = picture is not None
            if picture is not None:
                self._encode(name, want, picture, kept)
        return kept

    def _encode(self, name: str, want: Wanted, picture: np.ndarray, kept: _Kept) -> None:
        """Store the features of a picture, or the picture itself if its encoder was trained with the network."""
        slot = self.model.branches.frozen.get(name)
        if slot is None:
            kept.pictures[name] = picture
            return
        assert isinstance(slot.encoder.input, FrameInput)
        neighbours = 2 * slot.encoder.input.context
        frames = np.zeros((1 + neighbours, want.size, want.size, 3), np.uint8)
        frames[neighbours // 2] = picture
        seen = np.zeros(1 + neighbours, bool)
        seen[neighbours // 2] = True
        kept.features[name] = slot({"frames": frames, "present": seen}, np.ones(1, bool))[0]

    def _listen(self) -> None:
        """Store the features of the sound at the newest frame and drop samples that no window reaches any more."""
        kept, specs = self.frames[-1], []
        for plan in self.model.branches.plans:
            spec = self.model.branches.spec(plan)
            if not isinstance(spec, AudioInput):
                continue
            specs.append(spec)
            until = self.heard_from + len(self.samples) / spec.rate
            kept.present[plan.name] = bool(len(self.samples)) and self.heard_from <= kept.time <= until + SETTLE
            if (slot := self.model.branches.frozen.get(plan.name)) and kept.present[plan.name]:
                inputs = collate([self._sound(spec, [kept.time])], 1)
                kept.features[plan.name] = slot({k: v[0] for k, v in inputs.items()}, np.ones(1, bool))[0]
        if specs:
            self._forget(specs)

    def _forget(self, specs: list[AudioInput]) -> None:
        """Drop samples that no window of any branch reaches; the rest begins at a multiple of every branch's grid."""
        until = self.frames[0].time - 2 * max(spec.margin for spec in specs) - 1
        step = 16 * math.lcm(*(spec.grid for spec in specs))
        drop = min(int((until - self.heard_from) * specs[0].rate), len(self.samples)) // step * step
        if drop > 0:
            self.samples, self.heard_from = self.samples[drop:].copy(), self.heard_from + drop / specs[0].rate

    def _sound(self, spec: AudioInput, times: list[float]) -> dict[str, np.ndarray]:
        at = np.array(times) - self.heard_from
        first, last = sound_window(at, spec)
        first = min(first, len(self.samples))
        return {"samples": self.samples[first:last], "times": (at - first / spec.rate).astype(np.float32)}

    # --- the frames so far ---

    def _window(self) -> VideoAnswers:
        model, frames = self.model, list(self.frames)[:: -self.step][::-1]  # the newest frame is always part
        n = len(frames)
        present = {p.name: np.array([kept.present.get(p.name, False) for kept in frames]) for p in model.branches.plans}
        features, inputs = {}, {}
        for plan in model.branches.plans:
            name, spec = plan.name, model.branches.spec(plan)
            if (slot := model.branches.frozen.get(name)) is not None:
                none = np.zeros(slot.encoder.dim, np.float32)
                features[name] = np.stack([kept.features.get(name, none) for kept in frames])
            elif isinstance(spec, AudioInput):
                sound = collate([self._sound(spec, [kept.time for kept in frames])], n)
                inputs[name] = {key: torch.from_numpy(value) for key, value in sound.items()}
            else:
                inputs[name] = self._pictures(name, frames, spec)
        return model.latest(Recent(features, inputs, present, np.array([kept.time for kept in frames])))

    def _pictures(self, name: str, frames: list[_Kept], spec: FrameInput) -> dict[str, torch.Tensor]:
        pictures = np.zeros((1, len(frames) + 2 * spec.context, spec.size, spec.size, 3), np.uint8)
        seen = np.zeros(pictures.shape[:2], bool)
        for k, kept in enumerate(frames, spec.context):
            if name in kept.pictures:
                pictures[0, k], seen[0, k] = kept.pictures[name], True
        return {"frames": torch.from_numpy(pictures), "present": torch.from_numpy(seen)}
