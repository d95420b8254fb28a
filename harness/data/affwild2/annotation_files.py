"""Read annotation files into label arrays. Errors name the faulty line.

A whole file is parsed at once (2.7 million lines in seconds). Only a faulty file is read again line by line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from harness.data.affwild2.test_lists import column_of, split_images
from harness.data.index.samples import Images
from harness.io.text_files import read_text
from zoo.errors import UserError
from zoo.files import open_file
from zoo.tracks import Answer, TrackSpec

_PARSE = pcsv.ParseOptions(ignore_empty_lines=False, quote_char=False, double_quote=False)


@dataclass(frozen=True, eq=False)
class ImageLabels:
    """An image list with ``labels`` (R, A) float32, NaN where unlabelled."""

    images: Images
    labels: np.ndarray


def read_frame_labels(path: Path, track: TrackSpec) -> np.ndarray:
    """Read a file with a header and then one line per frame; return labels (n, A) float32, NaN where unlabelled.

    Raise UserError, with file and line, if the header or the number of fields is wrong, or if a value is not a number
    or is out of range.
    """
    table = _parse(path, _body(path, track), [], [answer.name for answer in track.answers])
    return _labels(path, table, track)


def read_image_labels(path: Path, track: TrackSpec) -> ImageLabels:
    """Read a list with a header and then one line per image: ``<video>/00001.jpg`` and the labels in track order.

    Raise UserError as ``read_frame_labels`` does, and if an image is listed twice.
    """
    table = _parse(path, _body(path, track), ["image"], [answer.name for answer in track.answers])
    return ImageLabels(split_images(table.column("image"), path, first_line=2), _labels(path, table, track))


def read_header(path: Path) -> str:
    """Return the first line of a text file, with the spaces around its fields removed; "" if the file is empty."""
    with open_file(path) as file:
        return _tidy(file.readline(10_000).decode("utf-8-sig", errors="replace"))


def admitted(header: str, track: TrackSpec) -> bool:
    """Return True if a first line is a header of the track's annotation files."""
    return header in {_tidy(known) for known in track.headers}


def _tidy(header: str) -> str:
    return ",".join(field.strip() for field in header.strip().split(","))


def _body(path: Path, track: TrackSpec) -> str:
    """Check the header of an annotation file and return the text after it."""
    text = read_text(path)
    if not text:
        raise UserError("annotation-empty", file=path)
    header, _, body = text.partition("\n")
    if not admitted(_tidy(header), track):
        raise UserError(
            "annotation-header",
            file=path,
            got=header[:80],
            wanted=" or ".join(map(repr, track.headers)),
            name=track.name,
        )
    if not body:
        raise UserError("annotation-no-rows", file=path)
    return body


def _parse(path: Path, body: str, texts: list[str], numbers: list[str]) -> pa.Table:
    columns = [*texts, *numbers]
    types = {name: pa.string() if name in texts else pa.float32() for name in columns}
    try:
        table = pcsv.read_csv(
            pa.BufferReader(body.encode()),
            read_options=pcsv.ReadOptions(column_names=columns, use_threads=False, block_size=1 << 24),
            parse_options=_PARSE,
            convert_options=pcsv.ConvertOptions(column_types=types, null_values=[]),
        )
    except pa.ArrowInvalid as error:
        raise _fault(path, body, len(texts), columns) or UserError(
            "annotation-unreadable", file=path, error=error
        ) from error
    lines = body.count("\n") + 1
    if table.num_rows != lines:
        raise UserError("annotation-line-breaks", file=path, lines=lines, num_rows=table.num_rows)
    return table


def _fault(path: Path, body: str, texts: int, columns: list[str]) -> UserError | None:
    """Return the error for the first faulty line of a file that could not be parsed."""
    for number, line in enumerate(body.split("\n"), start=2):
        fields = line.split(",") if line else []
        if len(fields) != len(columns):
            found = f"found {len(fields)}: {line[:60]!r}"
            return UserError("annotation-field-count", file=path, line=number, wanted=len(columns), found=found)
        for name, value in zip(columns[texts:], fields[texts:], strict=True):
            if not _is_number(value):
                return UserError("annotation-not-a-number", file=path, line=number, name=name, part=value.strip()[:40])
    return None


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def _labels(path: Path, table: pa.Table, track: TrackSpec) -> np.ndarray:
    """Return labels (n, A) float32, NaN where unlabelled. In errors the header counts as line 1."""
    labels = np.empty((table.num_rows, len(track.answers)), np.float32)
    for column, answer in enumerate(track.answers):
        values = column_of(table.column(answer.name))
        labelled = values != np.float32(answer.invalid)
        wrong = labelled & ~_possible(values, answer)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise UserError(
                "annotation-out-of-range",
                file=path,
                line=at + 2,
                name=answer.name,
                part=values[at],
                wanted=_wanted(answer),
            )
        labels[:, column] = np.where(labelled, values, np.float32(np.nan))
    if track.joint_labels:
        joint = np.array([answer.kind == "value" for answer in track.answers])
        partly = np.isnan(labels) & joint
        labels[partly.any(axis=1, keepdims=True) & joint] = np.nan
    return labels


def _possible(values: np.ndarray, answer: Answer) -> np.ndarray:
    """Return (n,) bool: values that the label may have. NaN and infinities are not among them."""
    if answer.kind == "value":
        return np.asarray((values >= answer.low) & (values <= answer.high))
    last = len(answer.classes) - 1 if answer.kind == "class" else 1
    return np.asarray((values >= 0) & (values <= last) & (values == np.floor(values)))


def _wanted(answer: Answer) -> str:
    if answer.kind == "value":
        return f"a number from {answer.low:g} to {answer.high:g}, or {answer.invalid:g} for unlabelled"
    if answer.kind == "class":
        return f"a class from 0 to {len(answer.classes) - 1}, or {answer.invalid:g} for unlabelled"
    return f"0 or 1, or {answer.invalid:g} for unlabelled"
