"""`harness report RUN --faces`: the face crops at a run's largest errors, in a file of its own.

No other page links to it and only this command writes it, because the licence of the data may forbid sharing faces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.index.index import Index
from harness.data.streams.readers import FaceReader
from harness.data.streams.sources import source_of
from harness.io.atomic import atomic
from harness.reports.pictures import picture_uri
from harness.reports.rendering import render
from harness.reports.run_page import is_labelled
from harness.reports.sources import RunSources, read_sources
from harness.runs.finished import check_index, use_run
from harness.runs.folder import saved_config
from harness.runs.job import prepare_shared
from zoo.api import Answer, VideoAnswers
from zoo.errors import UserError

NAME = "faces.html"
MOST = {"value": 24, "class": 24, "binary": 8}
"""Most crops of an answer, by its kind."""
OF_A_VIDEO = 3
APART = 1.0
"""Least seconds between two crops of one video: neighbouring frames show the same face with the same error."""
SIDE = 112
QUALITY = 85


@dataclass(frozen=True)
class Mistake:
    """A frame with a wrong prediction.

    ``frame``: from 0; ``error``: the distance of value and label, or 1 minus the probability of the label.
    """

    video: str
    frame: int
    seconds: float
    label: str
    prediction: str
    error: float


def report_faces(run: Path, out: Path | None = None, *, data: Path | None = None, plugins: Sequence[Path] = ()) -> Path:
    """Write a page with the face crops at a run's largest errors and return the file.

    Args:
        run: The run's folder.
        out: The file; None: ``faces.html`` in the run's folder.
        data: The folder of the run's data; None: the folder that the run used.
        plugins: The plugin files that the run was made with.

    Raises:
        UserError: The run has no labelled predictions, its data are missing, differ or have no face crops, or the file
            cannot be written.
    """
    sources = read_sources(run)
    if "ensemble" in sources.record.result:
        raise UserError("report-faces-ensemble", folder=run)
    if sources.track is None or not is_labelled(sources):
        raise UserError("report-faces-no-predictions", folder=run)
    config, _ = use_run(run, saved_config(run), plugins=plugins, data=data)
    shared = prepare_shared(config)
    check_index(shared.index, sources.record, run)
    answers = [
        {"name": answer.name, "kind": answer.kind, "crops": list(_crops(answer, sources, shared.index))}
        for answer in sources.track.answers
    ]
    if not any(answer["crops"] for answer in answers):
        raise UserError("report-faces-none", folder=run, root=shared.index.root)
    page = render(
        "faces.html",
        None,
        title=f"{sources.record.name}: faces at the largest errors",
        run=sources.record.name,
        data=shared.data_name,
        synthetic=shared.synthetic,
        split=sources.split,
        answers=[answer for answer in answers if answer["crops"]],
        side=SIDE,
        of_a_video=OF_A_VIDEO,
    )
    path = out or run / NAME
    atomic(path, lambda part: part.write_text(page, encoding="utf-8"))
    return path


def largest_errors(answer: Answer, videos: Sequence[VideoAnswers]) -> Iterator[Mistake]:
    """Yield the labelled frames with a wrong prediction of an answer, the largest error first."""
    found: list[tuple[float, int, int]] = []
    for k, video in enumerate(videos):
        errors = errors_of(answer, video)
        found += [(float(errors[i]), k, int(i)) for i in np.flatnonzero(errors > 0)]
    for error, k, i in sorted(found, key=lambda one: (-one[0], one[1], one[2])):
        video = videos[k]
        label, said = _words(answer, video, i)
        yield Mistake(video.video, i, float(video.times[i]), label, said, error)


def errors_of(answer: Answer, video: VideoAnswers) -> np.ndarray:
    """Return the error at each frame (n,); 0 if it is unlabelled or the decision is right."""
    values = np.asarray(video.values[answer.name], np.float64)
    true = np.asarray(video.targets[answer.name], np.float64)
    known = np.isfinite(true)
    label = np.where(known, true, 0)
    if answer.kind == "class":
        right = values.argmax(1) == label
        return np.where(known & ~right, 1 - values[np.arange(len(label)), label.astype(int)], 0)
    if answer.kind == "binary":
        return np.where(known & ((values >= 0.5) != (label >= 0.5)), np.abs(values - label), 0)
    return np.where(known, np.abs(values - label), 0)


def _words(answer: Answer, video: VideoAnswers, i: int) -> tuple[str, str]:
    value, true = video.values[answer.name][i], float(video.targets[answer.name][i])
    if answer.kind == "class":
        k = int(np.argmax(value))
        return answer.classes[int(true)], f"{answer.classes[k]} {float(value[k]):.2f}"
    if answer.kind == "binary":
        return ("active" if true >= 0.5 else "not active"), f"{float(value):.2f}"
    return f"{true:+.2f}", f"{float(value):+.2f}"


def _crops(answer: Answer, sources: RunSources, index: Index) -> Iterator[Mapping[str, Any]]:
    """Yield the crops of an answer: at most OF_A_VIDEO of one video, at least APART seconds apart."""
    known, readers = {video.name: video for video in index.videos}, dict[str, FaceReader]()
    taken: dict[str, list[float]] = {}
    count = 0
    for mistake in largest_errors(answer, sources.raw):
        times = taken.setdefault(mistake.video, [])
        near = any(abs(mistake.seconds - time) < APART for time in times)
        if near or len(times) >= OF_A_VIDEO or mistake.video not in known:
            continue
        if mistake.video not in readers:
            readers[mistake.video] = FaceReader(source_of(index, known[mistake.video]))
        if (crop := readers[mistake.video].image(mistake.frame, None, SIDE)) is None:
            continue
        times.append(mistake.seconds)
        yield {"of": mistake, "picture": picture_uri(crop, QUALITY)}
        count += 1
        if count == MOST[answer.kind]:
            return
