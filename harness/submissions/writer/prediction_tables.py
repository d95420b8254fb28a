"""Read a table of predictions of any origin, parquet or CSV: ``video``, ``frame`` from 1, the answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from harness.io.parquet_files import read_parquet
from harness.submissions.writer.answers import Answers, Floats, Ints, check_finite
from harness.submissions.writer.row_lists import FRAMED, inner
from zoo.errors import UserError, first_line
from zoo.files import open_file
from zoo.text import undo_inert
from zoo.tracks import Answer, TrackSpec

_NAMED = ("video", "image", "id")


def read_table(path: Path, track: TrackSpec, *, whole: bool = False) -> Answers:
    """Return the predictions of a table.

    Tracks of frames have columns ``video`` and ``frame`` (or ``image`` as ``<video>/00001.jpg``); tracks of single
    items have ``id``, ``video`` or ``image``. A value answer is a column ``<answer>``. A class answer is ``p_<class>``
    for each class, or the class number as ``<answer>``; an action unit is ``p_<answer>``, or 0 and 1 as ``<answer>``.
    If both are there, the numbers decide, and probabilities fill gaps. A frame without a prediction has no row.

    Args:
        path: the table.
        track: the track that is predicted.
        whole: the table is a run's own, which has every frame of its videos and ``present_<slot>``.

    Raises:
        UserError: a value is empty or not a number, a class does not exist, a row occurs twice, or the columns belong
            to another track.
    """
    table = read_columns(path, [name for answer in track.answers for name in (answer.name, *_p(answer))])
    wanted = _columns(track, table.column_names, path)
    keys, frame, numeric = row_keys(table, named(table, path), track, path)
    encoded = pc.dictionary_encode(keys)
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    unit = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    units = [inner(track, name) for name in encoded.dictionary.to_pylist()]
    order = np.lexsort((frame, unit))
    unit, frame = unit[order], frame[order]
    again = np.flatnonzero((np.diff(unit) == 0) & (np.diff(frame) == 0))
    if len(again) or len(set(units)) < len(units):
        at = again[0] if len(again) else next(i for i, name in enumerate(units) if name in units[:i])
        framed = len(again) and track.submission in FRAMED
        what = f"{units[unit[at]]}, frame {frame[at]}," if framed else units[unit[at] if len(again) else at]
        raise UserError("predictions-row-twice", file=path, what=what, most=max(len(again), 1))
    columns = {name: _numbers(table[name], name, keys, path)[order] for name in wanted}
    values, chosen = _answers(track, columns, path)
    unseen = _unseen(table)[order]
    answers = Answers(tuple(units), unit, frame, values, chosen, whole, unseen, numeric, where=f"{path}: ")
    check_finite(answers)
    _check_sense(track, answers)
    return answers


def named(table: pa.Table, path: Path) -> str:
    """Return the column that names videos or items; raise UserError if there is none."""
    for name in _NAMED:
        if name in table.column_names:
            return name
    raise UserError("predictions-no-key", file=path, listed=_listed(table.column_names))


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Read these columns of a parquet file, if it has them, and those that name its rows; of a CSV file all.

    Raises UserError if it cannot be read or has a column twice.
    """
    table = _table(path, columns)
    if twice := [name for i, name in enumerate(table.column_names) if name in table.column_names[:i]]:
        raise UserError("predictions-column-twice", file=path, first=twice[0])
    return table


def _table(path: Path, columns: Sequence[str]) -> pa.Table:
    try:
        if path.suffix.lower() == ".parquet":
            table = read_parquet(path, [*_NAMED, "frame", *columns], "present_")
            table.validate(full=True)
            return table
        with open_file(path) as content:
            header = content.readline(1 << 20).decode("utf-8-sig")
        if ";" in header and "," not in header:
            raise UserError("predictions-semicolons", file=path)
        types = dict.fromkeys((*_NAMED, "group"), pa.string())
        with open_file(path) as content:  # opened here: given a name, Arrow would unpack a .bz2
            return _told(
                csv.read_csv(content, convert_options=csv.ConvertOptions(column_types=types, null_values=[""]))
            )
    except OSError as error:
        raise UserError("predictions-unreadable", file=path, value=error.strerror or first_line(error)) from None
    except (pa.ArrowException, ValueError) as error:
        raise UserError("predictions-no-table", file=path, reason=first_line(error)) from None


def _told(table: pa.Table) -> pa.Table:
    """Restore names that `harness predict` wrote as text because they look like formulas."""
    table = table.rename_columns([undo_inert(name) for name in table.column_names])
    for place, name in enumerate(table.column_names):
        if name in _NAMED and pa.types.is_string(table.column(place).type):
            known = pc.dictionary_encode(table.column(place)).combine_chunks()
            names = pa.array([undo_inert(text) for text in known.dictionary.to_pylist()], pa.string())
            table = table.set_column(place, name, names.take(known.indices))
    return table


