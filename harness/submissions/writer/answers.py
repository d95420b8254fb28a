"""Predictions as columns: N predicted frames (or images, videos) of U units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zoo.errors import UserError
from zoo.tracks import TrackSpec, VideoAnswers

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """Predictions for N frames of U units, as columns.

    ``names``: of the U units, which are videos or single items. ``unit`` (N,): index into them, ascending; ``frame``
    (N,): from 1, ascending within a unit (1 for items).

    ``values``: answer -> (N,) numbers, (N, classes) probabilities or (N,) probabilities of 1. ``chosen``: answer ->
    (N,) class numbers, if these were given; they take precedence. ``whole``: True if the predictions come from a run,
    whose videos have every frame; otherwise missing frames are gaps to be filled. ``unseen`` (N,): frames that no slot
    saw. Their predictions were made by the run's post-processor `interpolate` (without it they are the model's).
    ``numeric``: the names were read from a column of numbers, which has lost leading zeros. ``where``: put before error
    messages.
    """

    names: tuple[str, ...]
    unit: Ints
    frame: Ints
    values: Mapping[str, Floats]
    chosen: Mapping[str, Ints]
    whole: bool
    unseen: NDArray[np.bool_]
    numeric: bool = False
    where: str = ""
    last: Ints = field(init=False)  # (U,) last predicted frame
    ends: Ints = field(init=False)  # (U + 1,) row at which each unit begins, and the end

    def __post_init__(self) -> None:
        counts = np.bincount(self.unit, minlength=len(self.names))
        ends = np.concatenate([[0], np.cumsum(counts)])
        object.__setattr__(self, "ends", ends)
        object.__setattr__(self, "last", self.frame[ends[1:] - 1] if len(self.names) else np.zeros(0, np.int64))


def from_videos(track: TrackSpec, videos: Sequence[VideoAnswers]) -> Answers:
    """Return a run's predictions; raise UserError if one is not a finite number."""
    videos = [video for video in videos if len(video.times)]
    lengths = np.array([len(video.times) for video in videos], np.int64)
    unit = np.repeat(np.arange(len(videos)), lengths)
    frame = np.concatenate([np.arange(1, n + 1) for n in lengths]) if videos else unit
    values: dict[str, Floats] = {}
    for answer in track.answers:
        parts = [np.asarray(video.values[answer.name], np.float64) for video in videos]
        if [len(part) for part in parts] != lengths.tolist():
            raise ValueError(f"a video has more or fewer answers {answer.name} than frames")
        values[answer.name] = np.concatenate(parts) if parts else np.zeros(0)
    seen = [np.any(list(v.present.values()), axis=0) if v.present else np.ones(len(v.times), bool) for v in videos]
    unseen = ~np.concatenate(seen) if seen else np.zeros(0, bool)
    answers = Answers(tuple(v.video for v in videos), unit, frame, values, {}, True, unseen)
    check_finite(answers)
    return answers


def filled_before(answers: Answers) -> tuple[np.ndarray, np.ndarray]:
    """Return two (N,) bool masks of unseen frames.

    First those between two seen frames of their unit; then those before the first or after the last seen frame.
    """
    seen = np.flatnonzero(~answers.unseen)
    here = np.searchsorted(seen, np.arange(len(answers.unseen)))
    before = here > np.searchsorted(seen, answers.ends[answers.unit])
    after = here < np.searchsorted(seen, answers.ends[answers.unit + 1])
    return answers.unseen & before & after, answers.unseen & (before ^ after)


def check_finite(answers: Answers) -> None:
    """Raise UserError that names the first frame with a prediction that is not a finite number."""
    for name, values in answers.values.items():
        finite = np.isfinite(values) if values.ndim == 1 else np.isfinite(values).all(1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise UserError(
                "answer-not-finite",
                where=answers.where,
                part=answers.names[answers.unit[row]],
                frame=answers.frame[row],
                name=name,
                rows=int((~finite).sum()),
            )
