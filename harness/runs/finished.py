"""A run folder is data. What it names and what it wrote is compared before it is used.

Plugin files are code: those that a folder's config.toml names are used only if the user names them too, and if they are
the ones of the record. The data are looked for where they were, and are the run's only if their fingerprint is.
Weights and predictions have their sha256 in the record, under ``circumstances``: equal results stay equal records.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.config.schema import RunConfig, flat
from harness.data.index.index import Index
from harness.evaluation.prediction_tables import read_predictions
from harness.io.digests import check_file
from harness.runs.folder import saved_config
from harness.runs.identity import CIRCUMSTANCES
from harness.runs.job import Job
from leaderboards.record import Record, RecordError, read
from zoo.api import TrackSpec, VideoAnswers
from zoo.errors import UserError
from zoo.files import file_sha256

_PLUGIN_FILE = re.compile(r"(.+) sha256 ([0-9a-f]{64})")
_SHOWN = 5


def record_of_run(folder: Path) -> Record | None:
    """The record of a run folder; None where it has none, UserError where it cannot be read."""
    path = folder / "record.json"
    try:
        return read(path) if path.is_file() else None
    except RecordError as error:
        raise UserError("record-invalid", message=str(error)) from None


def use_run(
    folder: Path, config: RunConfig, *, plugins: Sequence[Path] = (), data: Path | None = None
) -> tuple[RunConfig, Record | None]:
    """Return a run's configuration as it can be used here, and its record.

    Args:
        folder: The run.
        config: What its config.toml says.
        plugins: The plugin files that the user names.
        data: Where the user says that the data are; None: where they were.

    Raises:
        UserError: The settings are not those of the record, or a plugin is not named or another.
    """
    config, record = use_settings(folder, config, plugins)
    place = data or (data_place(folder, record, config.data_dir) if config.data_dir else None)
    return config.model_copy(update={"data_dir": str(place) if place else None}), record


def use_settings(folder: Path, config: RunConfig, plugins: Sequence[Path] = ()) -> tuple[RunConfig, Record | None]:
    """The same for what needs none of the run's data."""
    record = record_of_run(folder)
    if record is not None:
        check_settings(folder, config, record)
    files = tuple(str(path) for path in trusted_plugins(folder, config.plugin, record, plugins))
    return config.model_copy(update={"plugin": files}), record


def use_saved(
    folder: Path, *, plugins: Sequence[Path] = (), data: Path | None = None
) -> tuple[RunConfig, Record | None]:
    """The same of the config.toml in the folder."""
    return use_run(folder, saved_config(folder), plugins=plugins, data=data)


# --- settings ---------------------------------------------------------------------------------------------------------


def check_settings(folder: Path, config: RunConfig, record: Record) -> None:
    """UserError where config.toml is not what the record says that the run was made with; paths may have changed."""
    there = record.result.get("config") or {}
    here = config.model_dump(mode="json", exclude=CIRCUMSTANCES)
    if "ensemble" in there:  # its config.toml is its first member's, but for what is done to the answers
        there = {key: value for key, value in there.items() if key == "post"}
    a, b = flat(there), flat(here)
    a |= {key: record.result[key] for key in ("track", "edition") if record.result.get(key)}
    free = {"data.list", "data.pack", "edition" if config.edition is None else ""}
    if changed := [key for key, value in a.items() if key in b and key not in free and b[key] != value]:
        said = "; ".join(f"{key} is {b[key]}, the record says {a[key]}" for key in changed[:_SHOWN])
        raise UserError("run-settings-changed", file=folder / "config.toml", said=said)


# --- plugins ----------------------------------------------------------------------------------------------------------


def trusted_plugins(
    folder: Path, named: Sequence[str], record: Record | None, given: Sequence[Path]
) -> tuple[Path, ...]:
    """Return the plugin files that may be loaded for a run: those that the user gives.

    Args:
        folder: The run, or its record, for errors.
        named: What its config.toml names.
        record: Its record, which has the digests of the plugin files that it used.
        given: What the user names.

    Raises:
        UserError: A file that the run needs is not given, or one that is given is not the recorded one.
    """
    recorded, digests = _recorded(record), {_digest(path): path for path in given}
    for sha256, path in digests.items():
        if sha256 not in recorded:
            known = ", ".join(f"{name} {digest[:12]}" for digest, name in recorded.items()) or "no plugin file"
            raise UserError("run-plugin-other", folder=folder, file=path, found=sha256[:12], known=known)
    names = {Path(name).name for name in named}
    for sha256, name in recorded.items():
        if name in names and sha256 not in digests:
            raise UserError("run-plugin-not-named", folder=folder, name=name, sha256=sha256[:12])
    if record is None and names:
        raise UserError("run-plugin-not-recorded", folder=folder, names=", ".join(sorted(names)))
    return tuple(given)


def plugins_of(given: Sequence[Path], records: Mapping[Path, Record]) -> dict[Path, tuple[Path, ...]]:
    """Return for every run those of the plugin files that the user gives that its record has the digest of; UserError
    for a file that no record has."""
    own = {folder: own_plugins(given, record) for folder, record in records.items()}
    for path in given:
        if not any(path in files for files in own.values()):
            folder, record = next(iter(records.items()))
            trusted_plugins(folder, (), record, [path])
    return own


