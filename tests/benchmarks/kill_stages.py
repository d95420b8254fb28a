"""The stages that kills.py disturbs: their commands, what they need, what of theirs is accepted, what they make."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from zoo.errors import UserError

VIDEOS, FRAMES = (4, 2, 2), 24


@dataclass(frozen=True)
class Stage:
    """One command. ``prepare``: fills an empty folder with what it needs; ``accepted``: what was accepted after a kill
    that is not whole; ``outcome``: what it made, to be compared; ``left``: leftovers that should be gone at the end;
    ``earliest``: seconds before which nothing is written; ``finished``: what it says where nothing is left to do."""

    name: str
    command: Callable[[Path], list[str]]
    prepare: Callable[[Path], object]
    accepted: Callable[[Path], Iterable[str]]
    outcome: Callable[[Path], object]
    left: Callable[[Path], Iterable[Path]]
    earliest: float = 1.0
    finished: str = ""


def stages(root: Path) -> list[Stage]:
    """All stages; ``root``: where the demo set and a finished run are kept that they begin with."""
    from harness.data.synthetic import make_demo

    demo = root / "crumb"
    make_demo(demo, videos=VIDEOS, frames=FRAMES, jobs=1, progress=False)
    finished = root / "finished"
    train = ["--data", "data", "--encoders", "face,audio", "--set", "train.epochs=12", "--set", "train.clip=16"]
    sweep = [
        "sweep",
        "--data",
        "data",
        "--encoders",
        "face;face,audio",
        "--fusion",
        "late,concat",
        "--head",
        "gru",
        "--set",
        "train.epochs=4",
        "--jobs",
        "1",
    ]
    data = partial(_data, demo)
    return [
        Stage(
            "demo",
            lambda _: ["data", "demo", "demo", "--videos", "2,1,1", "--frames", "12"],
            _nothing,
            _demo_whole,
            lambda p: digests(p / "demo"),
            lambda p: p.glob(".demo*"),
        ),
        Stage(
            "boxes",
            lambda _: ["data", "boxes", "data", "--jobs", "2"],
            partial(_bare, demo),
            _boxes_whole,
            lambda p: digests(p / "data" / "boxes"),
            lambda p: (p / "data" / "boxes").glob(".*"),
        ),
        Stage(
            "pack",
            lambda _: ["data", "pack", "data", "--jobs", "2"],
            data,
            _pack_whole,
            _packed,
            lambda p: (p / "data").rglob("*.part"),
        ),
        Stage(
            "extract",
            lambda _: ["data", "extract", "data", "--encoders", "face,context"],
            data,
            _cache_whole,
            _features,
            lambda p: [path for path in (p / "cache").rglob("*.part") if path.is_file()],
            4.0,
        ),
        Stage(
            "train",
            partial(_go_on, [*train, "--name", "r"]),
            partial(_warm, demo, finished, train),
            _run_whole,
            lambda p: _record(p / "runs" / "r"),
            lambda p: _parts(p / "runs"),
            4.0,
            "the run is finished",
        ),
        Stage("sweep", lambda _: sweep, data, _run_whole, _swept, lambda p: _parts(p / "runs"), 4.0),
        Stage(
            "submit",
            lambda _: ["submit", "runs/r", "--zip"],
            partial(_done, demo, finished, train),
            _submission_whole,
            _submitted,
            lambda p: (p / "runs" / "r" / "submission").glob(".*"),
            0.5,
        ),
    ]


def harness(place: Path, *args: str) -> tuple[int, str]:
    """A command in this process, which must not write: a verifier."""
    import os
    import sys
    from unittest import mock

    from harness import cli

    out = io.StringIO()
    cache = {"ABAW_ZOO_CACHE": str(place / "cache")}
    with redirect_stdout(out), mock.patch.dict(os.environ, cache), mock.patch.object(sys, "argv", ["harness", *args]):
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def digests(folder: Path) -> dict[str, str]:
    """File -> sha256 of all that is not hidden."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# --- what a stage begins with -----------------------------------------------------------------------------------------


def _nothing(place: Path) -> None:
    """An empty folder."""


def _data(demo: Path, place: Path) -> None:
    shutil.copytree(demo, place / "data")


def _bare(demo: Path, place: Path) -> None:
    _data(demo, place)
    for made in ("boxes", "openpose"):
        shutil.rmtree(place / "data" / made)


