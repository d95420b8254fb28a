"""`harness run`: a new run, several seeds or folds of one, or one to be continued."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from harness.config.schema import RunConfig
from harness.io.locks import BOARD, file_lock
from harness.runs import zero_shot
from harness.runs.finished import check_data, use_run
from harness.runs.folder import check_name, default_name, has_folds, new_folder, saved_config
from harness.runs.job import Job, make_job, with_names
from harness.runs.multi_run import read, run_folds, run_seeds, write_config
from harness.runs.run import Outcome, run
from harness.runs.splits import check_kind
from harness.runs.summary import announce, summary
from harness.runtime.device import pick_device
from harness.runtime.distributed import World, init_distributed
from harness.submissions.submission import submission_obstacle
from leaderboards.tables import leaderboard, load_runs, write
from zoo.errors import UserError
from zoo.registry.tracks import all_editions
from zoo.weights.cards import find

__all__ = ["check_ready", "read", "resume", "run_seeds", "start"]


def start(
    config: RunConfig,
    *,
    out: Path,
    name: str | None,
    seeds: int,
    after: Callable[[Path], object] | None = None,
) -> Path:
    """Train one combination (``seeds`` times) and bring the leaderboard up to date. Returns the run's folder.

    ``after``: what is done with the folder of the finished run, by the one process that writes."""
    check_kind(config, seeds)
    check_name(out, name)
    config = with_names(config)
    if config.zero_shot:
        zero_shot.check_settings(config, seeds)
    job = make_job(config)
    check_ready(job)
    with joined_by(job.config) as world:
        made = None
        if world.first:
            announce(job, _hindrance(job))
            made = new_folder(out, name, default_name(config, seeds))
            write_config(job.config, made)
        folder: Path = world.broadcast(made)  # type: ignore[assignment]
        _run(job, folder, seeds, world, after)
    return folder


def _run(job: Job, folder: Path, seeds: int, world: World, after: Callable[[Path], object] | None) -> None:
    if seeds > 1:
        outcome = run_seeds(job, folder, seeds, world)
    else:
        outcome = run_folds(job, folder, world) if has_folds(job.config) else run(job, folder, world=world)
    if world.first:
        finish(outcome, job, folder.parent)
        if after is not None:
            after(folder)


def check_ready(job: Job) -> None:
    """Find the mistakes that would stop the run later, before it has a folder; UserError says what to do."""
    if job.config.zero_shot:
        zero_shot.check_ready(job)
        return
    pick_device(job.config.device)
    if not any(np.isfinite(video.labels).any() for video in job.index.split("train")):
        raise UserError("training-split-empty", root=job.index.root, variant=job.index.variant, name=job.track.name)
    for slot in job.plan.slots:
        if slot.passport is not None:
            find(slot.passport)


def _hindrance(job: Job) -> str:
    """Why nothing can be handed in by a list that was found in the data folder; UserError where the user named it."""
    reason = submission_obstacle(job.index, all_editions(job.registry))
    if reason and job.config.data.list:
        raise UserError("run-not-ready", message=reason)
    return reason


def resume(
    folder: Path,
    machines: Mapping[str, int | None] | None = None,
    *,
    plugins: Sequence[Path] = (),
    data: Path | None = None,
    after: Callable[[Path], object] | None = None,
) -> Path:
    """Continue a run that was stopped, in its own folder; on other ``machines`` (devices, nodes) where given."""
    other = {key: number for key, number in (machines or {}).items() if number}
    saved = saved_config(folder)
    path = folder / "record.json"
    if path.is_file() and read(path).status == "done":
        raise UserError("resume-finished", folder=folder)
    config, record = use_run(folder, saved, plugins=plugins, data=data)
    job = make_job(config.model_copy(update=other))
    check_data(job, record, folder)
    seeds = int((folder / "seeds").read_text()) if (folder / "seeds").is_file() else 1
    with joined_by(job.config) as world:
        if world.first:
            announce(job, _hindrance(job))
        _run(job, folder, seeds, world, after)
    return folder


def finish(outcome: Outcome, job: Job, out: Path) -> None:
    """Print the summary and write the tables."""
    with file_lock(out / BOARD):
        records, problems = load_runs(out)
        files = write(out, leaderboard(records), problems)
    print(summary(outcome, job, files, problems))


def joined_by(config: RunConfig) -> AbstractContextManager[World]:
    """The processes that a configuration asks for."""
    return init_distributed(
        pick_device(config.device), devices=config.devices, nodes=config.nodes, precision=config.train.precision
    )
