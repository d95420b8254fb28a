"""Read and write predictions as parquet, one row per frame (columns: see the README, "Files of a run")."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from harness.io.atomic import atomic
from harness.io.parquet_files import read_parquet
from zoo.api import Answer, TrackSpec, VideoAnswers
from zoo.errors import UserError, first_line
from zoo.text import inert


def to_frame(answers: tuple[Answer, ...], videos: Sequence[VideoAnswers], *, labels: bool = True) -> pd.DataFrame:
    """Return predictions as a data frame, one row per frame.

    Columns: ``video``, ``group``, ``frame`` from 1, ``time``, the answers (a class as its number and as
    ``<answer>_name``, with probabilities ``p_<class>``; an action unit with ``p_<answer>``), ``<answer>_true`` (empty
    if unlabelled; only with ``labels``), ``present_<slot>`` and ``extra_<name>``.
    """
    parts = [_video_frame(answers, video, labels) for video in videos]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _video_frame(answers: tuple[Answer, ...], video: VideoAnswers, labels: bool) -> pd.DataFrame:
    n = len(video.times)
    columns: dict[str, object] = {"video": [video.video] * n, "group": [video.group] * n}
    columns["frame"] = np.arange(1, n + 1, dtype=np.int32)
    columns["time"] = video.times
    for answer in answers:
        value = video.values[answer.name]
        if answer.kind == "class":
            columns[answer.name] = value.argmax(1).astype(np.int8)
            classes = pd.Index(answer.classes, dtype=object)
            columns[f"{answer.name}_name"] = pd.Categorical.from_codes(value.argmax(1), classes)
            columns.update({f"p_{c}": value[:, i] for i, c in enumerate(answer.classes)})
        elif answer.kind == "binary":
            columns[answer.name] = (value >= 0.5).astype(np.int8)
            columns[f"p_{answer.name}"] = value
        else:
            columns[answer.name] = value
    if labels:
        columns.update({f"{a.name}_true": video.targets[a.name] for a in answers})
    columns.update({f"present_{slot}": mask for slot, mask in video.present.items()})
    for name, array in video.extra.items():  # (n,), or (n, C) as C numbered columns
        parts = {f"extra_{name}": array} if array.ndim == 1 else {f"extra_{name}#{i}": x for i, x in enumerate(array.T)}
        columns.update(parts)
    return pd.DataFrame(columns)


def write_predictions(path: Path, track: TrackSpec, videos: Sequence[VideoAnswers], *, labels: bool = True) -> None:
    """Write a predictions file whole or not at all.

    Each video is a row group, so the table of all videos is never in memory.
    """

    def write(part: Path) -> None:
        schema = pa.Schema.from_pandas(to_frame(track.answers, videos[:1], labels=labels), preserve_index=False)
        with part.open("wb") as file, parquet.ParquetWriter(file, schema, write_page_checksum=True) as writer:
            for video in videos:
                frame = _video_frame(track.answers, video, labels)
                writer.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))

    atomic(path, write)


def write_plain(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV; see ``plain_text``."""
    atomic(path, lambda part: part.write_text(plain_text(table), encoding="utf-8"))


def plain_text(table: pd.DataFrame, *, header: bool = True) -> str:
    """Return a table as CSV in which a spreadsheet takes no name or text for a formula (``zoo.text.told`` reads it)."""
    texts = [str(name) for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    plain = table.assign(**{name: table[name].astype(str).map(inert) for name in texts})
    plain = plain.rename(columns={name: inert(str(name)) for name in table.columns})
    text: str = plain.to_csv(index=False, header=header, float_format="%.6f")
    return text


def read_predictions(path: Path, track: TrackSpec) -> list[VideoAnswers]:
    """Return the predictions of a file, video by video in the file's order.

    Raises UserError if the file is missing, damaged or of another track.
    """
    if not path.is_file():
        raise UserError("predictions-missing", file=path)
    try:
        table = read_parquet(path).to_pandas()
        return [_video_answers(str(name), rows, track) for name, rows in table.groupby("video", sort=False)]
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:  # damaged, or of another track
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UserError("predictions-invalid", file=path, name=track.name, reason=reason) from None


def _video_answers(name: str, rows: pd.DataFrame, track: TrackSpec) -> VideoAnswers:
    values: dict[str, np.ndarray] = {}
    targets: dict[str, np.ndarray] = {}
    for answer in track.answers:
        if answer.kind == "class":
            values[answer.name] = rows[[f"p_{c}" for c in answer.classes]].to_numpy(np.float64)
        else:
            column = f"p_{answer.name}" if answer.kind == "binary" else answer.name
            values[answer.name] = rows[column].to_numpy(np.float64)
        true = f"{answer.name}_true"
        targets[answer.name] = rows[true].to_numpy(np.float64) if true in rows else np.full(len(rows), np.nan)
    columns = [str(c) for c in rows.columns]
    present = {c.removeprefix("present_"): rows[c].to_numpy(bool) for c in columns if c.startswith("present_")}
    extra = _extra(rows, [c for c in columns if c.startswith("extra_")])
    return VideoAnswers(name, str(rows["group"].iloc[0]), values, targets, present, rows["time"].to_numpy(), extra)


def _extra(rows: pd.DataFrame, columns: list[str]) -> dict[str, np.ndarray]:
    """Return named extra predictions; numbered columns become one array (n, C) again."""
    wide: dict[str, list[str]] = {}
    for column in columns:
        wide.setdefault(column.removeprefix("extra_").rpartition("#")[0], []).append(column)
    flat = {c.removeprefix("extra_"): rows[c].to_numpy() for c in wide.pop("", [])}
    return flat | {name: rows[parts].to_numpy() for name, parts in wide.items()}
