"""Diagnosis of the user's own videos, to which the published counts of Aff-Wild2 do not apply."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from harness.data.doctor.published_counts import UNPUBLISHED, Row, measure
from harness.data.index.index import Index, Video

FEWEST = 10
"""Minimum number of groups: with fewer, the interval of a score is too wide to be useful (docs: intervals)."""

FACELESS = 0.2  # share of labelled frames without a crop above which a note is given

_OFFICIAL = re.compile(r"(?:\d+-\d+-\d+x\d+(?:-\d+)?|video\d+(?:_\d+)?|\d+)(?:_left|_right)?")


def is_affwild2(index: Index) -> bool:
    """Return True if at least half of the annotated videos have names like Aff-Wild2's; others may have been added."""
    names = [video.name for video in index.videos if video.split != "test"] or [v.name for v in index.videos]
    return 2 * sum(_OFFICIAL.fullmatch(name) is not None for name in names) >= len(names)


def own_figures(index: Index) -> list[Row]:
    """Return the counts of an index as comparison rows: videos, groups, labelled frames and classes per split."""
    found = measure(index)
    counts: dict[str, int] = {}
    for split in ("train", "val"):
        videos = index.split(split)
        counts[f"videos, {split}"] = len(videos)
        counts[f"groups, {split}"] = len({video.group for video in videos})
        counts[f"labelled frames, {split}"] = _number(found[f"labelled_{split}"])
        counts[f"labelled frames with a face, {split}"] = _number(found[f"labelled_with_crop_{split}"])
        classes = found.get(f"class_counts_{split}")
        if isinstance(classes, Mapping):
            counts |= {f"{name}, {split}": count for name, count in classes.items()}
    counts["videos, test"] = len(index.split("test"))
    names = index.edition.name, index.track.name
    return [Row(*names, what, "", f"{count:,}", UNPUBLISHED) for what, count in counts.items()]


def judge(index: Index) -> tuple[list[str], list[str]]:
    """Return the notes and the problems of a data set without published figures."""
    return list(_notes(index)), list(_problems(index))


def _problems(index: Index) -> Iterator[str]:
    train, val = index.split("train"), index.split("val")
    for column, answer in enumerate(index.track.answers):
        if answer.kind == "value":
            continue
        names = answer.classes if answer.kind == "class" else (f"no {answer.name}", answer.name)
        seen, asked = _counts(train, column, len(names)), _counts(val, column, len(names))
        never = [name for name, count in zip(names, seen, strict=True) if not count]
        if never and train:
            scored = [name for name in never if asked[names.index(name)]]
            also = f"; val has {', '.join(scored)}" if scored else ""
            yield f"no training frame of {', '.join(never)}: they cannot be learned{also}"


def _notes(index: Index) -> Iterator[str]:
    for split in ("train", "val"):
        videos = index.split(split)
        groups = len({video.group for video in videos})
        if 0 < groups < FEWEST:
            yield (
                f"{groups} groups in {split}, fewer than {FEWEST}: scores have wide intervals and cannot rank models; "
                "`harness run --folds` scores every video"
            )
    labelled = [~np.isnan(video.labels).all(axis=1) for video in index.videos]
    total = sum(int(mask.sum()) for mask in labelled)
    faceless = sum(int((mask & ~v.crop_frames).sum()) for mask, v in zip(labelled, index.videos, strict=True))
    if total and faceless > FACELESS * total:
        worst = max(
            index.videos, key=lambda video: int((~np.isnan(video.labels).all(axis=1) & ~video.crop_frames).sum())
        )
        yield f"{faceless / total:.0%} of the labelled frames have no face, most of them in {worst.name}"


def _counts(videos: list[Video], column: int, classes: int) -> np.ndarray:
    every = [video.labels[:, column] for video in videos]
    labels = np.concatenate(every) if every else np.zeros(0, np.float32)
    return np.bincount(labels[~np.isnan(labels)].astype(np.int64), minlength=classes)


def _number(figure: object) -> int:
    return figure if isinstance(figure, int) else 0
