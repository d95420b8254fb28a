"""Compare two submissions of one track."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from harness.submissions.verifier.fields import FOLDERS, HEADERLESS
from harness.submissions.verifier.findings import Findings
from harness.submissions.verifier.lines import read_lines
from zoo.errors import UserError
from zoo.metrics.scores import ccc
from zoo.tracks import Answer, Form, TrackSpec

_SHIFTS = 12  # number of the most frequent changes of class that are listed


def compare(path: Path, other: Path, track: TrackSpec) -> list[str]:
    """Return lines for a person: rows missing in one, changed rows, shifts between classes, CCC of each number."""
    one, two = _read(path, track), _read(other, track)
    both = [key for key in one if key in two]
    out = [
        f"only in {name}: {n:,} rows" for name, n in ((path, len(one) - len(both)), (other, len(two) - len(both))) if n
    ]
    changed = sum(one[key] != two[key] for key in both)
    out.append(f"{changed:,} of {len(both):,} rows differ")
    for i, answer in enumerate(track.answers if both else ()):
        at = i - len(track.answers)  # counted from the end: trials have probabilities first
        pairs = [(one[key][at], two[key][at]) for key in both if len(one[key]) >= -at and len(two[key]) >= -at]
        out += _number(answer, pairs) if answer.kind == "value" else _shifts(answer, pairs)
    return out


def _read(path: Path, track: TrackSpec) -> dict[str, tuple[str, ...]]:
    """Return row -> texts of its answers; rows of a file per video are named ``<video>:<line>``."""
    if not path.exists():
        raise UserError("submission-missing", file=path)
    if track.submission in FOLDERS:
        if not path.is_dir():
            raise UserError("submission-not-a-folder", file=path, name=track.name)
        rows: dict[str, tuple[str, ...]] = {}
        for file in sorted(path.glob(f"*{FOLDERS[track.submission]}")):
            lines = read_lines(file, Findings())
            keyed = int(track.submission == Form.CSV)
            for number, line in enumerate(lines.lines[1:], start=2):
                fields = lines.fields(line)
                rows[f"{file.stem}:{fields[0] if keyed else number}"] = tuple(fields[keyed:])
        return rows
    lines = read_lines(path, Findings())
    table = (lines.fields(line) for line in lines.lines[int(track.submission not in HEADERLESS) :])
    return {fields[0]: tuple(fields[1:]) for fields in table}


def _shifts(answer: Answer, pairs: list[tuple[str, str]]) -> list[str]:
    names = answer.classes if answer.kind == "class" else ("0", "1")
    moved = Counter(pair for pair in pairs if pair[0] != pair[1])
    if not moved:
        return [f"{answer.name}: the same everywhere"]
    shown = [f"{_class(a, names)} -> {_class(b, names)} {n:,}" for (a, b), n in moved.most_common(_SHIFTS)]
    rest = sum(moved.values()) - sum(n for _, n in moved.most_common(_SHIFTS))
    return [
        f"{answer.name}: {sum(moved.values()):,} rows differ: {', '.join(shown)}"
        + (f", other {rest:,}" if rest else "")
    ]


def _class(text: str, names: tuple[str, ...]) -> str:
    return names[int(text)] if text.isascii() and text.isdigit() and int(text) < len(names) else repr(text)


def _number(answer: Answer, pairs: list[tuple[str, str]]) -> list[str]:
    try:
        values = np.array(pairs, np.float64)
    except ValueError:
        return [f"{answer.name}: not compared, some are not numbers"]
    if not len(values):
        return [f"{answer.name}: not compared, no row of both has it"]
    differ = np.abs(values[:, 0] - values[:, 1])
    return [
        f"{answer.name}: CCC between them {ccc(values[:, 0], values[:, 1]):.4f}, mean difference {differ.mean():.4f}, "
        f"largest {differ.max():.4f}"
    ]
