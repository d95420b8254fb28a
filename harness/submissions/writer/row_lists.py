"""Read the organisers' lists: the rows or videos to predict, in their order."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.data.affwild2.test_lists import split_images
from harness.data.decoding.containers import VIDEO_SUFFIXES
from harness.io.text_files import read_text
from harness.submissions.writer.answers import Ints
from zoo.errors import UserError
from zoo.files import name_key
from zoo.tracks import Form, TrackSpec

FRAMED = (Form.KEYED, Form.MTL, Form.PER_VIDEO, Form.FRAME_TRIALS, Form.CSV)
"""Forms whose rows are frames or images of videos; rows of the other forms are single items."""
FOLDERS: dict[str, str] = {Form.PER_VIDEO: ".txt", Form.CSV: ".csv"}
"""Forms that are a folder with one file per video -> suffix of the file names."""
_IMAGE = r"^\s*[^,/]+/\d{1,7}\.(?:jpg|jpeg|png)\s*(?:,.*)?$"
_FRAME = r"^\s*(?P<video>[^,]+)/frame-(?P<frame>\d{1,9})\.jpg\s*(?:,.*)?$"
_MOST = 10_000_000  # frames of one video: a greater number means something else
_FIRST = r"^\s*([^,]*?)\s*(?:,.*)?$"


def _none() -> Ints:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Listing:
    """An official list; ``names`` are its videos or items in order of appearance.

    A list of kind ``rows`` has R rows: ``unit`` (R,) index into the names, ``frame`` (R,) from 1, and ``keys`` (R,)
    their first fields as the list writes them. Kind ``counts`` lists whole videos; ``unit`` and ``frame`` hold their
    frames. Kind ``names`` lists videos without their number of frames. ``header``: the list's own first line, if it is
    the track's header in another spelling. ``probabilities``: for a reference of trials, whether its rows have them;
    None if it does not show.
    """

    path: Path
    sha256: str
    kind: Literal["rows", "counts", "names"]
    names: tuple[str, ...]
    unit: Ints = field(default_factory=_none)
    frame: Ints = field(default_factory=_none)
    keys: pa.Array | None = None
    header: str | None = None
    probabilities: bool | None = None


def inner(track: TrackSpec, key: str) -> str:
    """Return an item's bare name: ``[123]`` -> ``123`` if the track writes ids in this way."""
    before, _, after = track.item.partition("{}")
    key = name_key(key)
    if track.submission == Form.ITEMS and key.startswith(before) and key.endswith(after):
        return key[len(before) : len(key) - len(after)]
    return key


