"""Check the rows of a submission: against the organisers' list, or without one by the rules of the form alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.submissions.verifier.findings import Findings, short
from harness.submissions.verifier.row_lists import Listing
from zoo.tracks import Form, TrackSpec

_NAME = r"(?!\.{1,2}/)[^/,;\"\x00-\x1f\x7f]+"
_PATTERNS: dict[str, re.Pattern[str]] = {
    Form.KEYED: re.compile(rf"({_NAME})/((?:[0-9]{{5}}|[1-9][0-9]{{5,}}))\.jpg"),
    Form.MTL: re.compile(rf"({_NAME})/((?:[0-9]{{5}}|[1-9][0-9]{{5,}}))\.jpg"),
    Form.FRAME_TRIALS: re.compile(r"([^,;\"\x00-\x20\x7f]+)/frame-(0|[1-9][0-9]*)\.jpg"),
}
_SAID: dict[str, str] = {
    Form.KEYED: "<video>/00001.jpg",
    Form.MTL: "<video>/00001.jpg",
    Form.FRAME_TRIALS: "<video>/frame-0.jpg",
}

Keys = Sequence[str | None]  # first fields of the rows; None for an empty line


def check_rows(keys: Keys, first: int, track: TrackSpec, listed: Listing | None, found: Findings) -> None:
    """Check the keys of all rows; ``keys[0]`` is on line ``first``."""
    if not any(key is not None for key in keys):
        found.add("missing row", 0, "there is no row")
    if listed is not None and (listed.kind == "rows" or (listed.kind == "counts" and track.submission in _PATTERNS)):
        expected = listed.keys if listed.kind == "rows" else list(_frames(listed, track.submission))
        _check_listed(keys, first, expected, found)
    elif track.submission in (Form.ITEMS, Form.TRIALS):
        _check_ids(keys, first, track, found)
    else:
        _check_runs(keys, first, track.submission, listed.names if listed else None, found)


def _frames(listed: Listing, form: str) -> Iterator[str]:
    for video, n in listed.counts.items():
        for i in range(n):
            yield f"{video}/frame-{i}.jpg" if form == Form.FRAME_TRIALS else f"{video}/{i + 1:05d}.jpg"


def _check_listed(keys: Keys, first: int, expected: Sequence[str], found: Findings) -> None:
    """Check that the rows are the listed ones, each once, in the list's order."""
    if keys == expected:
        return
    place = {key: i for i, key in enumerate(expected)}
    seen: dict[str, int] = {}
    last = -1
    for line, key in enumerate(keys, start=first):
        if key is None:
            continue
        if key not in place:
            found.add("foreign row", line, f"{short(key)!r} is not in the list")
        elif key in seen:
            found.add("doubled row", line, f"{key} was already on line {seen[key]}")
        else:
            if place[key] < last:
                found.add("order", line, f"{key} comes after {expected[last]}, but before it in the list")
            seen[key], last = line, place[key]
    for i, key in enumerate(expected):
        if key not in seen:
            found.add("missing row", first + i, f"{key} is missing; this is its line in the list")


def _check_ids(keys: Keys, first: int, track: TrackSpec, found: Findings) -> None:
    """Check that ids have the track's form, and that each occurs once."""
    before, _, after = track.item.partition("{}") if track.submission == Form.ITEMS else ("", "", "")
    bad = re.compile('[\x00-\x1f;"]' if track.submission == Form.TRIALS else '[\x00-\x1f;"/]')
    seen: dict[str, int] = {}
    for line, key in enumerate(keys, start=first):
        if key is None:
            continue
        inner = key[len(before) : len(key) - len(after)]
        if not (key.startswith(before) and key.endswith(after) and inner.strip()) or re.search(bad, key):
            found.add("foreign row", line, f"{short(key)!r} is not an id of the form {track.item.format('...')}")
        elif key in seen:
            found.add("doubled row", line, f"{key} was already on line {seen[key]}")
        seen.setdefault(key, line)


def _check_runs(keys: Keys, first: int, form: str, names: Sequence[str] | None, found: Findings) -> None:
    """Check that the rows are runs of frames, one per video, in the order of the names if these are known."""
    at: dict[str, int] = {}  # video -> its last frame so far, in order of appearance
    seen: set[str] = set()
    known = set(names or ())
    start = 0 if form == Form.FRAME_TRIALS else 1
    now = ""
    for line, key in enumerate(keys, start=first):
        if key is None:
            continue
        match = _PATTERNS[form].fullmatch(key)
        if not match:
            found.add("foreign row", line, f"{short(key)!r} is not {_SAID[form]}")
            continue
        video, frame = match[1], int(match[2])
        if video not in at:
            if names is not None and video not in known:
                found.add("foreign row", line, f"{video} is not in the list")
        elif video != now and form != Form.MTL:
            found.add("order", line, f"{video} comes a second time")
        if frame < start:
            found.add("foreign row", line, f"{key}: frames count from {start:05d}")
        else:
            _check_step(line, key, frame, at.get(video, start - 1), key in seen if form == Form.MTL else None, found)
        if form == Form.MTL:
            seen.add(key)
        at[video], now = max(frame, at.get(video, start - 1)), video
    if names is not None:
        _check_videos([video for video in at if video in known], names, found)


def _check_step(line: int, key: str, frame: int, last: int, again: bool | None, found: Findings) -> None:
    """Check one row, given that its video's last frame so far is ``last``.

    ``again``: for single images, True if this one occurred before; None for other forms.
    """
    if again or (again is None and frame <= last):
        found.add("doubled row", line, f"{key} comes after frame {last} of its video")
    elif again is None and frame > last + 1:
        found.add("missing row", line, f"before {key} {frame - last - 1} frames of its video are missing")


def _check_videos(present: Sequence[str], names: Sequence[str], found: Findings) -> None:
    there = set(present)
    for name in names:
        if name not in there:
            found.add("missing video", 0, f"{name} is missing")
    for got, wanted in zip(present, (name for name in names if name in there), strict=True):
        if got != wanted:
            found.add("order", 0, f"{got} stands where the list has {wanted}")
            return
