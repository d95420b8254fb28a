"""Verify a submission: one file, or a folder with one file per video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.submissions.verifier.fields import FOLDERS, HEADERLESS, Fields
from harness.submissions.verifier.findings import Finding, Findings, short
from harness.submissions.verifier.lines import Lines, read_lines
from harness.submissions.verifier.other_editions import tracks_with
from harness.submissions.verifier.row_lists import Listing
from harness.submissions.verifier.rows import check_rows
from zoo.tracks import EditionSpec, Form, TrackSpec

_KNOWN = 4096  # number of checked line endings that are remembered, so that a million rows take seconds


@dataclass(frozen=True)
class Report:
    """The result of verification.

    ``unchecked``: the rows that could not be checked because there is no official list, None if all were; ``rows``:
    number of rows read.
    """

    findings: list[Finding]
    unchecked: str | None
    rows: int


def verify(path: Path, track: TrackSpec, listed: Listing | None, editions: Sequence[EditionSpec] = ()) -> Report:
    """Check everything that can be checked; a report without findings and with nothing unchecked may be handed in.

    From the file alone: encoding, line ends, header, number of fields, numbers and ranges, class numbers, duplicate
    rows, and gaps in the frames of a video. With a list: its rows in its order, none missing and none extra.
    ``editions`` are used to name the track that a wrong header belongs to.
    """
    found = _Found(track, listed, editions)
    if track.submission in FOLDERS:
        rows = _check_folder(path, found)
    elif not path.is_file():
        found.add("file", 0, f"{path}: {'it is no regular file' if path.exists() else 'there is no such file'}")
        rows = 0
    else:
        keys, first = _check_file(path, found)
        check_rows(keys, first, track, listed, found)
        rows = sum(key is not None for key in keys)
    return Report(list(found), _unchecked(listed), rows)


class _Found(Findings):
    """Findings, with the track, list and editions that the submission is checked against."""

    def __init__(self, track: TrackSpec, listed: Listing | None, editions: Sequence[EditionSpec]) -> None:
        super().__init__()
        self.track, self.listed, self.editions = track, listed, editions


def _unchecked(listed: Listing | None) -> str | None:
    if listed is None:
        return "rows not checked: no official list"
    if listed.kind == "names":
        return f"rows not checked: {listed.path.name} names videos only, not their frames"
    return None


# --- lines ------------------------------------------------------------------------------------------------------------


def _check_file(path: Path, found: _Found) -> tuple[list[str | None], int]:
    """Check everything except the set of rows; return the first field of every row, and the first row's line."""
    content = read_lines(path, found)
    track, lines, first = found.track, content.lines, 1
    if track.submission not in HEADERLESS:
        _check_header(content, found)
        lines, first = lines[1:], 2
    elif lines == [""]:
        lines = []
    checker = Fields(track, found)
    keys: list[str | None] = []
    known: set[str] = set()
    plain = content.split == "," and track.submission not in HEADERLESS
    for number, line in enumerate(lines, start=first):
        if not line.strip():
            found.add("empty line", number, "the line is empty")
            keys.append(None)
            continue
        key, _, rest = line.partition(",")
        if plain and checker.keyed and rest in known and '"' not in key:
            keys.append(key)
            continue
        fields = content.fields(line)
        keys.append(fields[0])
        checker.check(number, line, fields)
        checker.same_width(number, fields)
        if plain and checker.keyed and len(known) < _KNOWN and checker.clean(fields):
            known.add(rest)
    return keys, first


def _check_header(content: Lines, found: _Found) -> None:
    header = content.lines[0]
    listed = found.listed.header if found.listed is not None else None
    admitted = (listed,) if listed else (found.track.submission_header, *found.track.other_headers)
    plain = ",".join(content.fields(header))
    if (header if content.split == "," and '"' not in header else plain) in admitted:
        return
    names = tracks_with(plain, found.editions)
    whose = f", that of {names}" if names else ""
    found.add("header", 1, f"the header is {short(header)!r}{whose}, not {' or '.join(map(repr, admitted))}")


# --- folders ----------------------------------------------------------------------------------------------------------


def _check_folder(path: Path, found: _Found) -> int:
    """Check one file per video; return the number of rows.

    Without keys (``per_video``), only the number of rows can be wrong.
    """
    ending, listed = FOLDERS[found.track.submission], found.listed
    if not path.is_dir():
        found.add("file", 0, f"{path}: there is no such folder; this track is handed in as a file a video")
        return 0
    files = {file.name: file for file in sorted(path.iterdir())}
    if not files:
        found.add("file", 0, f"{path}: the folder is empty")
    expected = {f"{name}{ending}": n for name, n in listed.counts.items()} if listed is not None else None
    for name in expected or ():
        if name not in files:
            found.add("missing video", 0, f"{name} is missing")
    rows = 0
    for name, file in files.items():
        found.where = f"{name}: "
        if expected is not None and name not in expected:
            found.add("foreign file", 0, "is not in the list")
        if file.suffix != ending or not file.is_file():
            found.add("foreign file", 0, f"is not a {ending} file")
            continue
        rows += _check_video(file, (expected or {}).get(name, 0), found)
    found.where = ""
    return rows


def _check_video(file: Path, wanted: int, found: _Found) -> int:
    """Check one video's file and return its number of rows; ``wanted`` is the number expected, 0 if unknown."""
    keys, first = _check_file(file, found)
    n = sum(key is not None for key in keys)
    if (wanted and n != wanted) or not n:
        found.add("rows", n + 1, f"{n} rows, expected {wanted or 'at least 1'}")
    if found.track.submission == Form.CSV:
        last = 0
        for line, key in enumerate(keys, start=first):
            if key is None:
                continue
            if not key.isascii() or not key.isdigit() or str(int(key)) != key:
                found.add("foreign row", line, f"the frame is {short(key)!r}, not a number from 1 on")
                continue
            if int(key) != last + 1:
                found.add("order", line, f"frame {key} comes after frame {last}")
            last = int(key)
    return n