def _done(demo: Path, finished: Path, train: list[str], place: Path) -> None:
    """A finished run, with its cache; made once."""
    import os
    import subprocess
    import sys

    if not (finished / "runs").exists():
        finished.mkdir()
        _data(demo, finished)
        environment = os.environ | {"ABAW_ZOO_CACHE": str(finished / "cache"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "harness.cli", "run", *train, "--name", "r"]
        subprocess.run(command, cwd=finished, env=environment, check=True, capture_output=True)
    shutil.copytree(finished, place, dirs_exist_ok=True)
    shutil.rmtree(place / "runs" / "r" / "submission", ignore_errors=True)


def _warm(demo: Path, finished: Path, train: list[str], place: Path) -> None:
    """The data and all features, so that most of the time goes into training."""
    _done(demo, finished, train, place)
    shutil.rmtree(place / "runs")


def _go_on(new: list[str], place: Path) -> list[str]:
    """A run that has a folder with its settings is gone on with, as its message says."""
    begun = (place / "runs" / "r" / "config.toml").is_file()
    if not begun and (place / "runs" / "r").is_dir():
        (place / "runs" / "r").rmdir()  # killed between making the folder and writing into it
    return ["run", "--resume", "runs/r"] if begun else ["run", *new]


# --- what is accepted after a kill ------------------------------------------------------------------------------------


def _refused(read: Callable[[], object], what: object) -> Iterable[str]:
    """A file under its own name that cannot be read."""
    try:
        read()
    except UserError as error:
        yield f"{what}: {error}"


def _demo_whole(place: Path) -> Iterable[str]:
    if (place / "demo").exists() and not (place / "demo" / "truth.json").is_file():
        yield "a demo set without its last file"


def _boxes_whole(place: Path) -> Iterable[str]:
    from harness.data.tracking.person_boxes import read_boxes

    for path in (place / "data" / "boxes").glob("*.parquet"):
        yield from _refused(lambda path=path: read_boxes(path), path.name)  # type: ignore[misc]


def _pack_whole(place: Path) -> Iterable[str]:
    if (place / "data" / "packed").is_dir() or list((place / "data").glob("*pack*")):
        code, said = harness(place, "data", "verify", str(place / "data"))
        if code == 1:
            yield f"data verify: {said[:300]}"


def _packed(place: Path) -> object:
    code, _ = harness(place, "data", "verify", str(place / "data"))
    folder = next(path for path in (place / "data").glob("*pack*") if path.is_dir())
    return code, {name: sha for name, sha in digests(folder).items() if name.endswith(".arrow")}


def _cache_whole(place: Path) -> Iterable[str]:
    code, said = harness(place, "cache", "verify")
    if code == 1:
        yield f"cache verify: {said[:300]}"
    yield from _run_whole(place)


def _run_whole(place: Path) -> Iterable[str]:
    from harness.runs.folder import saved_config
    from harness.runs.multi_run import read
    from harness.training.checkpoint import load_state, load_weights

    readers = {"state.ckpt": load_state, "weights.safetensors": load_weights, "record.json": read}
    for name, reader in readers.items():
        for path in (place / "runs").rglob(name):
            yield from _refused(partial(reader, path), path.relative_to(place))
    for path in (place / "runs").rglob("config.toml"):
        yield from _refused(partial(saved_config, path.parent), path.relative_to(place))
    yield from (found for run in (place / "runs").glob("*") if run.is_dir() for found in _handed_in(run / "submission"))


def _handed_in(folder: Path) -> Iterable[str]:
    """A submission whose manifest agrees with it, or none that would be accepted."""
    from harness.submissions.verifier import sha256_of

    if (folder / "manifest.json").is_file():
        noted: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        if (folder / noted["file"]).exists() and sha256_of(folder / noted["file"]) != noted["sha256"]:
            yield f"{folder.name}: the manifest is another's"


def _submission_whole(place: Path) -> Iterable[str]:
    return _handed_in(place / "runs" / "r" / "submission")


# --- what it makes ----------------------------------------------------------------------------------------------------


def _record(folder: Path) -> object:
    """The result of a run, the bytes of its weights and of its answers."""
    from leaderboards.record import read

    record = read(folder / "record.json")
    kept = {name: sha for name, sha in digests(folder).items() if name.endswith((".parquet", ".safetensors", ".txt"))}
    return {"status": record.status, "result": record.result_sha256, **kept}


def _features(place: Path) -> object:
    """The bytes of all features, by the names of their entries, which are made of what they depend on."""
    return {
        name: sha for name, sha in digests(place / "cache").items() if name.endswith(("features.npy", "present.npy"))
    }


def _swept(place: Path) -> object:
    rows = csv.DictReader(io.StringIO((place / "runs" / "leaderboard.csv").read_text()))
    return {row["run"]: (row["status"], row["score"], row["low"], row["high"]) for row in rows}


def _submitted(place: Path) -> object:
    folder = place / "runs" / "r" / "submission"
    noted = json.loads((folder / "manifest.json").read_text())
    return {key: noted[key] for key in ("file", "sha256", "rows", "record_sha256", "zip")}, {
        name: sha for name, sha in digests(folder).items() if name != "manifest.json"
    }


def _parts(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file() and path.name not in (".lock", ".leaderboard.lock")]