def own_plugins(given: Sequence[Path], record: Record) -> tuple[Path, ...]:
    """Return those of some plugin files that a run's record has the digest of."""
    return tuple(path for path in given if _digest(path) in _recorded(record))


def plugin_names(record: Record) -> tuple[str, ...]:
    """Return the names of the plugin files that a run used."""
    return tuple(_recorded(record).values())


def _recorded(record: Record | None) -> dict[str, str]:
    """sha256 -> name of the plugin files that a run used."""
    found = (_PLUGIN_FILE.fullmatch(str(text)) for text in (record.result.get("plugins") if record else None) or ())
    return {match[2]: match[1] for match in found if match}


def _digest(path: Path) -> str:
    if not path.is_file():
        raise UserError("run-plugin-missing", file=path)
    return file_sha256(path)


# --- data -------------------------------------------------------------------------------------------------------------


def place_of(root: Path, folder: Path) -> dict[str, str]:
    """Where a run's data are, for its record's circumstances: absolute, and seen from the run's folder, so that both
    can be moved together."""
    absolute = os.path.abspath(root)
    try:
        relative = os.path.relpath(absolute, os.path.abspath(folder))
    except ValueError:  # on another drive
        relative = absolute
    return {"absolute": absolute, "relative": relative}


def data_place(folder: Path, record: Record | None, named: str) -> Path:
    """The first of the places where a run's data may be that is there: where they were, where they would be if they
    were moved with the run, and, for runs of 0.1, what config.toml names. UserError where none is."""
    kept = (record.circumstances.get("data") if record else None) or {}
    places = [Path(kept["absolute"])] if "absolute" in kept else []
    places += [folder / kept["relative"]] if "relative" in kept else []
    places += [] if places else [Path(named)]
    for place in places:
        if place.is_dir():
            return place
    raise UserError("run-data-missing", folder=folder, names=" and ".join(str(place) for place in places))


def is_runs_data(index: Index, record: Record) -> bool:
    """Whether the data of an index are those of a record."""
    return bool(index.fingerprint() == (record.result.get("data") or {}).get("fingerprint"))


def check_data(job: Job, record: Record | None, folder: Path) -> None:
    """UserError where the data are not those that the run was made with."""
    check_index(job.whole or job.index, record, folder)


def check_index(index: Index, record: Record | None, folder: Path) -> None:
    """UserError where an index is not of the data that the run was made with."""
    if record is None or is_runs_data(index, record):
        return
    data: Mapping[str, Any] = record.result.get("data") or {}
    counts = []
    for split in ("train", "val", "test"):
        here = index.split(split)
        now = {"videos": len(here), "frames": sum(video.n_frames for video in here)}
        then = {what: (data.get(what) or {}).get(split) for what in now}
        counts += [f"{then[what]} {split} {what} then, {now[what]} here" for what in now if then[what] != now[what]]
    said = "; ".join(counts) or "the counts are the same, names or labels are not"
    raise UserError("run-other-data", root=index.root, folder=folder, said=said)


# --- files ------------------------------------------------------------------------------------------------------------


def digests_of(folder: Path) -> dict[str, str]:
    """sha256 of what a run has written that is read again, by its name in the folder."""
    paths = [folder / "weights.safetensors", *sorted((folder / "predictions").glob("*.parquet"))]
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in paths if path.is_file()}


def note_files(folder: Path, names: Sequence[str]) -> None:
    """Put the digests of files that were made again into the record of a finished run."""
    record = record_of_run(folder)
    if record is None:
        return
    made = {name: sha256 for name, sha256 in digests_of(folder).items() if name in names}
    record.circumstances = {**record.circumstances, "files": {**(record.circumstances.get("files") or {}), **made}}
    record.write(folder / "record.json")


def check_written(path: Path) -> None:
    """Compare a run's weights or predictions with its record. A warning where an older program noted no digest;
    UserError where they are others."""
    folder = path.parent.parent if path.parent.name == "predictions" else path.parent
    if not path.is_file():
        return  # whoever reads it says so
    record = record_of_run(folder)
    known = (record.circumstances.get("files") or {}) if record else {}
    name = path.relative_to(folder).as_posix()
    if path.parent.name == "predictions":
        remedy = f"`harness evaluate {folder}` answers again"
    else:
        remedy = f"get it again, or train again: `harness reproduce {folder}`"
    check_file(path, known.get(name), remedy)


def check_recorded(path: Path) -> None:
    """The same of any file, if it is one that a run's record knows."""
    folder = path.parent.parent if path.parent.name == "predictions" else path.parent
    if (folder / "record.json").is_file() and (folder / "config.toml").is_file():
        check_written(path)


def read_own(path: Path, track: TrackSpec) -> list[VideoAnswers]:
    """The predictions of a run, compared with its record."""
    check_written(path)
    return read_predictions(path, track)
