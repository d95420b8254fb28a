"""Statistics of a data folder for one track: labels of each split, faces, lengths, rates, sound, groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from harness.data.decoding.video import VideoInfo
from harness.data.index.index import Index, Video
from harness.reports.values import Density, density
from zoo.api import Answer

SPLITS = ("train", "val", "test")
BINS = 24


class SplitCount(NamedTuple):
    """Counts of one split; ``frames`` counts those that are scored or written."""

    split: str
    videos: int
    groups: int
    frames: int
    labelled: int
    faces: int


class Balance(NamedTuple):
    """Frames of each class, or with each unit active, and the labelled frames in total, by split."""

    names: list[str]
    frames: dict[str, list[int]]
    labelled: dict[str, list[int]]


class Histogram(NamedTuple):
    """Counts in bins of equal width: ``edges`` has one more than ``counts``."""

    name: str
    edges: list[float]
    counts: list[int]
    least: float
    middle: float
    greatest: float


def split_counts(index: Index) -> list[SplitCount]:
    """Return the counts of every split that has videos."""
    found = []
    for split, videos in _splits(index).items():
        labelled = sum(int(np.isfinite(video.labels).any(axis=1).sum()) for video in videos)
        faces = sum(int((video.crop_frames & video.rows).sum()) for video in videos)
        frames = sum(int(video.rows.sum()) for video in videos)
        found.append(SplitCount(split, len(videos), len({v.group for v in videos}), frames, labelled, faces))
    return found


def class_balance(index: Index) -> Balance | None:
    """Return the frames of each class of the track; None if it has no class answer."""
    at = next((i for i, a in enumerate(index.track.answers) if a.kind == "class"), None)
    if at is None:
        return None
    classes = index.track.answers[at].classes
    frames = {
        split: np.bincount(labels[~np.isnan(labels)].astype(int), minlength=len(classes)).tolist()
        for split, labels in ((split, _labels(videos)[:, at]) for split, videos in _splits(index).items())
    }
    frames = {split: counts for split, counts in frames.items() if sum(counts)}
    return Balance(list(classes), frames, {split: [sum(counts)] * len(classes) for split, counts in frames.items()})


def unit_rates(index: Index) -> Balance | None:
    """Return the number of frames with each unit active; None if the track has no units."""
    units = _units(index)
    if not units:
        return None
    frames, labelled = {}, {}
    for split, videos in _splits(index).items():
        labels = _labels(videos)[:, list(units)]
        if np.isfinite(labels).any():
            frames[split] = np.nansum(labels, axis=0).astype(int).tolist()
            labelled[split] = np.isfinite(labels).sum(0).tolist()
    return Balance([answer.name for answer in units.values()], frames, labelled)


def co_occurrence(index: Index) -> tuple[list[str], NDArray[np.float64]] | None:
    """Return how often units are active together, over all splits; None for fewer than two units.

    Returns:
        The units, and a matrix: of the frames with the row's unit active, the share with the column's unit active too.
        Only frames with labels for both count; 0 if there are none.
    """
    units = _units(index)
    if len(units) < 2:
        return None
    labels = _labels(index.videos)[:, list(units)]
    known, active = np.isfinite(labels).astype(float), np.nan_to_num(labels)
    both, chances = active.T @ active, active.T @ known
    return [answer.name for answer in units.values()], np.divide(both, chances, np.zeros_like(both), where=chances > 0)


def value_densities(index: Index) -> list[tuple[str, Density]]:
    """Return the density of the track's two values in each split; none where it has not two."""
    at = [i for i, answer in enumerate(index.track.answers) if answer.kind == "value"]
    if len(at) != 2:
        return []
    a, b = (index.track.answers[i] for i in at)
    found = []
    for split, videos in _splits(index).items():
        labels = _labels(videos)[:, at].astype(np.float64)
        labels = labels[np.isfinite(labels).all(1)]
        if len(labels):
            found.append((split, density(a, b, labels[:, 0], labels[:, 1], (f"{split}: {a.name}", b.name))))
    return found


