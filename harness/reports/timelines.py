"""Predictions and labels over time for each video, thinned and packed for a page.

Numbers are written as base64 of little-endian integers: a value in thousandths as 16 bits, a time in milliseconds as 32
bits, a share of present frames in hundredths as 8 bits. -32768 stands for a missing value.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from harness.reports.thinning import Floats, edges, thin, thin_share, thin_times
from zoo.api import Answer, VideoAnswers

BUDGET = 4_500_000
"""Most bytes of all timelines of a page."""
MOST, LEAST = 3000, 120
"""Most and fewest points of a line, whatever the number of videos."""
NOTHING = -32768


class AnswerFacts(TypedDict):
    """An answer as the page's script reads it."""

    name: str
    kind: str
    classes: list[str]
    low: float
    high: float


class Timeline(TypedDict):
    """The lines of one video. ``lines``: answer -> raw, post or true -> packed values; ``present``: slot -> shares."""

    name: str
    group: str
    frames: int
    time: str
    lines: dict[str, dict[str, str]]
    present: dict[str, str]


class ScoredTimeline(Timeline):
    """A timeline with the score of its video, None if there is none."""

    score: float | None


class Timelines(TypedDict):
    """All timelines of a page."""

    answers: list[AnswerFacts]
    videos: list[ScoredTimeline]


def timelines(
    answers: Sequence[Answer], raw: Sequence[VideoAnswers], post: Sequence[VideoAnswers] = ()
) -> list[Timeline]:
    """Return the timeline of every video in the order of ``raw``.

    Args:
        answers: The predicted quantities.
        raw: The predictions.
        post: The predictions after post-processing; they get lines of their own if they differ.
    """
    processed = {video.video: video for video in post}
    lines = sum(2 + bool(post) for _ in answers) + 2
    points = points_of(len(raw), lines)
    return [_timeline(answers, video, processed.get(video.video), points) for video in raw]


def described(answer: Answer) -> AnswerFacts:
    """Return an answer in the form that the page's script reads."""
    return {
        "name": answer.name,
        "kind": answer.kind,
        "classes": list(answer.classes),
        "low": answer.low,
        "high": answer.high,
    }


def points_of(videos: int, lines: int) -> int:
    """Return the number of points that a line may have, given the videos and the lines of each."""
    room = BUDGET / max(1, videos) / max(1, lines) / (2 * 4 / 3)
    return int(min(MOST, max(LEAST, room)))


def _timeline(answers: Sequence[Answer], raw: VideoAnswers, post: VideoAnswers | None, points: int) -> Timeline:
    bounds = edges(len(raw.times), points)
    lines: dict[str, dict[str, str]] = {}
    for answer in answers:
        line = {"raw": _decided(answer, raw.values), "true": np.asarray(raw.targets[answer.name], np.float64)}
        if post is not None and len(post.times) == len(raw.times):
            processed = _decided(answer, post.values)
            line |= {"post": processed} if not np.array_equal(processed, line["raw"]) else {}
        lines[answer.name] = {kind: pack_values(thin(values, bounds)) for kind, values in line.items() if _any(values)}
    return {
        "name": raw.video,
        "group": raw.group,
        "frames": len(raw.times),
        "time": pack_times(thin_times(np.asarray(raw.times, np.float64), bounds)),
        "lines": lines,
        "present": {slot: pack_shares(thin_share(mask, bounds)) for slot, mask in raw.present.items()},
    }


def _decided(answer: Answer, values: Mapping[str, np.ndarray]) -> Floats:
    """Return the line of an answer: a value or probability unchanged, a class as its index."""
    found = np.asarray(values[answer.name], np.float64)
    return found.argmax(1).astype(np.float64) if answer.kind == "class" else found


def _any(values: Floats) -> bool:
    return bool(np.isfinite(values).any())


def pack_values(values: Floats) -> str:
    """Return values, clipped to +-32, as text."""
    whole = np.clip(np.round(np.nan_to_num(values, posinf=32.0, neginf=-32.0) * 1000), -32767, 32767)
    return _text(np.where(np.isnan(values), NOTHING, whole).astype("<i2"))


def pack_times(seconds: Floats) -> str:
    """Return times in seconds as text."""
    return _text(np.round(np.nan_to_num(seconds) * 1000).clip(-(2**31), 2**31 - 1).astype("<i4"))


def pack_shares(shares: Floats) -> str:
    """Return shares from 0 to 1 as text."""
    return _text(np.round(shares * 100).astype("u1"))


def _text(numbers: np.ndarray) -> str:
    return base64.b64encode(numbers.tobytes()).decode()