def read_list(path: Path, track: TrackSpec) -> Listing:
    """Read an organisers' list: example file, names, or a folder of examples.

    Raises UserError with the line and its fault.
    """
    if path.is_dir():
        return _templates(path, track)
    text = read_text(path)
    if not text:
        raise UserError("list-empty", file=path)
    lines = text.split("\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if track.submission not in FRAMED:
        return _items(path, digest, lines, track)
    pattern = _FRAME if track.submission == Form.FRAME_TRIALS else _IMAGE
    images = [re.match(pattern, line) is not None for line in lines[:2]]
    if not any(images):
        return _names(path, digest, lines, track)
    above = 0 if images[0] else 1
    header = _header(path, lines[0], track) if above else None
    column = pa.array(lines[above:], pa.string())
    if track.submission == Form.FRAME_TRIALS:
        names, unit, frame = _frames_from_0(path, column, above)
    else:
        rows = split_images(column, path, above + 1)
        names, unit, frame = rows.videos, rows.row_video.astype(np.int64), rows.row_frame.astype(np.int64)
    return Listing(path, digest, "rows", names, unit, frame, _first_fields(column), header)


def _first_fields(column: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(column, _FIRST, r"\1")


def _fields(header: str) -> list[str]:
    return [name for name in (part.strip().lower() for part in header.split(",")[1:]) if name]


def _header(path: Path, line: str, track: TrackSpec) -> str | None:
    """Return the list's spelling of the header, to be followed; None if it names no answers."""
    line = line.strip().rstrip(", ")
    found = _fields(line)
    known = [_fields(one) for one in (track.submission_header, *track.other_headers)]
    if track.submission == Form.PER_VIDEO:  # its files have no keys, so their header is never that of a list of images
        known = [_fields(f"image,{one}") for one in track.headers or (track.submission_header,)]
        line = track.submission_header if found in known else line
    if not found or line in track.headers:
        return None
    if found not in known:
        raise UserError("list-header", file=path, got=line[:60], wanted=track.submission_header, name=track.name)
    return line


def _frames_from_0(path: Path, column: pa.Array, above: int) -> tuple[tuple[str, ...], Ints, Ints]:
    parts = pc.extract_regex(column, _FRAME)
    if parts.null_count:
        at = pc.index(pc.is_null(parts), pa.scalar(True)).as_py()
        found = column[at].as_py()[:60]
        raise UserError("list-not-a-frame", file=path, line=above + at + 1, got=found)
    names = pc.struct_field(parts, "video").dictionary_encode()
    unit = names.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    frame = pc.struct_field(parts, "frame").cast(pa.int64()).to_numpy() + 1
    _refuse_twice(path, column, unit << 32 | frame, above)
    return tuple(names.dictionary.to_pylist()), unit, frame


def _refuse_twice(path: Path, column: pa.Array, keys: Ints, above: int) -> None:
    order = np.argsort(keys, kind="stable")
    again = order[1:][np.diff(keys[order]) == 0]
    if len(again):
        at = int(again.min())
        first = int(np.flatnonzero(keys == keys[at])[0])
        raise UserError(
            "list-line-twice", file=path, line=above + at + 1, got=column[at].as_py()[:60], earlier=above + first + 1
        )


def _items(path: Path, digest: str, lines: Sequence[str], track: TrackSpec) -> Listing:
    """Read ids, one per line, whatever other fields follow."""
    firsts = {one.split(",")[0].lower() for one in (track.submission_header, *track.other_headers) if one}
    titles = {*firsts, "id", "video_id", "file_id", "filename", "video", "image", "image_location"}
    above = int(lines[0].split(",")[0].strip().lower() in titles)
    header = _header(path, lines[0], track) if above and track.submission_header else None
    keys = _first_fields(pa.array(lines[above:], pa.string()))
    encoded = keys.dictionary_encode()
    unit = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    if not len(keys):
        raise UserError("list-nothing-to-answer", file=path)
    _refuse_twice(path, keys, unit, above)
    names = tuple(inner(track, key) for key in encoded.dictionary.to_pylist())
    fields = lines[above].strip().rstrip(",").count(",") + 1
    probabilities = {2: False, 4: True}.get(fields) if track.submission == Form.TRIALS else None
    return Listing(path, digest, "rows", names, unit, np.ones(len(unit), np.int64), keys, header, probabilities)


def _names(path: Path, digest: str, lines: Sequence[str], track: TrackSpec) -> Listing:
    """Read names, or names with their number of frames.

    A line is ``<name>``, ``<name>,<n>``, ``<name> <n>``, or edition 1's sentence, whose third word is the name and
    whose tenth is the number (as github zerosansan/fg2020_abaw reads it).
    """
    headers = {one.lower() for one in (track.submission_header, *track.headers)}
    headers |= {"video", "videos", "video_name", "name", "names", "filename", "video,frames"}
    bare = [line.strip().rstrip(",").strip() for line in lines]
    first = int(bare[0].lower() in headers)
    found = [_counted(text) for text in bare[first:]]
    if track.submission == Form.MTL or not all(0 < n <= _MOST for _, n in found):
        found = [(_without_ending(text), 0) for text in bare[first:]]
    for number, (name, _) in enumerate(found, start=first + 1):
        if not name or "," in name or ("/" in name and track.submission != Form.FRAME_TRIALS):
            raise UserError("list-not-a-name", file=path, line=number, got=lines[number - 1][:60])
    names = tuple(name for name, _ in found)
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise UserError("list-twice", file=path, twice=twice)
    if not names:
        raise UserError("list-names-nothing", file=path)
    return _counts(path, digest, names, [n for _, n in found])


def _counted(text: str) -> tuple[str, int]:
    words = text.split()
    if len(words) >= 10 and words[9].isdigit():
        return _without_ending(words[2]), int(words[9])
    match = re.fullmatch(r"(.+?)(?:\s*,\s*|\s+)(\d+)", text)
    return (_without_ending(match[1]), int(match[2])) if match else (text, 0)


def _without_ending(name: str) -> str:
    return name.rpartition(".")[0] if name.lower().endswith((".txt", ".csv", *VIDEO_SUFFIXES)) else name


def _counts(
    path: Path, digest: str, names: tuple[str, ...], counts: Sequence[int], header: str | None = None
) -> Listing:
    if not all(counts):
        return Listing(path, digest, "names", names, header=header)
    unit = np.repeat(np.arange(len(names)), counts)
    frame = np.concatenate([np.arange(1, n + 1) for n in counts])
    return Listing(path, digest, "counts", names, unit, frame, header=header)


def _templates(folder: Path, track: TrackSpec) -> Listing:
    """Read a folder of the organisers' example files, one per video."""
    if track.submission not in FOLDERS:
        raise UserError("list-is-one-file", folder=folder, name=track.name)
    files = sorted(folder.glob(f"*{FOLDERS[track.submission]}"))
    if not files:
        raise UserError("list-folder-empty", folder=folder, part=FOLDERS[track.submission])
    counts, header = [], None
    for file in files:
        lines = read_text(file).split("\n")
        if track.submission == Form.CSV:
            header = _header(file, lines[0], track) or header
            firsts = [line.split(",")[0].strip() for line in lines[1:]]
            if firsts != [str(i) for i in range(1, len(lines))]:
                raise UserError("example-frames-unanswerable", file=file)
        if len(lines) < 2:
            raise UserError("example-no-rows", file=file)
        counts.append(len(lines) - 1)
    every = sorted(file for file in folder.iterdir() if file.is_file())
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in every]
    digest = hashlib.sha256("".join(sums).encode()).hexdigest()
    return _counts(folder, digest, tuple(file.stem for file in files), counts, header)
