"""Contents of a run's folder, read for its report. Missing or changed files become notes on the page, not errors."""

from __future__ import annotations

import csv
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.io.digests import check_file
from harness.reports.prediction_files import read_checked
from harness.runs.finished import record_of_run
from leaderboards.record import Record
from leaderboards.tables import leaderboard
from zoo.api import TrackSpec, VideoAnswers
from zoo.errors import UserError, first_line
from zoo.text import undo_inert

History = list[dict[str, float]]


@dataclass
class RunSources:
    """The contents of a run's folder that its report needs.

    Attributes:
        folder: The folder of the run.
        record: Its record.
        track: The track of its predictions; None without predictions.
        raw, post: Predictions before and after post-processing, of the videos of ``split``.
        split: Split of the predictions, with the member's name if the run itself has none.
        histories: Member -> its epochs; "" for the run itself.
        members: The records of its seeds or folds.
        conditions: Rows of `harness evaluate --drop each` and `--noise`.
        notes: Missing or unusable files, one sentence each.
    """

    folder: Path
    record: Record
    track: TrackSpec | None = None
    raw: Sequence[VideoAnswers] = ()
    post: Sequence[VideoAnswers] = ()
    split: str = ""
    histories: dict[str, History] = field(default_factory=dict)
    members: dict[str, Record] = field(default_factory=dict)
    conditions: list[Mapping[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_record(folder: Path) -> Record:
    """Return the record of a run's folder; UserError if it is missing or cannot be read."""
    record = record_of_run(folder)
    if record is None:
        raise UserError("report-no-record", folder=folder)
    try:
        leaderboard([record])
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UserError("report-other-shape", file=folder / "record.json", reason=first_line(error)) from None
    return record


def read_sources(folder: Path, *, predictions: bool = True) -> RunSources:
    """Read the contents of a run's folder for its report.

    Args:
        folder: The folder of the run.
        predictions: Read its predictions too, which take most of the time.

    Raises:
        UserError: The run has no readable record.
    """
    found = RunSources(folder, read_record(folder))
    places = sorted((*folder.glob("seed-*"), *folder.glob("fold-*")), key=_number)
    for place in places:
        try:
            found.members[place.name] = read_record(place)
        except UserError as error:
            found.notes.append(str(error))
    for name in ("", *(place.name for place in places)):
        record = found.members.get(name, found.record)
        if rows := _history(folder / name / "history.csv", record, found.notes):
            found.histories[name] = rows
    if predictions:
        _read_predictions(found)
        _read_conditions(found)
    return found


def _number(place: Path) -> tuple[str, int]:
    kind, _, digits = place.name.partition("-")
    return kind, int(digits) if digits.isdigit() else -1


def _history(path: Path, record: Record, notes: list[str]) -> History:
    """Return the epochs of a training as column name -> number; other columns are left out.

    A history that differs from its digest in the record gives no curves, which is warned of and noted on the page. Runs
    that did not end, and those of older versions, have no digest of it.
    """
    if not path.is_file():
        return []
    try:
        if sha256 := (record.circumstances.get("files") or {}).get(path.name):
            check_file(path, sha256, "no curves are drawn")
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except UserError as error:
        warnings.warn(str(error), stacklevel=2)
        notes.append(str(error))
        return []
    except (OSError, ValueError, csv.Error) as error:
        notes.append(f"{path.name} cannot be read ({error}): no curves")
        return []
    return [{undo_inert(str(k)): x for k, v in row.items() if (x := _float(v)) is not None} for row in rows]


def _float(text: Any) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _read_predictions(found: RunSources) -> None:
    """Read predictions of the scored split, else of the first member's, else of the unlabelled test videos."""
    result = found.record.result
    split = str(result.get("split") or "val")
    first = next((name for name in found.members), None)
    places = [(found.folder, split), *([(found.folder / first, split)] if first else []), (found.folder, "test")]
    for folder, name in places:
        path = folder / "predictions" / f"{name}.parquet"
        if not path.is_file():
            continue
        unusable: list[str] = []
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                found.track, found.raw = read_checked(path, result)
                post = path.with_name(f"{name}.post.parquet")
                found.post = read_checked(post, result)[1] if post.is_file() else ()
            except UserError as error:
                found.track, found.raw, found.post = None, (), ()
                found.notes.append(f"No predictions are shown: {error}")
                unusable.append(str(error))
        found.notes += dict.fromkeys(str(warning.message) for warning in said)
        for fault in unusable:  # who draws figures from this run sees no page
            warnings.warn(fault, stacklevel=2)
        found.split = name if folder == found.folder else f"{name} ({folder.name})"
        if folder != found.folder:
            found.notes.append(f"The predictions shown are those of {folder.name} only.")
        return
    if found.record.status == "done":
        found.notes.append("There are no predictions in the run's folder, so none are shown.")


def _read_conditions(found: RunSources) -> None:
    sha256 = found.record.result_sha256
    for path in sorted((found.folder / "robustness").glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            rows = [row for row in content["conditions"] if math.isfinite(row["raw"]["main"]) and str(row["name"])]
            if content["result_sha256"] != sha256:
                found.notes.append(f"{path.name} belongs to another result of this run and is left out.")
                continue
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            found.notes.append(f"{path.name} is not a table of `harness evaluate` and is left out.")
            continue
        known = {str(row["name"]) for row in found.conditions}
        found.conditions += [row for row in rows if str(row["name"]) not in known]
