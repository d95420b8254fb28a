"""Match the rows to be written with the predictions that each is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from harness.submissions.writer.answers import Answers, Floats, Ints, filled_before
from harness.submissions.writer.row_lists import FOLDERS, FRAMED, Listing
from zoo.errors import UserError
from zoo.files import name_key
from zoo.tracks import Form, TrackSpec


@dataclass(frozen=True, eq=False)
class Rows:
    """R rows to write, each with the predictions it is made from.

    ``unit`` (R,): index into ``names``; ``frame`` (R,): from 1; ``keys`` (R,): first fields, if a list gives them.

    A row is made from the predictions ``low`` and ``high`` (R,), the latter with ``weight`` (R,); they are the same if
    the frame was predicted. ``interpolated``: number of rows between two predicted (in a run: seen) frames; ``held``:
    rows before the first or after the last of their video; ``unseen``: rows of frames that no slot of the run saw.
    ``left_out``: predicted frames beyond the list's last (at most one per video); ``unlisted``: predicted names that
    the list does not have; ``blind``: names for which no slot has a single frame.
    """

    names: tuple[str, ...]
    unit: Ints
    frame: Ints
    keys: pa.Array | None
    low: Ints
    high: Ints
    weight: Floats
    interpolated: int
    held: int
    unseen: int
    left_out: int
    unlisted: tuple[str, ...]
    blind: tuple[str, ...] = ()


def match(track: TrackSpec, answers: Answers, listed: Listing | None) -> Rows:
    """Return the rows of the list in its order or, without a list, of all predicted names, sorted.

    Raises UserError if a listed name or image has no prediction, if the frame counts of list and predictions differ by
    more than one (for whole videos), or if the form cannot hold a name.
    """
    names = listed.names if listed is not None else tuple(sorted(answers.names))
    at = _units(names, answers, listed)
    for name in names:
        check_name(name, track, listed)
    if listed is None or listed.kind == "names":
        last = answers.last[at]
        unit = np.repeat(np.arange(len(names)), last)
        frame = np.arange(len(unit)) - np.repeat(np.cumsum(last) - last, last) + 1
        if track.submission == Form.MTL:  # single images: only those that were predicted
            unit, frame = _answered(names, at, answers)
        keys = None
    else:
        unit, frame, keys = listed.unit, listed.frame, listed.keys
    if track.submission in FOLDERS:
        _check_runs(names, unit, frame)
    left_out = _check_ends(track, answers, listed, names, at, unit, frame)
    low, high, weight, held = _places(answers, at[unit], frame)
    gaps = low != high
    if track.submission in (Form.MTL,) and (gaps.any() or (held & ~_one_beyond(answers, at, unit, frame)).any()):
        row = int(np.argmax(gaps | held))
        raise UserError(
            "image-unanswered",
            where=_where(answers, listed),
            part=names[unit[row]],
            part2=frame[row],
            rows=int((gaps | held).sum()),
        )
    unlisted = tuple(sorted(set(answers.names) - {answers.names[i] for i in at}))
    between, outside = filled_before(answers)
    interpolated, held = gaps | between[low], held | outside[low]
    return Rows(
        names,
        unit,
        frame,
        keys,
        low,
        high,
        weight,
        int(interpolated.sum()),
        int(held.sum()),
        int(answers.unseen[low].sum()),
        left_out,
        unlisted,
        _blind(names, at, answers),
    )


def _blind(names: Sequence[str], at: Ints, answers: Answers) -> tuple[str, ...]:
    seen = np.bincount(answers.unit, ~answers.unseen, minlength=len(answers.names))[at]
    return tuple(name for name, n in zip(names, seen, strict=True) if not n)


def _where(answers: Answers, listed: Listing | None) -> str:
    return f"{listed.path}: " if listed is not None else answers.where


def _units(names: Sequence[str], answers: Answers, listed: Listing | None) -> Ints:
    """Return (len(names),) index of each name into the predictions' units."""
    place = {name_key(name): i for i, name in enumerate(answers.names)}
    forms = [name_key(name) for name in names]
    if answers.numeric:  # in a column of numbers, 00123 was read as 123
        found = [place.get(name, place.get(str(int(name))) if name.isdecimal() else None) for name in forms]
    else:
        found = [place.get(name) for name in forms]
    missing = [name for name, i in zip(names, found, strict=True) if i is None]
    if missing or not names:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        what = f"there are no predictions for {shown}" if missing else "there is no test video to predict"
        raise UserError("listed-unanswered", where=_where(answers, listed), what=what)
    return np.array(found, np.int64)


