"""What makes the targets of fuzz.py, and their seeds."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from zoo.errors import UserError
from zoo.tracks import EditionSpec, TrackSpec

USER = (UserError,)


def make_demo_set(folder: Path) -> Path:
    """The seeds' demo set."""
    from harness.data.synthetic import make_demo

    make_demo(folder, videos=(2, 1, 1), frames=12, jobs=1, progress=False)
    return folder


@cache
def track_of(name: str, edition: str) -> tuple[EditionSpec, TrackSpec]:
    """A registered track."""
    from zoo.registry.tracks import find_track, load_plugins

    return find_track(load_plugins([]), name, edition)


def contents(files: Iterable[Path]) -> tuple[bytes, ...]:
    """What the files hold."""
    found = tuple(path.read_bytes() for path in sorted(files))
    assert found, "a target without a sound file shows nothing"
    return found


def rows_of(track: TrackSpec) -> pa.Table:
    """A table of predictions."""
    columns: dict[str, Any] = {"video": ["a", "a", "b"], "frame": [1, 2, 1]}
    for answer in track.answers:
        if answer.kind == "class":
            p = np.full(len(answer.classes), 1 / len(answer.classes))
            columns |= {f"p_{c}": [float(x)] * 3 for c, x in zip(answer.classes, p, strict=True)} | {
                answer.name: [0, 1, 0]
            }
        elif answer.kind == "binary":
            columns |= {f"p_{answer.name}": [0.1, 0.9, 0.5], answer.name: [0, 1, 1]}
        else:
            columns[answer.name] = [0.1, -0.2, 0.3]
    return pa.table(columns)
