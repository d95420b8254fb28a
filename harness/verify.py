"""Check a submission as a strict stranger would: from the file's bytes, the track and the organisers' list alone.

Shares no code with harness.submit, so that a mistake there is found here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data.lists import TestList
from zoo.tracks import Answer, TrackSpec

__all__ = ["SHOWN", "Finding", "verify"]

SHOWN = 20
"""Findings of a kind that are listed; the rest is counted."""
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_KEY = re.compile(r"([^/,]+)/(\d{5,})\.jpg")


@dataclass(frozen=True)
class Finding:
    """Something wrong: ``line`` from 1, 0 where it concerns the file or folder as a whole."""

    line: int
    text: str


class _Findings:
    """Findings by kind, the first few of each kept and all counted. ``where`` is put before every text."""

    def __init__(self) -> None:
        self.where = ""
        self._kept: dict[str, list[Finding]] = {}
        self._counts: dict[str, int] = {}

    def add(self, kind: str, line: int, text: str) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if self._counts[kind] <= SHOWN:
            self._kept.setdefault(kind, []).append(Finding(line, self.where + text))

    def __iter__(self) -> Iterator[Finding]:
        for kind, kept in self._kept.items():
            yield from kept
            if self._counts[kind] > SHOWN:
                yield Finding(0, f"{self._counts[kind] - SHOWN} more like this ({kind})")


def verify(path: Path, track: TrackSpec, rows: TestList | None) -> list[Finding]:
    """All that is wrong with a submission; an empty list means it may be handed in.

    Checked: encoding, line ends, header, number of fields, numbers and ranges, class numbers; and the rows. With a list
    of rows these must be its rows in its order; with a list of names, or none, the frames of each video from 1 on
    without a gap (but for ``mtl``, whose images have gaps).
    """
    found = _Findings()
    if track.submission == "per_video":
        _check_folder(path, track, rows, found)
    elif not path.is_file():
        found.add("file", 0, f"{path}: there is no such file")
    else:
        keys = _check_file(path, track, found, key=True)
        if rows is not None and rows.kind == "rows":
            pairs = zip(rows.row_video.tolist(), rows.row_frame.tolist(), strict=True)
            _check_listed(keys, [f"{rows.videos[video]}/{frame:05d}.jpg" for video, frame in pairs], found)
        else:
            _check_unlisted(keys, rows.videos if rows else None, track.submission == "keyed", found)
    return list(found)


# --- lines ------------------------------------------------------------------------------------------------------------


def _check_file(path: Path, track: TrackSpec, found: _Findings, key: bool) -> list[tuple[int, str]]:
    """Everything but which rows there are; returns line and first field of every row."""
    header, *lines = _lines(path, found)
    if header != track.submission_header:
        found.add("header", 1, f"the header is {_short(header)!r}, not {track.submission_header!r}")
    keys: list[tuple[int, str]] = []
    first, width = int(key), int(key) + len(track.answers)
    allowed = [(answer, _allowed(answer)) for answer in track.answers]
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            found.add("empty line", number, "the line is empty")
            continue
        fields = line.split(",")
        keys.append((number, fields[0]))
        if len(fields) != width:
            found.add("fields", number, f"{len(fields)} fields, not {width}: {_short(line)!r}")
            continue
        for (answer, texts), text in zip(allowed, fields[first:], strict=True):
            if texts is None:
                _check_number(answer, text, number, found)
            elif text not in texts:
                found.add(
                    "class", number, f"{answer.name} is {_short(text)!r}, not a number from 0 to {len(texts) - 1}"
                )
    return keys


def _lines(path: Path, found: _Findings) -> list[str]:
    """The file's lines without their ends, at least one."""
    data = path.read_bytes()
    if data.startswith(b"\xef\xbb\xbf"):
        found.add("encoding", 1, "the file begins with a byte order mark")
        data = data[3:]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        found.add("encoding", data.count(b"\n", 0, error.start) + 1, "a byte is not UTF-8")
        text = data.decode("utf-8", errors="replace")
    lines = text.split("\n")
    if lines[-1]:
        found.add("last line", len(lines), "the last line has no line end")
    else:
        lines.pop()
    if "\r" in text:
        for number, line in enumerate(lines, start=1):
            if "\r" in line:
                found.add("line end", number, "the line has a carriage return")
        lines = [line.replace("\r", "") for line in lines]
    return lines or [""]


def _allowed(answer: Answer) -> frozenset[str] | None:
    """The texts of an answer's classes; None for a number."""
    if answer.kind == "value":
        return None
    return frozenset(str(number) for number in range(len(answer.classes) if answer.kind == "class" else 2))


