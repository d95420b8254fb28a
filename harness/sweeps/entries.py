"""Entries of a sweep: its combinations, and the folder of each.

An existing run is recognised by its settings and its data, not by its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from harness.config.schema import RunConfig
from harness.io.atomic import atomic
from harness.io.locks import PLAN, file_lock
from harness.runs.folder import default_name, new_folder, saved_config
from harness.runs.identity import identity
from harness.runs.job import Job, SharedSetup, make_job, with_names
from harness.runs.multi_run import member_jobs, write_config
from harness.runs.start import check_ready
from leaderboards.blocks import Result
from leaderboards.record import Record, RecordError, read
from zoo.errors import UserError
from zoo.registry.registry import Registry


@dataclass
class Entry:
    """One combination.

    ``job``: None if it cannot be built; ``reason``: why not, or that another process works on its run; ``folder``: that
    of its run.
    """

    config: RunConfig
    seeds: int
    job: Job | None
    reason: str | None = None
    folder: Path | None = None

    @property
    def label(self) -> str:
        """Its blocks, for a progress line."""
        return f"{self.config.encoders} | {self.config.fusion} | {self.config.head}"

    @property
    def record(self) -> Record | None:
        """Its run's record, or None if there is none that can be read."""
        return record_of(self.folder) if self.folder else None

    @property
    def problem(self) -> str:
        """Why it is not finished."""
        record = self.record
        return self.reason or (record.reason if record else None) or "there is no record"

    @property
    def done(self) -> bool:
        """True if its run is finished."""
        return (record := self.record) is not None and record.status == "done"

    def units(self) -> dict[Path, RunConfig]:
        """Return the trainings of this entry: folder -> settings."""
        if self.job is None or self.folder is None:
            return {}
        members = member_jobs(self.job, self.seeds)
        return {self.folder / name: job.config for name, job in members.items()} or {self.folder: self.job.config}


def record_of(folder: Path) -> Record | None:
    """Return the record in a folder; None if there is none that can be read."""
    try:
        return read(folder / "record.json")
    except RecordError:
        return None


def seeds_of(folder: Path) -> int:
    """Return the number of seeds that a run is trained with."""
    path = folder / "seeds"
    return int(path.read_text()) if path.is_file() else 1


def plan_entries(configs: Sequence[RunConfig], seeds: int, shared: SharedSetup, out: Path) -> list[Entry]:
    """Resolve every combination and find its existing run in ``out``; raise UserError if none can be built."""
    entries = []
    for config in configs:
        try:
            config = with_names(config, shared.registry)
            job = make_job(config, shared=shared)
            check_ready(job)
            entries.append(Entry(job.config, seeds, job))
        except UserError as error:
            config = config.model_copy(update={"edition": shared.edition.name})
            entries.append(Entry(config, seeds, None, str(error)))
    if all(entry.job is None for entry in entries):
        reasons = list(dict.fromkeys(str(entry.reason) for entry in entries))
        raise UserError(
            "sweep-none-built",
            message=f"none of the {len(entries)} combinations can be built: " + "; ".join(reasons[:5]),
        )
    _find(entries, shared, out)
    return entries


def _find(entries: Sequence[Entry], shared: SharedSetup, out: Path) -> None:
    known = list(_runs(out, shared.registry))
    for entry in entries:
        entry.folder = next((run.folder for run in known if _same(entry, shared, run)), None)


@dataclass(frozen=True)
class _Run:
    """An existing run: finished, interrupted, or with its settings only."""

    folder: Path
    settings: dict[str, Any]
    seeds: int
    result: Result


def _runs(out: Path, registry: Registry) -> Iterator[_Run]:
    for path in sorted(out.glob("*/config.toml")):
        folder = path.parent
        try:
            record = record_of(folder)
            settings = _places(saved_config(folder), registry)
            yield _Run(folder, settings, seeds_of(folder), record.result if record else Result())
        except (UserError, ValueError):  # of another version, or not a run: it matches no entry
            continue


def _same(entry: Entry, shared: SharedSetup, run: _Run) -> bool:
    """Return True if a run is the entry's: the same settings and, if it has a result, the same data and plugins."""
    if run.seeds != entry.seeds or run.settings != _places(entry.config, shared.registry):
        return False
    if not run.result:
        return True
    data, version = (run.result.get("data") or {}).get("fingerprint"), run.result.get("track_version")
    plugins = entry.job is None or run.result.get("plugins") == entry.job.foreign_plugins
    return plugins and data == shared.fingerprint and version == shared.track.version


def _places(config: RunConfig, registry: Registry) -> dict[str, Any]:
    """Return the settings with absolute paths and named encoders, so that different spellings compare as equal."""
    tree = with_names(config, registry).model_dump(mode="json")
    tree["data_dir"] = str(Path(config.data_dir).resolve()) if config.data_dir else None
    return {**tree, "plugin": [str(Path(file).resolve()) for file in config.plugin]}


def claim_runs(entries: Sequence[Entry], shared: SharedSetup, out: Path) -> None:
    """Give every entry its folder, with the settings of all its trainings.

    Entries that cannot be built get a record with the reason. Runs that another sweep has made since the planning are
    used too.
    """
    with file_lock(out / PLAN):
        _find(entries, shared, out)
        _make(entries, out, shared.registry)


def _make(entries: Sequence[Entry], out: Path, registry: Registry) -> None:
    some = next(entry.job for entry in entries if entry.job is not None)
    for entry in entries:
        if entry.folder is None:
            entry.folder = new_folder(out, None, default_name(entry.config, entry.seeds))
            if entry.seeds > 1:  # before the settings, which without this file would be those of a single run
                atomic(entry.folder / "seeds", partial(Path.write_text, data=f"{entry.seeds}\n"))
            write_config(entry.config, entry.folder)
        for folder, config in entry.units().items():
            if not (folder / "config.toml").is_file():
                folder.mkdir(exist_ok=True)
                write_config(config, folder)
            elif _places(saved_config(folder), registry) != _places(config, registry):  # it may name other plugins
                raise UserError("sweep-member-other", folder=folder)
        if entry.job is None:
            # Shared facts come from another combination that can be built; this one's blocks are in its settings.
            result: Result = {**identity(replace(some, config=entry.config)), "plugins": []}
            Record(entry.folder.name, "failed", entry.reason, result).write(entry.folder / "record.json")
