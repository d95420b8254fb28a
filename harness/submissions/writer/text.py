"""Write rows of predictions as the text of each form (zoo.submission_forms), below the edition's header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.submissions.writer.answers import Answers, Floats, Ints
from harness.submissions.writer.row_lists import FOLDERS, Listing
from harness.submissions.writer.rows import Rows, match
from zoo.errors import UserError
from zoo.tracks import Answer, Form, TrackSpec


@dataclass(frozen=True)
class Submission:
    """A submission in memory.

    ``name``: of the file or folder; ``files``: file name -> content, a single one unless ``folder``. ``histogram``:
    class -> rows that predict it; action unit -> rows that predict 1. ``clipped``: rows with a number that was clipped
    to its range. ``header``: its first line. For ``rows`` see rows.py.
    """

    name: str
    folder: bool
    files: Mapping[str, bytes]
    rows: Rows
    histogram: dict[str, int]
    clipped: int
    header: str


def compose(track: TrackSpec, answers: Answers, listed: Listing | None, name: str | None = None) -> Submission:
    """Return the submission of some predictions, following the list; ``name`` replaces the track's usual file name."""
    rows = match(track, answers, listed)
    columns: list[pa.Array] = []
    histogram: dict[str, int] = {}
    clipped = np.zeros(len(rows.unit), bool)
    for answer in track.answers:
        if answer.kind == "value":
            numbers = _at(rows, answers.values[answer.name])
            clipped |= (numbers < answer.low) | (numbers > answer.high)
            columns.append(_decimals(np.clip(numbers, answer.low, answer.high)))
        else:
            chosen = _classes(answer, answers, rows)
            if track.submission == Form.TRIALS:
                columns += _probabilities(answer, answers, rows, listed)
            columns.append(_digits(chosen))
            histogram |= _counts(answer, chosen)
    header = (listed.header if listed is not None else None) or track.submission_header
    file = Path(name or track.file)
    if track.submission in FOLDERS:
        files = _videos(track, rows, columns, header)
        return Submission(file.stem, True, files, rows, histogram, int(clipped.sum()), header)
    lines = pc.binary_join_element_wise(_keys(track, rows), *columns, ",")
    content = _joined(lines, header)
    return Submission(file.name, False, {file.name: content}, rows, histogram, int(clipped.sum()), header)


# --- predictions at the rows ------------------------------------------------------------------------------------------


def _at(rows: Rows, values: Floats) -> Floats:
    """Return (R,) or (R, C) predictions: unchanged for predicted frames, linear between neighbours for others."""
    out = values[rows.low]
    gaps = np.flatnonzero(rows.low != rows.high)
    if len(gaps):
        weight = rows.weight[gaps].reshape(-1, *[1] * (values.ndim - 1))
        out[gaps] = (1 - weight) * values[rows.low[gaps]] + weight * values[rows.high[gaps]]
    return out


def _classes(answer: Answer, answers: Answers, rows: Rows) -> Ints:
    """Return (R,) class numbers.

    For predicted frames they are the given ones; otherwise they follow from the probabilities. Without probabilities a
    gap takes the class of the nearer neighbour, or of the earlier one if both are as near.
    """
    given = answers.chosen.get(answer.name)
    if answer.name in answers.values:
        p = _at(rows, answers.values[answer.name])
        chosen: Ints = p.argmax(1) if answer.kind == "class" else (p >= 0.5).astype(np.int64)
        return chosen if given is None else np.where(rows.low == rows.high, given[rows.low], chosen)
    assert given is not None  # an answer has probabilities or class numbers
    return np.where(rows.weight > 0.5, given[rows.high], given[rows.low])