def _check_number(answer: Answer, text: str, number: int, found: _Findings) -> None:
    if not _NUMBER.fullmatch(text):
        found.add("number", number, f"{answer.name} is {_short(text)!r}, not a number")
    elif not answer.low <= float(text) <= answer.high:
        found.add("range", number, f"{answer.name} is {_short(text)}, outside {answer.low:g} to {answer.high:g}")


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}..."


# --- rows -------------------------------------------------------------------------------------------------------------


def _check_listed(keys: Sequence[tuple[int, str]], expected: Sequence[str], found: _Findings) -> None:
    """The rows are the listed ones, each once, in their order."""
    if [key for _, key in keys] == expected:
        return
    place = {key: i for i, key in enumerate(expected)}
    seen: dict[str, int] = {}
    last = -1
    for line, key in keys:
        if key not in place:
            found.add("foreign row", line, f"{_short(key)!r} is not in the list")
        elif key in seen:
            found.add("doubled row", line, f"{key} was already on line {seen[key]}")
        else:
            if place[key] < last:
                found.add("order", line, f"{key} comes after {expected[last]}, in the list before it")
            seen[key], last = line, place[key]
    for i, key in enumerate(expected):
        if key not in seen:
            found.add("missing row", i + 2, f"{key} is missing; this is its line in the list")


def _check_unlisted(
    keys: Sequence[tuple[int, str]], names: Sequence[str] | None, every_frame: bool, found: _Findings
) -> None:
    """The rows are runs of frames, one a video, in the order of the names where these are known."""
    if not keys:
        found.add("missing row", 0, "there is no row")
    at: dict[str, int] = {}  # video -> its last frame so far, in the order of appearance
    now = ""
    for line, key in keys:
        match = _KEY.fullmatch(key)
        if not match:
            found.add("foreign row", line, f"{_short(key)!r} is not <video>/00001.jpg")
            continue
        video, frame = match[1], int(match[2])
        if names is not None and video not in at and video not in names:
            found.add("foreign row", line, f"{video} is not in the list")
        if video != now and video in at:
            found.add("order", line, f"{video} comes a second time")
        _check_step(line, key, frame, at.get(video, 0), every_frame, found)
        at[video], now = max(frame, at.get(video, 0)), video
    if names is not None:
        _check_videos([video for video in at if video in set(names)], names, found)


def _check_step(line: int, key: str, frame: int, last: int, every_frame: bool, found: _Findings) -> None:
    if frame <= last:
        found.add("doubled row", line, f"{key} comes after frame {last} of its video")
    elif every_frame and frame > last + 1:
        found.add("missing row", line, f"before {key} {frame - last - 1} frames of its video are missing")


def _check_videos(present: Sequence[str], names: Sequence[str], found: _Findings) -> None:
    for name in names:
        if name not in present:
            found.add("missing video", 0, f"{name} is missing")
    expected = [name for name in names if name in present]
    for there, wanted in zip(present, expected, strict=True):
        if there != wanted:
            found.add("order", 0, f"{there} stands where the list has {wanted}")
            return


# --- folders ----------------------------------------------------------------------------------------------------------


def _check_folder(path: Path, track: TrackSpec, rows: TestList | None, found: _Findings) -> None:
    """One file a video, without keys: the number of rows is all that can be wrong with them."""
    if not path.is_dir():
        found.add("file", 0, f"{path}: there is no such folder")
        return
    files = {file.name: file for file in sorted(path.iterdir())}
    expected = {f"{name}.txt" for name in rows.videos} if rows is not None else set(files)
    for name in sorted(expected - files.keys()):
        found.add("missing video", 0, f"{name} is missing")
    for name in sorted(files.keys() - expected) if rows is not None else ():
        found.add("foreign file", 0, f"{name} is not in the list")
    counts: dict[str, int] = {}
    if rows is not None and rows.kind == "rows":
        for video in rows.row_video.tolist():
            counts[rows.videos[video]] = counts.get(rows.videos[video], 0) + 1
    if not files:
        found.add("file", 0, f"{path}: the folder is empty")
    for name, file in files.items():
        found.where = f"{name}: "
        if file.suffix != ".txt" or not file.is_file():
            found.add("foreign file", 0, "is no .txt file")
            continue
        n = len(_check_file(file, track, found, key=False))
        if n != counts.get(file.stem, n) or not n:
            found.add("rows", n + 1, f"{n} rows, expected {counts.get(file.stem, 'at least 1')}")
    found.where = ""
