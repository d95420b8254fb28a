"""Read the organisers' lists again for the verifier: example files with a row per image, names, folders of examples."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.submissions.verifier.fields import FOLDERS, HEADERLESS
from harness.submissions.verifier.findings import short
from harness.submissions.verifier.other_editions import tracks_named, tracks_with
from zoo.errors import UserError
from zoo.files import read_bytes
from zoo.tracks import EditionSpec, Form, TrackSpec

IMAGE = re.compile(r"[^/,]+/[0-9]+\.(?:jpg|jpeg|png)")
FRAME = re.compile(r"[^,]+/frame-[0-9]+\.jpg")
_COUNTED = re.compile(r"(.+?)(?:\s*,\s*|\s+)([0-9]+)")
_MOST = 10_000_000  # frames of one video: a greater number at the end of a name is part of the name
_ENDINGS = (
    *(".txt", ".csv", ".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".wmv", ".flv", ".mpg", ".mpeg", ".mts"),
    *(".ts", ".m2t", ".vob", ".3gp", ".3g2", ".ogv", ".f4v", ".mxf", ".dv", ".asf", ".rm", ".rmvb", ".divx", ".mpe"),
    *(".qt", ".mk3d", ".m2ts"),
)
_TITLES = (
    "video",
    "videos",
    "video_name",
    "name",
    "names",
    "filename",
    "video_id",
    "id",
    "file_id",
    "image",
    "image_location",
)


@dataclass(frozen=True)
class Listing:
    """An official list.

    ``rows``: ``keys`` are the first fields of all rows, in order; ``counts``: videos and the number of frames of each;
    ``names``: videos only. ``header``: the list's own first line, if it is the track's header in another spelling.
    """

    path: Path
    kind: Literal["rows", "counts", "names"]
    keys: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    header: str | None = None

    @property
    def names(self) -> list[str]:
        """The videos in the list's order."""
        return list(self.counts)


def read_list(path: Path, track: TrackSpec, editions: Sequence[EditionSpec] = ()) -> Listing:
    """Read a list for a track.

    Raises UserError if it cannot be read or is another track's, which the error names if it is in ``editions``.
    """
    if path.is_dir():
        return _templates(path, track, editions)
    lines = _lines(path)
    if not lines:
        raise UserError("list-empty", file=path)
    _refuse_spreadsheet(path, lines)
    at = 0 if _is_row(lines[0], track) else 1
    header = _own_header(path, lines[0], track, editions) if at and _is_header(lines, track) else None
    rows = [line for line in lines[at:] if line.strip()]
    if track.submission not in FOLDERS and rows and _is_row(rows[0], track):
        keys = [_key(line) for line in lines[at:]]
        _refuse_bad(path, keys, at, track, editions)
        return Listing(path, "rows", keys, header=header)
    if track.submission in FOLDERS and rows and IMAGE.fullmatch(_key(rows[0])):
        return _counted_rows(path, lines[at:], at, track, editions)
    return _names(path, lines, track, editions)