def media(index: Index, infos: Mapping[Path, VideoInfo]) -> list[Histogram]:
    """Return histograms of the videos.

    They show frames, the share of frames with a face, and seconds, frame rate and picture height of the files.
    """
    own = {video.video for video in index.videos if video.video is not None}
    files = [info for path, info in infos.items() if path in own and len(info.times) > 1]
    seconds = [float(info.times[-1] - info.times[0]) for info in files]
    shares = [float(v.crop_frames[v.rows].mean()) for v in index.videos if v.rows.any()]
    named: dict[str, Sequence[float]] = {
        "frames of a video": [video.n_frames for video in index.videos],
        "share of frames with a face": shares,
        "seconds of a file": seconds,
        "frames a second of a file": [(len(i.times) - 1) / s for i, s in zip(files, seconds, strict=True) if s > 0],
        "height of a picture, pixels": [info.height for info in files],
    }
    return [histogram(name, values) for name, values in named.items() if len(values)]


def sound(index: Index, infos: Mapping[Path, VideoInfo]) -> tuple[int, int]:
    """Return the number of raw videos with sound, and the number of raw videos that could be read."""
    own = {video.video for video in index.videos if video.video is not None}
    known = [info.has_audio for path, info in infos.items() if path in own]
    return sum(known), len(known)


def crossing_groups(index: Index) -> list[tuple[str, list[str]]]:
    """Return the groups with videos in several splits, and those splits."""
    seen: dict[str, set[str]] = {}
    for video in index.videos:
        seen.setdefault(video.group, set()).add(video.split)
    return [(group, [s for s in SPLITS if s in splits]) for group, splits in sorted(seen.items()) if len(splits) > 1]


def histogram(name: str, values: Sequence[float]) -> Histogram:
    """Return a histogram of finite numbers; there must be at least one."""
    numbers = np.asarray(values, np.float64)
    counts, edges = np.histogram(numbers, BINS)
    middle = float(np.median(numbers))
    return Histogram(name, edges.tolist(), counts.tolist(), float(numbers.min()), middle, float(numbers.max()))


class Together(TypedDict):
    """The share of frames with unit ``names[row]`` that also have ``names[column]``."""

    names: list[str]
    shares: list[list[float]]


class TrackFigures(TypedDict):
    """All statistics of one track. ``sound``: videos with sound, and all; ``crossing``: groups on several splits."""

    name: str
    variant: str
    counts: list[SplitCount]
    balance: Balance | None
    rates: Balance | None
    together: Together | None
    densities: list[Density]
    media: list[Histogram]
    sound: tuple[int, int]
    crossing: list[tuple[str, list[str]]]


def track_figures(index: Index, infos: Mapping[Path, VideoInfo]) -> TrackFigures:
    """Return all statistics of one track, as the page's template expects them."""
    together = co_occurrence(index)
    return {
        "name": f"{index.edition.name} {index.track.name}",
        "variant": index.variant,
        "counts": split_counts(index),
        "balance": class_balance(index),
        "rates": unit_rates(index),
        "together": None if together is None else {"names": together[0], "shares": together[1].tolist()},
        "densities": [each for _, each in value_densities(index)],
        "media": media(index, infos),
        "sound": sound(index, infos),
        "crossing": crossing_groups(index),
    }


def _splits(index: Index) -> dict[str, list[Video]]:
    found = {split: [video for video in index.videos if video.split == split] for split in SPLITS}
    return {split: videos for split, videos in found.items() if videos}


def _labels(videos: Sequence[Video]) -> NDArray[np.float64]:
    return np.concatenate([video.labels for video in videos]).astype(np.float64)


def _units(index: Index) -> dict[int, Answer]:
    return {i: answer for i, answer in enumerate(index.track.answers) if answer.kind == "binary"}
