"""Read the organisers' test lists: example files with one row per image, and plain lists of video names."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.data.decoding.containers import without_ending
from harness.data.index.samples import Images, TestList
from harness.io.text_files import read_text
from zoo.errors import UserError
from zoo.files import name_key
from zoo.text import visible
from zoo.tracks import TrackSpec

_IMAGE = r"^\s*(?P<video>[^,/]+)/(?P<frame>\d{1,6})\.(?i:jpg|jpeg|png)\s*(?:,.*)?$"
_TITLES = (
    *("video", "videos", "name", "names", "id", "ids", "image", "images", "image location", "file", "files"),
    *("video name", "video names", "video id", "video ids", "video file", "filename", "filenames", "file name"),
)
"""Headers of lists of names, in lower case, with spaces between words."""


def read_test_list(path: Path, track: TrackSpec) -> TestList:
    """Read an example file or a list of names.

    A header, dummy values, trailing commas and the last newline are all optional; lines that begin with ``#`` are
    comments, in a list of images only above its rows. Raise UserError, with file and line, if a row is neither an image
    nor a name, has invisible characters or is repeated, or if the header belongs to another track.
    """
    text = read_text(path)
    if not text:
        raise UserError("list-empty", file=path)
    lines = pc.split_pattern(pa.scalar(text), "\n").values  # a million Python strings would take 100 MB
    above = sum(1 for _ in takewhile(lambda line: line.as_py().lstrip().startswith("#"), lines))
    images = pc.match_substring_regex(lines[above : above + 2], _IMAGE).to_pylist()
    if not any(images):
        names = _names(path, lines.to_pylist(), track)
        empty = np.zeros(0, np.int32)
        return TestList(path, "names", names, empty, empty)
    first = above if images[0] else above + 1
    if first > above:
        _check_header(path, lines[above].as_py(), track)
    rows = split_images(lines[first:], path, first + 1)
    return TestList(path, "rows", rows.videos, rows.row_video, rows.row_frame)


def column_of(numbers: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return a column without nulls as a NumPy array. Arrow's own conversion would import pandas."""
    whole = numbers.combine_chunks() if isinstance(numbers, pa.ChunkedArray) else numbers
    return np.from_dlpack(whole)


def split_images(column: pa.Array | pa.ChunkedArray, path: Path, first_line: int) -> Images:
    """Parse rows that begin with ``<video>/00001.jpg`` into videos and frames.

    ``first_line``: the line number of ``column[0]`` in the file. Raise UserError, with the line, if a row does not
    name an image, names frame 0 or repeats an image.
    """
    parts = pc.extract_regex(column, _IMAGE)
    if parts.null_count:
        at = pc.index(pc.is_null(parts), pa.scalar(True)).as_py()
        raise UserError("list-not-an-image", file=path, line=first_line + at, got=_short(column[at].as_py()))
    names = pc.struct_field(parts, "video").dictionary_encode()
    names = names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names
    forms = [name_key(name) for name in names.dictionary.to_pylist()]
    videos = tuple(dict.fromkeys(forms))
    row_video = column_of(names.indices)
    if hidden := [place for place, name in enumerate(forms) if visible(name) != name]:
        at = int(np.argmax(np.isin(row_video, hidden)))
        got = _short(ascii(forms[row_video[at]]))
        raise UserError("list-name-unprintable", file=path, line=first_line + at, got=got)
    if len(videos) < len(forms):  # one name in two Unicode forms
        places = {name: place for place, name in enumerate(videos)}
        row_video = np.array([places[name] for name in forms], np.int32)[row_video]
    row_frame = column_of(pc.struct_field(parts, "frame").cast(pa.int32()))
    if (row_frame == 0).any():
        at = int(np.argmin(row_frame))
        raise UserError("list-frame-zero", file=path, line=first_line + at, got=_short(column[at].as_py()))
    _refuse_twice(column, row_video, row_frame, path, first_line)
    return Images(videos, row_video, row_frame)


def _refuse_twice(
    column: pa.Array | pa.ChunkedArray, row_video: np.ndarray, row_frame: np.ndarray, path: Path, first_line: int
) -> None:
    keys = row_video.astype(np.int64) << 32 | row_frame
    order = np.argsort(keys, kind="stable")
    again = np.flatnonzero(np.diff(keys[order]) == 0)
    if len(again):
        second, first = int(order[again + 1].min()), 0
        first = int(np.flatnonzero(keys == keys[second])[0])
        raise UserError(
            "list-row-twice",
            file=path,
            line=first_line + second,
            got=_short(column[second].as_py()),
            earlier=first_line + first,
        )


def _names(path: Path, lines: list[str], track: TrackSpec) -> tuple[str, ...]:
    seen: dict[str, int] = {}
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if not line.lstrip().startswith("#")]
    if numbered and _is_header(numbered[0][1], track):
        del numbered[0]
    for number, line in numbered:
        name = name_key(without_ending(line.strip().rstrip(",").strip()))
        if not name or any(mark in name for mark in "/\\,\t"):
            raise UserError("list-not-a-name", file=path, line=number, got=_short(line))
        if visible(name) != name:
            raise UserError("list-name-unprintable", file=path, line=number, got=_short(ascii(name)))
        if seen.setdefault(name, number) != number:
            raise UserError("list-name-again", file=path, line=number, got=name, earlier=seen[name])
    if not seen:
        raise UserError("list-names-nothing", file=path)
    return tuple(seen)


def _is_header(line: str, track: TrackSpec) -> bool:
    """Return True if a line is a header of a list of names, in any letter case, or one of the track's files."""
    text = line.strip().rstrip(",").strip().lower()
    headers = {header.lower() for header in (track.submission_header, *track.headers)}
    return text in headers or text.replace("_", " ").replace("-", " ") in _TITLES


def _check_header(path: Path, header: str, track: TrackSpec) -> None:
    """Raise UserError if a header shares no field with the track's: it belongs to another track.

    The spelling of official headers varies, so they are not compared as a whole.
    """
    found = {field.strip().lower() for field in header.split(",")[1:] if field.strip()}
    expected = {field.lower() for field in track.submission_header.split(",")[1:]}
    if found and not found & expected:
        raise UserError("list-header", file=path, got=_short(header), wanted=track.submission_header, name=track.name)


def _short(text: str, width: int = 60) -> str:
    return text if len(text) <= width else f"{text[:width]}..."
