"""Submission files: every row that the organisers list, in their order, answered and in range.

Three forms. ``keyed``: one file, rows ``<video>/00001.jpg,<answers>`` (editions 5, 6, 8, 10). ``mtl``: the same with
all answers of the multi-task track. ``per_video``: a folder with one file a video, a row a frame and no key (editions
1, 2 and the single tracks of 3). What is written here is checked by harness.verify, which shares no code with it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.lists import TestList
from leaderboards.record import replace_file
from zoo.errors import UserError
from zoo.tracks import Answer, TrackSpec, VideoAnswers

__all__ = ["Submission", "write_submission"]


@dataclass(frozen=True)
class Submission:
    """What was written.

    ``official``: the rows, or at least the videos, are an organisers' list. ``held``: listed frames one beyond the
    last answer, which hold it (frame counts of annotation, crops and video differ by one). ``histogram``: class -> rows
    answered with it; action unit -> rows answered with 1. ``sha256``: of the file; of a folder: of its lines
    "<sha256 of file>  <file>" in the order of the names.
    """

    path: Path
    rows: int
    official: bool
    sha256: str
    held: int
    histogram: dict[str, int]


@dataclass(frozen=True)
class _Rows:
    """R rows to write: ``video`` (R,) index into ``names``, ``frame`` (R,) from 1."""

    names: tuple[str, ...]
    video: NDArray[np.int64]
    frame: NDArray[np.int64]

    def key(self, row: int) -> str:
        return f"{self.names[self.video[row]]}/{self.frame[row]:05d}.jpg"


def write_submission(
    out: Path, track: TrackSpec, answers: Mapping[str, VideoAnswers], rows: TestList | None
) -> Submission:
    """Write the answers of ``answers`` (video -> answers) to ``out``, whole or not at all.

    ``rows``: a list of rows sets rows and order; a list of names sets the videos, with every frame answered here;
    without a list all videos are written, sorted. For ``per_video`` the result is a folder, ``out`` without ``.txt``.
    UserError: a listed video or frame without an answer (but for one frame at the end), an answer that is no number.
    """
    wanted = _wanted(answers, rows)
    lengths = np.array([len(answers[name].times) for name in wanted.names], np.int64)
    _check(wanted, lengths)
    starts = np.cumsum(lengths) - lengths
    at = starts[wanted.video] + np.minimum(wanted.frame, lengths[wanted.video]) - 1
    columns: list[list[str]] = []
    histogram: dict[str, int] = {}
    for answer in track.answers:
        parts = [np.asarray(answers[name].values[answer.name]) for name in wanted.names]
        if [len(part) for part in parts] != lengths.tolist():
            raise ValueError(f"a video has more or fewer answers {answer.name} than frames")
        column, counts = _column(answer, np.concatenate(parts)[at], wanted)
        columns.append(column)
        histogram |= counts
    if track.submission == "per_video":
        path = out.with_suffix("") if out.suffix == ".txt" else out
        sha256 = _write_folder(path, _texts(track, columns, wanted))
    else:
        path, content = out, _keyed(track, columns, wanted).encode()
        replace_file(path, content)
        sha256 = hashlib.sha256(content).hexdigest()
    held = int((wanted.frame > lengths[wanted.video]).sum())
    return Submission(path, len(wanted.frame), rows is not None, sha256, held, histogram)


# --- which rows -------------------------------------------------------------------------------------------------------


def _wanted(answers: Mapping[str, VideoAnswers], rows: TestList | None) -> _Rows:
    names = rows.videos if rows is not None else tuple(sorted(answers))
    where = f"{rows.path}: " if rows is not None else ""
    missing = [name for name in names if name not in answers or not len(answers[name].times)]
    if missing or not names:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        what = f"no answers for {shown}" if missing else "there is no test video to answer"
        raise UserError(f"{where}{what}; every test video must be in the data folder, then run the model on it")
    for name in names:
        if set(name) & set(",/\r\n"):
            raise UserError(f"{where}the video name {name!r} has a comma, slash or line end; a row cannot hold it")
    if rows is not None and rows.kind == "rows":
        return _Rows(names, rows.row_video.astype(np.int64), rows.row_frame.astype(np.int64))
    frames = [np.arange(1, len(answers[name].times) + 1) for name in names]
    return _Rows(names, np.repeat(np.arange(len(names)), [len(f) for f in frames]), np.concatenate(frames))


def _check(wanted: _Rows, lengths: NDArray[np.int64]) -> None:
    beyond = wanted.frame - lengths[wanted.video]
    wrong = np.flatnonzero((beyond > 1) | (wanted.frame < 1))
    if len(wrong):
        row = int(wrong[0])
        raise UserError(
            f"row {row + 1} of the list, {wanted.key(row)}: the video has {lengths[wanted.video[row]]} answered frames "
            f"({len(wrong)} such rows); make crops and features of the whole video, or use the list of this data"
        )


# --- what is written --------------------------------------------------------------------------------------------------


def _column(answer: Answer, values: NDArray[np.generic], wanted: _Rows) -> tuple[list[str], dict[str, int]]:
    """One answer's text in every row, and how often each class was given."""
    numbers = values.astype(np.float64)
    finite = np.isfinite(numbers) if numbers.ndim == 1 else np.isfinite(numbers).all(1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise UserError(f"{wanted.key(row)}: the answer {answer.name} is not a finite number; train or predict again")
    if answer.kind == "value":
        rounded = np.round(np.clip(numbers, answer.low, answer.high), 6) + 0.0  # + 0.0 makes -0.0 a plain 0
        return [f"{number:.6f}" for number in rounded.tolist()], {}
    chosen = numbers.argmax(1) if answer.kind == "class" else (numbers >= 0.5).astype(np.int64)
    counts = np.bincount(chosen, minlength=max(len(answer.classes), 2)).tolist()
    texts = [str(number) for number in range(len(counts))]
    named = dict(zip(answer.classes, counts, strict=True)) if answer.kind == "class" else {answer.name: counts[1]}
    return [texts[number] for number in chosen.tolist()], named


def _keyed(track: TrackSpec, columns: Sequence[list[str]], wanted: _Rows) -> str:
    rows = zip(wanted.video.tolist(), wanted.frame.tolist(), strict=True)
    keys = [f"{wanted.names[video]}/{frame:05d}.jpg" for video, frame in rows]
    return "\n".join([track.submission_header, *map(",".join, zip(keys, *columns, strict=True))]) + "\n"


def _texts(track: TrackSpec, columns: Sequence[list[str]], wanted: _Rows) -> dict[str, str]:
    """File name -> content, for one file a video; its rows have no key, so they must be frames 1, 2, 3..."""
    lines = list(map(",".join, zip(*columns, strict=True)))
    texts: dict[str, str] = {}
    for video, name in enumerate(wanted.names):
        rows = np.flatnonzero(wanted.video == video)
        if (wanted.frame[rows] != np.arange(1, len(rows) + 1)).any():
            raise UserError(f"{name}: the list leaves out or reorders frames, which a file without keys cannot say")
        texts[f"{name}.txt"] = "\n".join([track.submission_header, *(lines[row] for row in rows)]) + "\n"
    return texts


def _write_folder(path: Path, texts: Mapping[str, str]) -> str:
    """Put the files into a folder that takes the place of an older submission; returns the folder's sha256."""
    if path.exists() and (not path.is_dir() or any(file.suffix != ".txt" for file in path.iterdir())):
        raise UserError(f"{path}: is in the way and is no submission; move it or write elsewhere")
    part, old = (path.with_name(f".{path.name}.{os.getpid()}.{end}") for end in ("part", "old"))
    sums = []
    try:
        for name in sorted(texts):
            content = texts[name].encode()
            replace_file(part / name, content)
            sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
        if path.exists():
            os.replace(path, old)
        os.replace(part, path)
    finally:
        for folder in (part, old):
            if folder.exists():
                shutil.rmtree(folder)
    return hashlib.sha256("".join(sums).encode()).hexdigest()
