"""Reading finished runs: compare a run folder's settings, plugins, data and files with its record before use.

A run folder is data, but plugin files are code: those that a folder's config.toml names are used only if the user
names them too, and if their digests are those in the record. The data are looked for at their recorded place, and are
accepted only if their fingerprint is the recorded one. The sha256 of weights and predictions is in the record under
``circumstances``, so that equal results still give equal records.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.config.recorded import CIRCUMSTANCES, with_left_out
from harness.config.schema import RunConfig, flat
from harness.data.index.group_tables import TABLE
from harness.data.index.index import Index
from harness.evaluation.prediction_tables import read_predictions
from harness.io.digests import check_file
from harness.runs.folder import saved_config
from harness.runs.recorded_plugins import trusted_plugins
from leaderboards.blocks import Circumstances
from leaderboards.record import Record, RecordError, read
from zoo.api import TrackSpec, VideoAnswers
from zoo.errors import UserError
from zoo.files import file_sha256

if TYPE_CHECKING:
    from harness.runs.job import Job

_SHOWN = 5


def record_of_run(folder: Path) -> Record | None:
    """Return the record of a run folder, or None if it has none; raise UserError if it cannot be read."""
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
        config: The contents of its config.toml.
        plugins: The plugin files that the user names.
        data: The data folder that the user names; None: the recorded one.

    Raises:
        UserError: The settings differ from those in the record, or a plugin is not named or is a different file.
    """
    config, record = use_settings(folder, config, plugins)
    place = data or (data_place(folder, record, config.data_dir) if config.data_dir else None)
    return config.model_copy(update={"data_dir": str(place) if place else None}), record


def use_settings(folder: Path, config: RunConfig, plugins: Sequence[Path] = ()) -> tuple[RunConfig, Record | None]:
    """Do the same as `use_run` for commands that need none of the run's data."""
    record = record_of_run(folder)
    if record is not None:
        check_settings(folder, config, record)
    files = tuple(str(path) for path in trusted_plugins(folder, config.plugin, record, plugins))
    return config.model_copy(update={"plugin": files}), record


def use_saved(
    folder: Path, *, plugins: Sequence[Path] = (), data: Path | None = None
) -> tuple[RunConfig, Record | None]:
    """Do the same as `use_run` with the config.toml in the folder."""
    return use_run(folder, saved_config(folder), plugins=plugins, data=data)


# --- settings ---------------------------------------------------------------------------------------------------------


def check_settings(folder: Path, config: RunConfig, record: Record) -> None:
    """Raise UserError if config.toml differs from the settings in the record; paths may differ."""
    there = with_left_out(record.result.get("config") or {})
    here = with_left_out(config.model_dump(mode="json", exclude=CIRCUMSTANCES))
    if "ensemble" in there:  # its config.toml is its first member's, except for post-processing
        there = {key: value for key, value in there.items() if key == "post"}
    a, b = flat(there), flat(here)
    a |= {key: record.result[key] for key in ("track", "edition") if record.result.get(key)}
    free = {"data.list", "data.pack", "edition" if config.edition is None else ""}
    if changed := [key for key, value in a.items() if key in b and key not in free and b[key] != value]:
        said = "; ".join(f"{key} is {b[key]}, the record says {a[key]}" for key in changed[:_SHOWN])
        raise UserError("run-settings-changed", file=folder / "config.toml", said=said)


# --- data -------------------------------------------------------------------------------------------------------------


def place_of(root: Path, folder: Path) -> dict[str, str]:
    """Return the place of a run's data for its record's circumstances.

    The place is given both as an absolute path and relative to the run's folder, so that both can be moved together.
    """
    absolute = os.path.abspath(root)
    try:
        relative = os.path.relpath(absolute, os.path.abspath(folder))
    except ValueError:  # on another drive
        relative = absolute
    return {"absolute": absolute, "relative": relative}


def data_place(folder: Path, record: Record | None, named: str) -> Path:
    """Return the first existing folder among the places where a run's data may be.

    They are the recorded place, the place relative to the run (if both were moved together), and, for runs of version
    0.1, the folder that config.toml names. Raise UserError if none exists.
    """
    kept = (record.circumstances.get("data") if record else None) or {}
    places = [Path(kept["absolute"])] if "absolute" in kept else []
    places += [folder / kept["relative"]] if "relative" in kept else []
    places += [] if places else [Path(named)]
    for place in places:
        if place.is_dir():
            return place
    raise UserError("run-data-missing", folder=folder, names=" and ".join(str(place) for place in places))


def data_circumstances(job: Job, folder: Path) -> Circumstances:
    """Return the place of a run's data and a digest of the groups of its videos.

    The digest is not part of the result, because results of older runs lack it.
    """
    return {"data": place_of(job.index.root, folder), "groups": job.index.groups_digest()}


