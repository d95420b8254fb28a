"""Compare the counts of an index with those that the organisers published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.data.index.index import Index, Split, Video

Figure = int | Mapping[str, int]
_SPLITS: tuple[Split, ...] = ("train", "val", "test")
UNCONFIRMED = "official figure unconfirmed"
UNPUBLISHED = "not published"


@dataclass(frozen=True)
class Row:
    """One compared figure.

    ``official``: the published figure. ``found``: the counted one. ``verdict``: ``equal``, ``off by +n``,
    ``official figure unconfirmed`` or ``not published``. ``cause``: a likely reason if the figure is off.
    """

    edition: str
    track: str
    what: str
    official: str
    found: str
    verdict: str
    cause: str = ""


def measure(index: Index) -> dict[str, Figure]:
    """Count the figures of an index, by the keys of TrackSpec.figures.

    A frame counts as labelled if any of its answers is. ``class_counts`` has the frames of each class of the track's
    class answer.
    """
    figures: dict[str, Figure] = {f"videos_{split}": len(index.split(split)) for split in _SPLITS}
    for split in _SPLITS[:2]:
        videos = index.split(split)
        labelled = sum(int(_labelled(video).sum()) for video in videos)
        with_crop = sum(int((_labelled(video) & video.crop_frames).sum()) for video in videos)
        figures[f"labelled_{split}"] = labelled
        figures[f"labelled_with_crop_{split}"] = with_crop
        figures[f"labelled_without_crop_{split}"] = labelled - with_crop
        for column, answer in enumerate(index.track.answers):
            if answer.kind == "class":
                counts = _class_counts(videos, column, len(answer.classes), cropped=False)
                figures[f"class_counts_{split}"] = dict(zip(answer.classes, counts, strict=True))
                counts = _class_counts(videos, column, len(answer.classes), cropped=True)
                figures[f"class_counts_with_crop_{split}"] = dict(zip(answer.classes, counts, strict=True))
    figures["test_rows"] = sum(int(video.rows.sum()) for video in index.split("test"))
    return figures


def compare(index: Index) -> list[Row]:
    """Compare official figures with found ones, in the order of the track's figures."""
    found = measure(index)
    rows = []
    for key, official in index.track.figures.items():
        for what, wanted, have in _single(key, official, found.get(key)):
            verdict = _verdict(wanted, have)
            cause = _cause(key, index, found) if verdict.startswith("off by") else ""
            rows.append(Row(index.edition.name, index.track.name, what, _shown(wanted), _shown(have), verdict, cause))
    return rows


def _labelled(video: Video) -> np.ndarray:
    return np.asarray(~np.isnan(video.labels).all(axis=1))


def _class_counts(videos: list[Video], column: int, classes: int, cropped: bool) -> list[int]:
    counts = np.zeros(classes, np.int64)
    for video in videos:
        labels = video.labels[video.crop_frames, column] if cropped else video.labels[:, column]
        counts += np.bincount(labels[~np.isnan(labels)].astype(np.int64), minlength=classes)
    return [int(count) for count in counts]


def _single(key: str, official: Any, found: Figure | None) -> Iterator[tuple[str, Any, int | None]]:
    """Yield (description, official, found) for a figure, or for each of its classes."""
    what, split = key, ""
    if key.endswith(("_train", "_val", "_test")):
        what, _, split = key.rpartition("_")
    words = what.replace("_", " ") + (f", {split}" if split else "")
    if isinstance(official, Mapping):
        counts = found if isinstance(found, Mapping) else {}
        for name, wanted in official.items():
            yield f"{words}, {name}", wanted, counts.get(name)
    else:
        yield words, official, found if isinstance(found, int) else None


def _verdict(official: int | tuple[int, ...] | None, found: int | None) -> str:
    if official is None or found is None:
        return UNCONFIRMED
    published = official if isinstance(official, tuple) else (official,)
    off = min((found - one for one in published), key=abs)
    return f"off by {off:+,}" if off else "equal"


def _shown(figure: int | tuple[int, ...] | None) -> str:
    if figure is None:
        return "?"
    return " | ".join(f"{one:,}" for one in figure) if isinstance(figure, tuple) else f"{figure:,}"


def _cause(key: str, index: Index, found: Mapping[str, Figure]) -> str:
    """Return the likely reason why a figure is off, for a user who has just unpacked the data."""
    split = key.rpartition("_")[2]
    if key in ("test_rows", "videos_test"):
        if index.test_list is None:
            return "no official test list in the folder"
        if index.test_list.kind == "names" and key == "test_rows":
            return "counted from the videos; the organisers' example file decides, often one more frame per video"
        return "the test list of another edition, or of a part of the data"
    official_videos = index.track.figures.get(f"videos_{split}")
    if official_videos is not None and found[f"videos_{split}"] != official_videos:
        return "a part of the data only, or another edition's annotations"
    if "_crop" in key:
        bare = sum(video.crops is None for video in index.videos if video.split == split)
        if bare:
            return f"videos without crops: {bare}"
        if index.track.figures.get(f"labelled_{split}") in (None, found[f"labelled_{split}"]):
            return "another release of the crops, or some are missing"
    return "another edition's annotations, a part of the data only, or files that were changed"
