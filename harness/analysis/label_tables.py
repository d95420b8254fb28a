"""Tables of labels for scoring predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.data.affwild2.groups import group_of
from harness.submissions.writer.answers import Answers, Floats
from harness.submissions.writer.prediction_tables import named, read_columns, row_keys
from harness.submissions.writer.row_lists import FRAMED, inner
from zoo.errors import UserError
from zoo.tracks import Answer, TrackSpec, VideoAnswers


def labelled_answers(track: TrackSpec, answers: Answers, path: Path, *, own: bool) -> list[VideoAnswers]:
    """Return the predictions for all labelled rows of a table, by video or item, with their labels.

    The table has the columns that name a row (see harness.submissions.writer.prediction_tables) and labels
    ``<answer>``, or, in the table of predictions itself (``own``), ``<answer>_true``: numbers (for classes the class
    numbers), or empty or the track's invalid value if there is no label. A column ``group`` names what belongs
    together, such as the videos of one person.

    Raise UserError if a column is missing, a class does not exist, a row appears twice, or a labelled row has no
    prediction.
    """
    labels = _read(path, track, own, answers.numeric)
    rows = pd.DataFrame({"name": np.array(answers.names, object)[answers.unit], "frame": answers.frame})
    rows = rows.assign(row=np.arange(len(rows)))
    if answers.numeric:
        rows["name"] = [_bare(name) for name in rows["name"]]
    both = labels.merge(rows, on=["name", "frame"], how="left", validate="one_to_one")
    if (bare := both["row"].isna()).any():
        first = both[bare].iloc[0]
        which = f"{first['name']}, frame {first['frame']}" if track.submission in FRAMED else first["name"]
        raise UserError("label-without-prediction", where=answers.where, which=which, rows=int(bare.sum()), file=path)
    return [_video(str(name), part, track, answers) for name, part in both.groupby("name", sort=False)]


def average_precision(track: TrackSpec, videos: Sequence[VideoAnswers]) -> list[tuple[str, float]]:
    """Return name and average precision of the second of two classes, if its probabilities are known and both occur."""
    from sklearn.metrics import average_precision_score

    found = []
    for answer in track.answers:
        if len(answer.classes) == 2 and all(f"p_{answer.name}" in video.extra for video in videos):
            true = np.concatenate([video.targets[answer.name] for video in videos])
            p = np.concatenate([video.extra[f"p_{answer.name}"] for video in videos])
            here = ~np.isnan(true)
            if 0 < true[here].sum() < here.sum():
                found.append((answer.classes[1], float(average_precision_score(true[here], p[here]))))
    return found


def _read(path: Path, track: TrackSpec, own: bool, numeric: bool) -> pd.DataFrame:
    """Return ``name``, ``frame``, ``group`` and the labels (NaN if missing); rows without any label are left out."""
    columns = {answer.name: f"{answer.name}_true" if own else answer.name for answer in track.answers}
    table = read_columns(path, [*columns.values(), "group"])
    if missing := [column for column in columns.values() if column not in table.column_names]:
        where = "; labels of a table of their own: --labels FILE" if own else ""
        raise UserError("labels-column-missing", file=path, names=", ".join(missing), name=track.name, where=where)
    keys, frame, numbered = row_keys(table, named(table, path), track, path)
    names = [inner(track, key) for key in keys.to_pylist()]
    if numeric or numbered:
        names = [_bare(name) for name in names]
    groups = table["group"].to_pylist() if "group" in table.column_names else [group_of(name) for name in names]
    found = pd.DataFrame({"name": names, "frame": frame, "group": [str(group) for group in groups]})
    labels = pd.DataFrame({a.name: _labels(a, table[columns[a.name]], columns[a.name], path) for a in track.answers})
    found = pd.concat([found, labels], axis=1)[labels.notna().any(axis=1)]
    if (again := found.duplicated(["name", "frame"])).any():
        raise UserError("label-row-twice", file=path, first=found[again].iloc[0]["name"])
    if found.empty:
        raise UserError("labels-none", file=path, name=track.name)
    return found


def _bare(name: str) -> str:
    return str(int(name)) if name.isdecimal() else name


def _labels(answer: Answer, column: pa.ChunkedArray, name: str, path: Path) -> Floats:
    try:
        numbers = np.array(column.cast(pa.float64()).to_numpy(), np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise UserError("labels-not-numbers", file=path, name=name) from None
    numbers[numbers == answer.invalid] = np.nan
    highest = max(len(answer.classes) - 1, 1)
    wrong = ~np.isin(numbers, np.arange(highest + 1)) if answer.kind != "value" else np.isinf(numbers)
    if (wrong & ~np.isnan(numbers)).any():
        bad = numbers[wrong & ~np.isnan(numbers)][0]
        raise UserError("label-impossible", file=path, name=name, bad=bad, name2=answer.name)
    return numbers


def _video(name: str, rows: pd.DataFrame, track: TrackSpec, answers: Answers) -> VideoAnswers:
    at = rows["row"].to_numpy(np.int64)
    values: dict[str, Floats] = {}
    for answer in track.answers:
        if (chosen := answers.chosen.get(answer.name)) is None:
            values[answer.name] = answers.values[answer.name][at]
        else:  # class numbers take precedence over probabilities
            values[answer.name] = (
                np.eye(answer.width)[chosen[at]] if answer.kind == "class" else chosen[at].astype(float)
            )
    targets = {answer.name: rows[answer.name].to_numpy(np.float64) for answer in track.answers}
    two = [a.name for a in track.answers if len(a.classes) == 2 and a.name in answers.values]
    extra = {f"p_{answer}": answers.values[answer][at, 1] for answer in two}
    times = np.arange(len(rows), dtype=np.float64)
    return VideoAnswers(name, str(rows["group"].iloc[0]), values, targets, {}, times, extra)
