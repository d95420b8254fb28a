"""Worker of a sweep: train one run in its folder, or combine a run's members into one record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.io.run_lock import run_lock
from harness.runs.extraction_workers import ground_of
from harness.runs.folder import saved_config
from harness.runs.identity import identity
from harness.runs.job import Job, make_job
from harness.runs.multi_run import member_jobs, run_folds, run_seeds
from harness.runs.recording import record_run
from harness.runs.run import run
from harness.sweeps.entries import record_of, seeds_of
from leaderboards.record import Record
from zoo.errors import UserError


@dataclass(frozen=True)
class Done:
    """A finished run: its raw score, if it has one, and the seconds that it took."""

    score: float | None
    seconds: float


def train(folder: Path) -> Done:
    """Train the run whose settings are in ``folder``; continue from its checkpoint if there is one."""
    record = record_of(folder)
    if record is None or record.status != "done":
        record = run(_job(folder), folder, progress=False).record
    return _done(record)


def combine_members(folder: Path) -> Done:
    """Write the record of a run whose members are trained; a failed one if a member failed."""
    job, n = _job(folder), seeds_of(folder)
    with run_lock(folder):
        for name in member_jobs(job, n):
            with run_lock(folder / name):  # raises UserError if another sweep trains it: that one will combine them
                member = record_of(folder / name)
            if member is None or member.status != "done":
                reason = member.reason if member and member.reason else "it was not finished"
                with record_run(Record(folder.name, "running", result=identity(job)), folder):
                    raise UserError("sweep-run-failed", what=name.replace("-", " "), reason=reason)
    return _done((run_seeds(job, folder, n) if n > 1 else run_folds(job, folder)).record)


def _done(record: Record) -> Done:
    raw = record.scores.get("raw")
    return Done(raw["main"] if raw else None, float(record.circumstances.get("seconds", 0.0)))


def _job(folder: Path) -> Job:
    config = saved_config(folder)
    return make_job(config, progress=False, shared=ground_of(config))