def _columns(track: TrackSpec, there: Sequence[str], path: Path) -> list[str]:
    """Return the columns with the track's answers; raise UserError if an answer has none."""
    found = []
    for answer in track.answers:
        p = _p(answer)
        own = [answer.name] if answer.name in there else []
        own += p if answer.kind != "value" and all(name in there for name in p) else []
        if not own:
            wanted = answer.name if answer.kind == "value" else f"{answer.name} or {', '.join(p)}"
            raise UserError("predictions-no-column", file=path, wanted=wanted, name=track.name, listed=_listed(there))
        found += own
    return found


def _p(answer: Answer) -> list[str]:
    """Return the columns of an answer's probabilities."""
    return [f"p_{name}" for name in answer.classes] if answer.kind == "class" else [f"p_{answer.name}"]


def _unseen(table: pa.Table) -> np.ndarray:
    """Return (N,) bool: True if the table has presence columns and no slot saw the frame."""
    seen = [table[name].to_numpy().astype(bool) for name in table.column_names if name.startswith("present_")]
    return ~np.any(seen, axis=0) if seen else np.zeros(len(table), bool)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


def row_keys(table: pa.Table, column: str, track: TrackSpec, path: Path) -> tuple[Any, Ints, bool]:
    """Return the names (N,) of units, the frames (N,), and whether the names were numbers."""
    names = table[column]
    if names.null_count:
        raise UserError(
            "predictions-key-empty", file=path, column=column, row=1 + pc.index(pc.is_null(names), True).as_py()
        )
    numeric = pa.types.is_integer(names.type)
    try:
        names = names.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise UserError("predictions-key-invalid", file=path, column=column, type=names.type) from None
    if track.submission not in FRAMED:
        return names, np.ones(len(names), np.int64), numeric
    if column == "image" and "frame" not in table.column_names:
        parts = pc.extract_regex(names, r"^(?P<video>.+)/(?P<frame>\d{1,7})\.(?i:jpg|jpeg|png)$")
        if parts.null_count:
            row = pc.index(pc.is_null(parts), pa.scalar(True)).as_py()
            raise UserError("predictions-image-invalid", file=path, row=row + 1, got=names[row].as_py())
        return pc.struct_field(parts, "video"), _whole(pc.struct_field(parts, "frame").cast(pa.int64()), path), False
    if "frame" not in table.column_names:
        raise UserError("predictions-no-frame", file=path, name=track.name)
    return names, _whole(table["frame"], path), numeric


def _whole(column: pa.ChunkedArray, path: Path) -> Ints:
    numbers = _numbers(column, "frame", None, path)
    if not (np.isfinite(numbers) & (numbers == np.round(numbers)) & (numbers >= 1) & (numbers < 10**7)).all():
        raise UserError("predictions-frame-invalid", file=path)
    return numbers.astype(np.int64)


def _numbers(column: pa.ChunkedArray, name: str, keys: Any, path: Path) -> Floats:
    if column.null_count:
        row = pc.index(pc.is_null(column), pa.scalar(True)).as_py()
        whose = f" ({keys[row].as_py()})" if keys is not None else ""
        raise UserError(
            "predictions-empty-value", file=path, row=row + 1, whose=whose, name=name, null_count=column.null_count
        )
    try:
        numbers: Floats = column.cast(pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise UserError("predictions-not-numbers", file=path, name=name) from None
    return numbers


def _answers(track: TrackSpec, columns: dict[str, Floats], path: Path) -> tuple[dict[str, Floats], dict[str, Ints]]:
    values: dict[str, Floats] = {}
    chosen: dict[str, Ints] = {}
    for answer in track.answers:
        if answer.kind == "value":
            values[answer.name] = columns[answer.name]
            continue
        p = _p(answer)
        if all(name in columns for name in p):
            both = np.stack([columns[name] for name in p], axis=1)
            values[answer.name] = both if answer.kind == "class" else both[:, 0]
        if answer.name in columns:
            chosen[answer.name] = _classes(answer, columns[answer.name], path)
    return values, chosen


def _classes(answer: Answer, numbers: Floats, path: Path) -> Ints:
    highest = len(answer.classes) - 1 if answer.kind == "class" else 1
    good = np.isin(numbers, np.arange(highest + 1))
    if not good.all():
        row = int(np.argmin(good))
        raise UserError(
            "predictions-out-of-range",
            file=path,
            name=answer.name,
            part=numbers[row],
            rows=int((~good).sum()),
            highest=highest,
        )
    return numbers.astype(np.int64)


def _check_sense(track: TrackSpec, answers: Answers) -> None:
    """Require probabilities from 0 to 1: logits in a column p_... would be misread."""
    for answer in track.answers:
        p = answers.values.get(answer.name)
        if answer.kind == "value" or p is None or not p.size:
            continue
        low, high = p.min(), p.max()
        if low < -1e-6 or high > 1 + 1e-6:
            raise UserError("probabilities-out-of-range", where=answers.where, name=answer.name, low=low, high=high)