def _probabilities(answer: Answer, answers: Answers, rows: Rows, listed: Listing | None) -> list[pa.Array]:
    """Return p0 and p1 of trials if they are known and the reference has them; else nothing.

    With six decimals each, float(p0) + float(p1) is exactly 1 for every one of the million and one pairs (counted).
    """
    wanted = listed.probabilities if listed is not None else None
    p = answers.values.get(answer.name)
    if wanted is False or (p is None and wanted is None):
        return []
    if p is None:
        raise UserError("probabilities-missing", which=listed.path if listed else "")
    at = _at(rows, p)
    if at.ndim == 2:
        total = at.sum(1)
        if at.shape[1] != 2 or (total <= 0).any():
            raise UserError("probabilities-zero", where=answers.where, name=answer.name)
        at = at[:, 1] / total
    millionths = np.rint(np.clip(at, 0, 1) * 1_000_000).astype(np.int64)
    return [_millionths(1_000_000 - millionths), _millionths(millionths)]


def _counts(answer: Answer, chosen: Ints) -> dict[str, int]:
    counts = np.bincount(chosen, minlength=max(len(answer.classes), 2)).tolist()
    return dict(zip(answer.classes, counts, strict=True)) if answer.kind == "class" else {answer.name: counts[1]}


# --- text -------------------------------------------------------------------------------------------------------------


def _decimals(numbers: Floats) -> pa.Array:
    rounded = np.round(numbers, 6) + 0.0  # + 0.0 makes -0.0 a plain 0
    return pa.array([f"{number:.6f}" for number in rounded.tolist()], pa.string())


def _millionths(numbers: Ints) -> pa.Array:
    return pa.array([f"{n // 1_000_000}.{n % 1_000_000:06d}" for n in numbers.tolist()], pa.string())


def _digits(numbers: Ints) -> pa.Array:
    return pa.array([str(i) for i in range(int(numbers.max(initial=0)) + 1)], pa.string()).take(pa.array(numbers))


def _keys(track: TrackSpec, rows: Rows) -> pa.Array:
    """Return (R,) first fields, as in the list, or else as the form writes them."""
    if rows.keys is not None:
        return rows.keys
    names = pa.array(rows.names, pa.string())
    if track.submission == Form.ITEMS:
        return pa.array([track.item.format(name) for name in rows.names], pa.string()).take(pa.array(rows.unit))
    names = names.take(pa.array(rows.unit))
    if track.submission == Form.TRIALS:
        return names
    if track.submission == Form.FRAME_TRIALS:
        frames = pa.array(rows.frame - 1).cast(pa.string())
        return pc.binary_join_element_wise(names, "/frame-", frames, ".jpg", "")
    frames = pc.utf8_lpad(pa.array(rows.frame).cast(pa.string()), 5, "0")
    return pc.binary_join_element_wise(names, "/", frames, ".jpg", "")


def _joined(lines: pa.Array, header: str) -> bytes:
    """Return a text file: the header, if there is one, and the lines, each with its line end."""
    offsets = pa.array([0, len(lines)], pa.int32())
    body: str = pc.binary_join(pa.ListArray.from_arrays(offsets, lines), "\n")[0].as_py() if len(lines) else ""
    return "".join(f"{part}\n" for part in (header, body) if part).encode()


def _videos(track: TrackSpec, rows: Rows, columns: list[pa.Array], header: str) -> dict[str, bytes]:
    """Return file name -> content for one file per video, whose rows are frames 1, 2, 3..."""
    frames = [pa.array(rows.frame).cast(pa.string())] if track.submission == Form.CSV else []
    every = [*frames, *columns]
    lines = pc.binary_join_element_wise(*every, ",") if len(every) > 1 else every[0]
    order = np.argsort(rows.unit, kind="stable")
    ends = np.cumsum(np.bincount(rows.unit, minlength=len(rows.names)))
    lines = lines.take(pa.array(order))
    starts = [0, *ends[:-1].tolist()]
    return {
        f"{name}{FOLDERS[track.submission]}": _joined(lines.slice(start, int(end) - start), header)
        for name, start, end in zip(rows.names, starts, ends, strict=True)
    }
