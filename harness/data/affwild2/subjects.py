"""Annotated and listed people: names, splits, labels and rows. Pictures and sound are looked up later."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.data.affwild2.annotation_files import ImageLabels
from harness.data.affwild2.annotation_sets import Annotations
from harness.data.affwild2.cached_files import Files
from harness.data.affwild2.media import Media
from harness.data.index.index import Split
from harness.data.index.samples import Images, TestList
from zoo.errors import UserError
from zoo.files import name_key
from zoo.tracks import TrackSpec

MOST = 20_000_000
"""Maximum total frames of the videos in an image list, seven times Aff-Wild2's.

A frame number with a digit too many would otherwise allocate all memory.
"""


@dataclass(frozen=True, eq=False)
class Subject:
    """One person in one video, for whom predictions are made.

    ``labels``: (n, A) float32, NaN where unlabelled. ``rows``: (n,) bool, frames that are scored and written.
    ``source``: the annotation file or test list; None for a test video that is simply not annotated.
    """

    name: str
    split: Split
    labels: np.ndarray
    rows: np.ndarray
    source: Path | None


def annotated(chosen: Annotations, track: TrackSpec, files: Files) -> list[Subject]:
    """Return everyone in a track's annotations, train before val, in the order of files and names.

    Raise UserError if a file is faulty or a name is annotated twice.
    """
    people: dict[str, Subject] = {}
    sets: list[tuple[Split, Path]] = [("train", path) for path in chosen.files.get("train", ())]
    sets += [("val", path) for path in chosen.files.get("val", ())]
    for split, path in sets:
        if track.unit == "image":
            listed = files.image_labels(path)
            _refuse_doubled(people, listed.images.videos, path, listed)
            found = from_images(listed.images, listed.labels, split, path)
        else:
            name = name_key(path.stem)
            _refuse_doubled(people, [name], path)
            labels = files.frame_labels(path)
            found = [Subject(name, split, labels, np.ones(len(labels), bool), path)]
        people.update({person.name: person for person in found})
    return list(people.values())


def from_list(
    official: TestList, others: Iterable[Subject], track: TrackSpec, media: Media
) -> tuple[list[Subject], list[str]]:
    """Return the test videos of an official list, in its order, and the listed names that are not in the data folder.

    Names without any media are not returned as subjects: a prediction for them would have no input.
    Raise UserError if a listed video is annotated.
    """
    sources = {person.name: person.source for person in others}
    for name in official.videos:
        if name in sources:
            raise UserError("test-video-annotated", path=official.path, name=name, part=sources[name])
    if track.unit == "image" and official.kind != "rows":
        raise UserError("list-not-of-images", path=official.path, name=track.name)
    absent = [name for name in official.videos if not media.has(name)]
    here = [name for name in official.videos if name not in set(absent)]
    if official.kind == "rows":
        images = Images(official.videos, official.row_video, official.row_frame)
        people = from_images(images, _unlabelled(len(official.row_frame), track), "test", official.path)
        return [person for person in people if person.name in set(here)], absent
    return [_test_video(name, media.length(name) or 0, track, official.path) for name in here], absent


def from_names(names: Iterable[str], track: TrackSpec, media: Media) -> list[Subject]:
    """Return one test subject per name, as long as its raw video or its crops."""
    return [_test_video(name, media.length(name) or 0, track, None) for name in names]


def from_images(images: Images, labels: np.ndarray, split: Split, path: Path) -> list[Subject]:
    """Return one person per video of an image list. Frames that are not listed have no labels and no row.

    ``labels``: (R, A), the labels of each list row.
    """
    order = np.argsort(images.row_video, kind="stable")
    ends = np.cumsum(np.bincount(images.row_video, minlength=len(images.videos)))
    highest = np.zeros(len(images.videos), np.int64)
    np.maximum.at(highest, images.row_video, images.row_frame)
    if highest.sum() > MOST:
        name = images.videos[int(highest.argmax())]
        raise UserError(
            "list-frames-too-many",
            file=path,
            count=len(images.videos),
            frames=highest.sum(),
            name=name,
            most=highest.max(),
            limit=MOST,
        )
    people = []
    for name, mine in zip(images.videos, np.split(order, ends[:-1]), strict=True):
        at = images.row_frame[mine] - 1
        rows = np.zeros(at.max() + 1, bool)
        rows[at] = True
        spread = np.full((len(rows), labels.shape[1]), np.nan, np.float32)
        spread[at] = labels[mine]
        people.append(Subject(name, split, spread, rows, path))
    return people


def _test_video(name: str, n: int, track: TrackSpec, source: Path | None) -> Subject:
    return Subject(name, "test", _unlabelled(n, track), np.ones(n, bool), source)


def _unlabelled(n: int, track: TrackSpec) -> np.ndarray:
    return np.full((n, len(track.answers)), np.nan, np.float32)


def _refuse_doubled(
    people: dict[str, Subject], names: Iterable[str], path: Path, listed: ImageLabels | None = None
) -> None:
    for place, name in enumerate(names):
        if name in people:
            line = f", line {int(np.argmax(listed.images.row_video == place)) + 2}" if listed else ""
            raise UserError("annotated-twice", file=path, line=line, name=name, source=people[name].source)
