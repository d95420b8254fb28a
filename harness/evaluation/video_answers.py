"""The predictions of a video, with its labels, masks and times, from the decoded columns of its frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from harness.batching.clips import ClipData
from harness.batching.windows import nearest
from zoo.api import Answer, TrackSpec, VideoAnswers
from zoo.registry.own_classes import OwnClasses


def delayed(
    data: ClipData,
    v: int,
    track: TrackSpec,
    decoded: np.ndarray,
    slots: Sequence[str],
    own: Sequence[OwnClasses],
    delay: float,
) -> VideoAnswers:
    """Return the first n predictions (rows, n, columns) of video ``v``, moved later by ``delay`` seconds."""
    present = data.present[v]
    if delay:
        # The masks move with the predictions: interpolation replaces the predictions made from frames that no slot
        # has seen, and must find them where they are now.
        times = data.times(v)
        source = nearest(times, times - delay)[0]
        source = source[: np.searchsorted(source, decoded.shape[1])]  # the rest is moved from frames not decoded yet
        decoded, present = decoded[:, source], {slot: mask[source] for slot, mask in present.items()}
    more = second_answers(track.answers, decoded[1:], slots, own)
    return video_answers(data, v, track.answers, decoded[0], more, present)


def video_answers(
    data: ClipData,
    v: int,
    answers: tuple[Answer, ...],
    decoded: np.ndarray,
    more: Mapping[str, np.ndarray],
    present: dict[str, np.ndarray],
) -> VideoAnswers:
    """Return the predictions of video ``v``, or of its first n frames, with their labels, masks and times.

    ``decoded``: columns (n, sum of widths); ``more``: extra predictions by name.
    """
    video, n = data.videos[v], len(decoded)
    values = columns_of(answers, decoded)
    labels = video.labels[:n].view()
    labels.flags.writeable = False  # not copied: they belong to the index
    targets = {answer.name: labels[:, a] for a, answer in enumerate(answers)}
    # A video without any face has no crop folder. If no video has one, nothing is known about faces.
    extra = {"crop": video.crop_frames[:n]} if any(v.crops is not None for v in data.index.videos) else {}
    present = {slot: mask[:n] for slot, mask in present.items()}
    return VideoAnswers(video.name, video.group, values, targets, present, data.times(v)[:n], {**extra, **more})


def columns_of(answers: tuple[Answer, ...], decoded: np.ndarray) -> dict[str, np.ndarray]:
    """Split decoded columns (n, sum of widths) by answer: (n, classes) for a class, else (n,).

    The columns are float32, which has all the digits of a network's output, because the predictions for a large set are
    in memory at once.
    """
    ends = np.cumsum([answer.width for answer in answers])[:-1]
    parts = zip(answers, np.split(decoded.astype(np.float32), ends, axis=1), strict=True)
    return {answer.name: np.ascontiguousarray(part if answer.kind == "class" else part[:, 0]) for answer, part in parts}


def second_answers(
    answers: tuple[Answer, ...], decoded: np.ndarray, slots: Sequence[str], own: Sequence[OwnClasses]
) -> dict[str, np.ndarray]:
    """Return the extra predictions of a video by name, from the rows (slots + own, n, columns) after the first."""
    found: dict[str, np.ndarray] = {}
    for slot, row in zip(slots, decoded[: len(slots)], strict=True):
        found |= {f"slot.{slot}.{name}": part for name, part in columns_of(answers, row).items()}
    for one, row in zip(own, decoded[len(slots) :], strict=True):
        found[one.key] = row[:, : len(one.columns)].astype(np.float32)
    return found


def between(decoded: np.ndarray, sampled: np.ndarray, times: np.ndarray, seen: Sequence[np.ndarray]) -> np.ndarray:
    """Interpolate the predictions of sampled frames linearly in time to all frames; at the ends they are held.

    A sampled frame without data is left out, so that it does not spoil its neighbours, unless all are without.

    Args:
        decoded: (S, m, columns), S predictions of the sampled frames.
        sampled: (m,) their increasing frame numbers.
        times: (n,) of all frames, in seconds.
        seen: For each of the S, (n,) bool: the frames with data.

    Returns:
        (S, n, columns).
    """
    out = np.empty((len(decoded), len(times), decoded.shape[-1]))
    for row, values, mask in zip(out, decoded, seen, strict=True):
        known = mask[sampled] if mask[sampled].any() else np.ones(len(sampled), bool)
        for column in range(decoded.shape[-1]):
            row[:, column] = np.interp(times, times[sampled[known]], values[known, column])
    return out
