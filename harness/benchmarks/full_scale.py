"""Work of Aff-Wild2's size, made only of names and numbers: an index, a submission; each in its own process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from harness.benchmarks.measure import Child, in_child
from harness.benchmarks.tables import Row, most
from harness.io.scratch import scratch
from zoo.tracks import TrackSpec

EDITION = "abaw10"
VIDEOS, LINES = 594, 2_700_000
ROWS = {"va": (927_210, 162), "expr": (1_022_655, 228), "au": (729_736, 141)}
"""Rows and videos of each track's test file, as published for editions 5, 6 and 8."""


def index_rows(tick: Callable[[str], object] = str) -> list[Row]:
    """Measure `harness data index` on a new folder, and again on a known one."""
    with scratch("bench") as folder:
        tick("writing a tree of names")
        write_tree(Path(folder, "data"))
        tick("index")
        before = os.environ.get("ABAW_ZOO_CACHE")
        os.environ["ABAW_ZOO_CACHE"] = str(Path(folder, "cache"))
        try:
            first, again = (command("data", "index", Path(folder, "data"), "--track", "va") for _ in range(2))
        finally:
            os.environ.pop("ABAW_ZOO_CACHE") if before is None else os.environ.update(ABAW_ZOO_CACHE=before)
    what = f"index of {VIDEOS} videos, {LINES:,} lines"
    return [
        most(what, {"s": (first.seconds, 5.0), "MB": (first.peak_mb, 500.0)}),
        most(f"{what}, known already", {"s": (again.seconds, 5.0), "MB": (again.peak_mb, 500.0)}),
    ]


def submission_rows(tick: Callable[[str], object] = str, track: str = "va") -> list[Row]:
    """Measure `harness submit` and `harness verify` on a file of the official size."""
    rows, videos = ROWS[track]
    with scratch("bench") as folder:
        write_predictions(folder, track, rows, videos)
        common = ("--edition", EDITION, "--track", track, "--list", folder / "list.txt")
        tick("submission")
        write = command(
            "submit",
            "--predictions",
            folder / "predictions.parquet",
            *common,
            "--out",
            folder / "out",
            "--runs",
            folder,
        )
        verify = command(
            "verify", folder / "out" / "predictions.txt", *common, "--manifest", folder / "out" / "manifest.json"
        )
    return [
        most(f"{what} a submission of {rows:,} rows", {"s": (child.seconds, None), "MB": (child.peak_mb, None)})
        for what, child in (("write", write), ("verify", verify))
    ]


def command(*args: object) -> Child:
    """Run a command line in a process of its own; raise RuntimeError if it fails."""
    return in_child("harness.cli:run_quietly", *map(str, args))


def write_tree(root: Path, videos: int = VIDEOS, lines: int = LINES) -> None:
    """Write valence and arousal annotations for ``videos`` videos with ``lines`` lines in all.

    They are divided 356 : 76 into training and validation. Every video's crops are links to one folder of empty files,
    which makes no difference to code that reads only names.
    """
    lengths = np.full(videos, lines // videos)
    lengths[: lines % videos] += 1
    crops = root.with_name(root.name + "_crops")
    crops.mkdir(parents=True)
    for i in range(1, int(lengths[-1]) + 1):
        (crops / f"{i:05d}.jpg").touch()
    (root / "cropped_aligned").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split in ("Train_Set", "Validation_Set"):
        (root / "annotations" / "VA_Estimation_Challenge" / split).mkdir(parents=True)
    for k, n in enumerate(lengths):
        split = "Train_Set" if k % 432 < 356 else "Validation_Set"
        name = f"{k}-30-640x360"
        values = rng.uniform(-1, 1, (n, 2)).round(3)
        values[: n // 20] = -5  # unlabelled
        text = "".join(f"{v:g},{a:g}\n" for v, a in values)
        path = root / "annotations" / "VA_Estimation_Challenge" / split / f"{name}.txt"
        path.write_text("valence,arousal\n" + text)
        (root / "cropped_aligned" / name).symlink_to(crops, target_is_directory=True)


def write_predictions(folder: Path, name: str, rows: int, videos: int) -> None:
    """Write a table of predictions (parquet, probabilities) and the list, ``rows`` rows each."""
    import pyarrow as pa
    from pyarrow import parquet

    track, rng = track_of(name), np.random.default_rng(0)
    lengths = np.full(videos, rows // videos)
    lengths[: rows % videos] += 1
    names = [f"{i}-30-1280x720{('', '_left', '_right')[i % 3]}" for i in range(videos)]
    unit = np.repeat(np.arange(videos), lengths)
    frame = np.concatenate([np.arange(1, n + 1) for n in lengths])
    columns: dict[str, object] = {
        "video": pa.DictionaryArray.from_arrays(pa.array(unit, pa.int32()), pa.array(names)),
        "frame": frame,
    }
    for answer in track.answers:
        if answer.kind == "class":
            p = rng.dirichlet(np.ones(len(answer.classes)), rows)
            columns |= {f"p_{c}": p[:, i] for i, c in enumerate(answer.classes)}
        else:
            p_or_value = rng.random(rows) if answer.kind == "binary" else rng.uniform(-1, 1, rows)
            columns[f"p_{answer.name}" if answer.kind == "binary" else answer.name] = p_or_value
    with (folder / "predictions.parquet").open("wb") as file:
        parquet.write_table(pa.table(columns), file)
    dummy = ",0" * (1 if name == "expr" else len(track.answers))
    with (folder / "list.txt").open("w") as file:
        file.write(track.submission_header + "\n")
        for video, n in zip(names, lengths, strict=True):
            file.writelines(f"{video}/{i:05d}.jpg{dummy}\n" for i in range(1, n + 1))


def track_of(name: str) -> TrackSpec:
    """Return the edition's track."""
    from zoo.registry.tracks import find_track, load_plugins

    return find_track(load_plugins([]), name, EDITION)[1]