def is_runs_data(index: Index, record: Record) -> bool:
    """Return True if an index has the data of a record."""
    return bool(index.fingerprint() == (record.result.get("data") or {}).get("fingerprint"))


def check_data(job: Job, record: Record | None, folder: Path) -> None:
    """Raise UserError if the data, or the runs that it reads or learns from, are not those that it was made with."""
    check_index(job.whole or job.index, record, folder)
    check_stages(job, record, folder)
    if record is None or job.teacher is None:
        return
    known, now = (record.result.get("distillation") or {}).get("sha256", "none"), job.teacher.sha256
    if known != now:
        there = job.teacher.folder
        raise UserError("teacher-changed", folder=folder, teacher=there, known=known[:12], found=now[:12])


def check_stages(job: Job, record: Record | None, folder: Path) -> None:
    """Raise UserError if a run that a run's branch reads is missing, or is not the one that it was made with."""
    for stage in job.stages if record else ():
        check_stage(stage.branch, stage.folder, stage.record, record, folder)
    found = {stage.branch for stage in job.stages}
    names = {slot.name: slot.slot.argument for slot in job.plan.slots}
    for block in (record.result.get("stages") if record else None) or ():
        if (branch := block["branch"]) not in found:
            raise UserError("stage-missing", folder=folder, branch=branch, stage=names.get(branch))


def check_stage(branch: str, stage: Path, found: Record, record: Record | None, folder: Path) -> None:
    """Raise UserError if a run that a branch reads is not the one whose digest is recorded.

    Args:
        branch: The branch.
        stage: The folder that it reads.
        found: The record there.
        record: The record of the run that reads it.
        folder: The folder of that run.
    """
    blocks = (record.result.get("stages") if record else None) or []
    known = next((block["sha256"] for block in blocks if block["branch"] == branch), "none")
    now = found.result_sha256
    if known != now:
        raise UserError("stage-changed", folder=folder, branch=branch, stage=stage, known=known[:12], found=now[:12])


def check_index(index: Index, record: Record | None, folder: Path) -> None:
    """Raise UserError if an index is not of the data that the run was made with."""
    if record is None or is_runs_data(index, record):
        check_groups(index, record, folder)
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


def check_groups(index: Index, record: Record | None, folder: Path, *, by_groups: bool = False) -> None:
    """Raise UserError if videos have other groups than when a run with folds or ``fit`` was made: it has other splits.

    ``by_groups``: check every run, because the groups tell what it has seen. Older records have no digest of the
    groups; their runs are accepted.
    """
    if record is None:
        return
    config, known = record.result.get("config") or {}, record.circumstances.get("groups")
    matters = by_groups or config.get("folds") or config.get("fit")
    if matters and known is not None and known != index.groups_digest():
        raise UserError("run-groups-changed", file=index.root / TABLE, folder=folder)


# --- files ------------------------------------------------------------------------------------------------------------


def digests_of(folder: Path) -> dict[str, str]:
    """Return the sha256 of the files of a run that are read again later, by their names in the folder."""
    paths = [
        folder / "weights.safetensors",
        folder / "history.csv",
        *sorted((folder / "predictions").glob("*.parquet")),
    ]
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in paths if path.is_file()}


def note_files(folder: Path, names: Sequence[str]) -> None:
    """Put the digests of recreated files into the record of a finished run."""
    record = record_of_run(folder)
    if record is None:
        return
    made = {name: sha256 for name, sha256 in digests_of(folder).items() if name in names}
    record.circumstances = {**record.circumstances, "files": {**(record.circumstances.get("files") or {}), **made}}
    record.write(folder / "record.json")


def check_written(path: Path) -> None:
    """Compare a run's weights, predictions or history with its record.

    Warn if the record has no digest because an older version wrote it; raise UserError if the digests differ.
    """
    folder = path.parent.parent if path.parent.name == "predictions" else path.parent
    if not path.is_file():
        return  # the code that reads the file reports that it is missing
    record = record_of_run(folder)
    known = (record.circumstances.get("files") or {}) if record else {}
    name = path.relative_to(folder).as_posix()
    if path.parent.name == "predictions":
        remedy = f"`harness evaluate {folder}` predicts again"
    else:
        remedy = f"get it again, or train again: `harness reproduce {folder}`"
    check_file(path, known.get(name), remedy)


def check_recorded(path: Path) -> None:
    """Do the same as `check_written` for any file, if it belongs to a run that has a record."""
    folder = path.parent.parent if path.parent.name == "predictions" else path.parent
    if (folder / "record.json").is_file() and (folder / "config.toml").is_file():
        check_written(path)


def read_own(path: Path, track: TrackSpec) -> list[VideoAnswers]:
    """Read the predictions of a run after comparing them with its record."""
    check_written(path)
    return read_predictions(path, track)