def _lines(path: Path) -> list[str]:
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except OSError as error:
        raise UserError("text-unreadable", file=path, strerror=error.strerror) from None
    except UnicodeDecodeError as error:
        raise UserError("text-not-utf8", file=path, start=error.start) from None
    lines = [line.rstrip("\r") for line in text.split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _refuse_spreadsheet(path: Path, lines: Sequence[str]) -> None:
    for number, line in enumerate(lines[:3], start=1):
        for mark, name in (('"', "quotes"), (";", "semicolons"), ("\t", "tabs")):
            if mark in line:
                raise UserError("list-spreadsheet", file=path, line=number, name=name)


def _key(line: str) -> str:
    return line.split(",", 1)[0].strip()


def _is_row(line: str, track: TrackSpec) -> bool:
    """Return True if a line is a row of the track's form, not a header or a name."""
    key = _key(line)
    if track.submission in (Form.ITEMS, Form.TRIALS):
        images = IMAGE.fullmatch(key) or FRAME.fullmatch(key)
        return bool(key) and not images and not _is_title(line, track) and line.count(",") + 1 <= _most_fields(track)
    return bool((FRAME if track.submission == Form.FRAME_TRIALS else IMAGE).fullmatch(key))


def _most_fields(track: TrackSpec) -> int:
    """Return the most fields of a row, with one empty field at its end."""
    return len(track.answers) + (4 if track.submission == Form.TRIALS else 2)


def _is_title(line: str, track: TrackSpec) -> bool:
    firsts = {header.split(",")[0].lower() for header in (track.submission_header, *track.other_headers) if header}
    return _key(line).lower() in {*firsts, *_TITLES}


def _is_header(lines: list[str], track: TrackSpec) -> bool:
    """Return True if the first line can only be a header: rows follow it, or it is one of the track's or of a table."""
    if IMAGE.fullmatch(_key(lines[0])) or FRAME.fullmatch(_key(lines[0])):
        return False
    return (len(lines) > 1 and _is_row(lines[1], track)) or _is_title(lines[0], track) or lines[0].count(",") > 1


def _fields(header: str) -> list[str]:
    return [part for part in (field.strip().lower() for field in header.split(",")[1:]) if part]


def _own_header(path: Path, line: str, track: TrackSpec, editions: Sequence[EditionSpec]) -> str | None:
    """Return the list's header if submissions are to follow it; None if it names no fields or the track has none."""
    line = line.strip().rstrip(", ")
    found = _fields(line)
    known = [_fields(header) for header in (track.submission_header, *track.other_headers)]
    if track.submission == Form.PER_VIDEO:  # a list of images has a key, which the files do not have
        known = [_fields(f"image,{one}") for one in (track.submission_header, *track.headers)]
        line = track.submission_header if found in known else line
    if not found or line in track.headers:
        return None
    if track.submission in HEADERLESS or not any(sorted(found) == sorted(fields) for fields in known):
        names = tracks_with(line, editions)
        whose = f", that of {names}" if names else ""
        wanted = repr(track.submission_header) if track.submission_header else "none"
        raise UserError(
            "list-header-of-other-track", file=path, got=short(line, 60), whose=whose, wanted=wanted, name=track.name
        )
    if found not in known:
        raise UserError("list-header-order", file=path, short=short(line, 60))
    return line


def _refuse_bad(path: Path, keys: list[str], above: int, track: TrackSpec, editions: Sequence[EditionSpec]) -> None:
    for number, key in enumerate(keys, start=above + 1):
        if not _is_row(key, track):
            raise UserError("list-row-invalid", file=path, line=number, got=short(key), name=track.name)
    if len(set(keys)) < len(keys):
        seen: dict[str, int] = {}
        for number, key in enumerate(keys, start=above + 1):
            if seen.setdefault(key, number) != number:
                raise UserError("list-row-again", file=path, line=number, got=short(key), earlier=seen[key])
    own = track.figures.get("test_rows")
    if isinstance(own, int) and len(keys) != own and (names := tracks_named(len(keys), track, editions)):
        raise UserError("list-of-other-edition", file=path, count=len(keys), names=names, name=track.name, own=own)


def _names(path: Path, lines: list[str], track: TrackSpec, editions: Sequence[EditionSpec]) -> Listing:
    """Read names of videos, or names with the number of frames, one per line."""
    if others := tracks_named(path.name, track, editions):
        raise UserError("list-of-other-track", file=path, others=others, name=track.name)
    headers = {header.lower() for header in (track.submission_header, *track.headers, *_TITLES)}
    counts: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip().rstrip(",").strip()
        if number == 1 and (text.lower() in headers or _key(text).lower() in _TITLES):
            continue
        name, frames = _counted(text)
        frames_of_0 = track.submission == Form.FRAME_TRIALS
        if not name or "," in name or (frames_of_0 and "," in text) or ("/" in name and not frames_of_0):
            raise UserError("list-line-invalid", file=path, line=number, got=short(text, 60), name=track.name)
        if name in counts:
            raise UserError("list-name-twice", file=path, line=number, name=name)
        counts[name] = frames
    if not counts:
        raise UserError("list-names-nothing", file=path)
    counted = [0 < frames <= _MOST for frames in counts.values()]
    if any(counted) and not all(counted):  # the number at the end of some names is part of the name
        return Listing(path, "names", counts=dict.fromkeys((_bare(line.strip().rstrip(",")) for line in lines), 0))
    sparse = track.submission == Form.MTL  # its images have gaps, so a number of frames does not define them
    return Listing(path, "counts" if all(counted) and not sparse else "names", counts=counts)


def _counted(text: str) -> tuple[str, int]:
    """Return the name and the number of frames of a line (0 if the line has none).

    A line is ``<name>,<n>``, ``<name> <n>``, or edition 1's sentence, whose third word is the name and whose tenth is
    the number.
    """
    words = text.split()
    if len(words) >= 10 and words[9].isdigit():
        return _bare(words[2]), int(words[9])
    match = _COUNTED.fullmatch(text)
    return (_bare(match[1]), int(match[2])) if match else (_bare(text), 0)


def _bare(name: str) -> str:
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def _counted_rows(
    path: Path, lines: list[str], above: int, track: TrackSpec, editions: Sequence[EditionSpec]
) -> Listing:
    """Read rows ``<video>/00001.jpg`` for a form without such keys: only the number of rows per video matters."""
    counts: dict[str, int] = {}
    for number, line in enumerate(lines, start=above + 1):
        key = _key(line)
        if not IMAGE.fullmatch(key):
            raise UserError("list-not-an-image-key", file=path, line=number, got=short(key))
        video, _, frame = key.partition("/")
        counts[video] = counts.get(video, 0) + 1
        if int(frame.partition(".")[0]) != counts[video]:
            raise UserError("list-frames-reordered", file=path, line=number, video=video)
    return Listing(path, "counts", counts=counts)


def _templates(folder: Path, track: TrackSpec, editions: Sequence[EditionSpec]) -> Listing:
    """Read a folder of the organisers' example files, one per video."""
    if track.submission not in FOLDERS:
        raise UserError("list-is-one-file", folder=folder, name=track.name)
    files = sorted(path for path in folder.glob(f"*{FOLDERS[track.submission]}") if path.is_file())
    if not files:
        raise UserError("list-folder-empty", folder=folder, part=FOLDERS[track.submission])
    counts: dict[str, int] = {}
    header = None
    for path in files:
        lines = _lines(path)
        if not lines:
            raise UserError("example-empty", file=path)
        header = (_own_header(path, lines[0], track, editions) if track.submission == Form.CSV else None) or header
        rows = lines[1:]
        if track.submission == Form.CSV and [_key(row) for row in rows] != [str(i + 1) for i in range(len(rows))]:
            raise UserError("example-frames", file=path)
        counts[path.stem] = len(rows)
    return Listing(folder, "counts", counts=counts, header=header)
