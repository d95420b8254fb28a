"""Reading of a finished run's predictions for its report, even if its track is not registered here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
from pyarrow import parquet

from harness.evaluation.prediction_tables import read_predictions
from harness.evaluation.scoring import statistics_of
from harness.runs.finished import check_written
from leaderboards.blocks import Result
from zoo.api import Answer, TrackSpec, VideoAnswers
from zoo.errors import UserError, first_line
from zoo.files import open_file
from zoo.metrics.scores import FORMULAS
from zoo.registry.registry import load
from zoo.registry.tracks import find_track


def read_checked(path: Path, result: Result) -> tuple[TrackSpec, list[VideoAnswers]]:
    """Return the track and the predictions of a file, after comparing it with the digest in the run's record.

    Raises:
        UserError: The file is not the recorded one, or cannot be read.
    """
    check_written(path)
    try:
        with open_file(path) as file:
            names = parquet.read_schema(file).names
    except (OSError, pa.ArrowException, ValueError) as error:
        raise UserError(
            "predictions-invalid", file=path, name=str(result.get("track")), reason=first_line(error)
        ) from None
    track = _registered(result) or inferred(names, result)
    videos = read_predictions(path, track)
    try:
        for video in videos:
            statistics_of(track, video)
    except ValueError as error:  # a label that is not a class, a prediction that is not a number
        raise UserError("predictions-invalid", file=path, name=track.name, reason=first_line(error)) from None
    return track, videos


def _registered(result: Result) -> TrackSpec | None:
    try:
        return find_track(load([]), str(result.get("track")), result.get("edition"))[1]
    except UserError:  # its edition was registered by a plugin
        return None


def inferred(names: Sequence[str], result: Result) -> TrackSpec:
    """Return the track of a table of predictions, inferred from its columns and the record.

    Raises:
        UserError: The table has no label columns, as for test videos, or the metric is unknown.
    """
    answers = []
    true = [name.removesuffix("_true") for name in names if name.endswith("_true")]
    binary = {name for name in true if f"p_{name}" in names and f"{name}_name" not in names}
    for name in true:
        if f"{name}_name" in names:
            classes = tuple(p.removeprefix("p_") for p in names if p.startswith("p_") and p[2:] not in binary)
            answers.append(Answer(name, "class", -1, classes))
        else:
            answers.append(Answer(name, "binary" if name in binary else "value", -1 if name in binary else -5))
    metric = str(result.get("metric"))
    if not answers or metric not in FORMULAS:
        raise UserError("report-track-unknown", name=str(result.get("track")), edition=str(result.get("edition")))
    low, high = cast(Any, result.get("score_range") or (0.0, 1.0))
    return TrackSpec(str(result.get("track")), tuple(answers), metric, (low, high), (), (), "", "")