def check_name(name: str, track: TrackSpec, listed: Listing | None) -> None:
    """Raise UserError if a name cannot be part of a row or a file name; none may leave the output folder."""
    where = f"{listed.path}: " if listed is not None else ""
    shown = repr(name[:80])
    slashes = track.submission in (Form.FRAME_TRIALS, Form.TRIALS)
    parts = name.split("/") if slashes else [name]
    if any(part in ("", ".", "..") or "\\" in part or "/" in part for part in parts):
        raise UserError("name-is-path", where=where, shown=shown)
    if any(ord(char) < 32 or ord(char) == 127 for char in name):
        raise UserError("name-control-character", where=where, shown=shown)
    if track.submission in FOLDERS:
        if len(name.encode()) > 240 or name.startswith("."):
            raise UserError("name-not-a-file", where=where, shown=shown)
    elif set(name) & set(',;"') or name != name.strip():
        raise UserError("name-not-in-rows", where=where, shown=shown)
    if slashes and any(char.isspace() for char in name):
        raise UserError("name-with-space", where=where, shown=shown)


def _answered(names: Sequence[str], at: Ints, answers: Answers) -> tuple[Ints, Ints]:
    parts = [answers.frame[answers.ends[i] : answers.ends[i + 1]] for i in at]
    return np.repeat(np.arange(len(names)), [len(part) for part in parts]), np.concatenate(parts)


def _check_runs(names: Sequence[str], unit: Ints, frame: Ints) -> None:
    """Require the rows of a video to be frames 1, 2, 3...: its file has no keys, or has frames from 1 on."""
    for i, name in enumerate(names):
        own = frame[unit == i]
        if (own != np.arange(1, len(own) + 1)).any():
            raise UserError("list-frames-reordered-in-video", name=name)


def _check_ends(
    track: TrackSpec, answers: Answers, listed: Listing | None, names: Sequence[str], at: Ints, unit: Ints, frame: Ints
) -> int:
    """Compare the frame counts of list and predictions; return how many predicted frames are left out.

    The counts of annotation, crops and video may differ by one; that one frame is held or left out.
    """
    if track.submission not in FRAMED or listed is None or listed.kind == "names":
        return 0
    ends = np.zeros(len(names), np.int64)
    np.maximum.at(ends, unit, frame)
    last = answers.last[at]
    short = np.flatnonzero(ends > last + 1)
    if len(short) and answers.whole:
        i = int(short[0])
        raise UserError(
            "list-longer-than-answers", path=listed.path, part=names[i], frame=ends[i], part3=last[i], count=len(short)
        )
    if track.submission == Form.MTL:
        return 0
    long = np.flatnonzero(last > ends + 1)
    if len(long):
        i = int(long[0])
        raise UserError(
            "list-shorter-than-answers", path=listed.path, part=names[i], frame=ends[i], part3=last[i], count=len(long)
        )
    return int((last > ends).sum())


def _one_beyond(answers: Answers, at: Ints, unit: Ints, frame: Ints) -> np.ndarray:
    """Return (R,) bool: True for the frame after the last of a whole video, which holds the last prediction."""
    beyond: np.ndarray = frame == answers.last[at][unit] + 1
    return beyond & answers.whole


def _places(answers: Answers, unit: Ints, frame: Ints) -> tuple[Ints, Ints, Floats, np.ndarray]:
    """Return for each row the nearest predictions before and after it, the weight of the latter, and if it is held."""
    keys = answers.unit << 32 | answers.frame
    wanted = unit << 32 | frame
    first, last = answers.ends[unit], answers.ends[unit + 1] - 1
    high = np.searchsorted(keys, wanted)  # the first prediction at or after the row
    exact = keys[np.minimum(high, len(keys) - 1)] == wanted
    low = np.where(exact, high, high - 1)
    held = (low < first) | (high > last)
    low, high = np.clip(low, first, last), np.clip(high, first, last)
    span = answers.frame[high] - answers.frame[low]
    weight = np.where(span > 0, (frame - answers.frame[low]) / np.maximum(span, 1), 0.0)
    return low, high, weight, held
