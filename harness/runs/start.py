"""`harness run`: start a new run, or several seeds or folds of one, or continue a run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from harness.config.schema import RunConfig
from harness.evaluation.looks import check_passes
from harness.evaluation.postprocessing import Chain
from harness.io.locks import BOARD, file_lock
from harness.runs import tree_run, zero_shot
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
from harness.training.checks import check_training
from harness.training.loggers import Loggers
from leaderboards.tables import leaderboard, load_runs, write
from zoo.errors import UserError
from zoo.model.augmenter import build_chains
from zoo.model.model import build_encoder
from zoo.model.shape_check import meta_or_real
from zoo.registry.tracks import all_editions
from zoo.weights.cards import find

Draw = Callable[[Path, Path], Sequence[Path]]
"""Draws the pictures of a run's folder into another folder, as PNGs."""

__all__ = ["check_ready", "read", "resume", "run_job", "run_seeds", "start"]


def start(
    config: RunConfig,
    *,
    out: Path,
    name: str | None,
    seeds: int,
    after: Callable[[Path], object] | None = None,
    draw: Draw | None = None,
) -> Path:
    """Train one combination (``seeds`` times), update the leaderboard, and return the run's folder.

    ``after``: called with the folder of the finished run, by the one process that writes.
    ``draw``: draws the run's pictures as PNG files into a folder, for its loggers.
    """
    check_kind(config, seeds)
    check_name(out, name)
    config = with_names(config)
    if config.zero_shot:
        zero_shot.check_settings(config, seeds)
    if config.trees:
        tree_run.check_settings(config, seeds)
    job = make_job(config)
    check_ready(job)
    with joined_by(job.config) as world:
        made = None
        if world.first:
            announce(job, _hindrance(job))
            made = new_folder(out, name, default_name(config, seeds))
            write_config(job.config, made)
        folder = world.broadcast(made)
        assert folder is not None  # the first process has made it
        _run(job, folder, seeds, world, after, draw)
    return folder


def run_job(job: Job, folder: Path, seeds: int = 1, world: World | None = None) -> Outcome:
    """Run a job into its folder: one training, one for each seed or fold, trees, or the scoring of a ready encoder."""
    if job.config.zero_shot:
        return zero_shot.run(job, folder)
    if job.config.trees:
        return tree_run.run(job, folder)
    if seeds > 1:
        return run_seeds(job, folder, seeds, world)
    return run_folds(job, folder, world) if has_folds(job.config) else run(job, folder, world=world)


def _run(
    job: Job, folder: Path, seeds: int, world: World, after: Callable[[Path], object] | None, draw: Draw | None
) -> None:
    outcome = run_job(job, folder, seeds, world)
    if world.first:
        finish(outcome, job, folder.parent)
        if after is not None:
            after(folder)
        _tell_loggers(job, folder, draw)


def _tell_loggers(job: Job, folder: Path, draw: Draw | None) -> None:
    """Give a finished run's loggers its pictures and its record; those of its seeds or folds their records."""
    for place in (*sorted(folder.glob("seed-*")), *sorted(folder.glob("fold-*")), folder):
        if not (place / "record.json").is_file():
            continue
        content = asdict(read(place / "record.json"))
        steps = int(content["result"].get("steps") or 0)
        with closing(Loggers(job.loggers(), place, steps + 1)) as loggers:
            if place == folder and draw is not None and loggers.pictures:
                with tempfile.TemporaryDirectory() as pictures:
                    for path in draw(folder, Path(pictures)):
                        loggers.figure(path.stem, path)
            loggers.record(content)


def check_ready(job: Job) -> None:
    """Raise UserError for mistakes that would stop the run later, before it has a folder."""
    if job.config.zero_shot:
        zero_shot.check_ready(job)
        return
    if job.config.trees:
        tree_run.check_ready(job)
    job.loggers()
    Chain(job.plan.post, job.track)
    check_training(job.plan, job.config)
    build_chains(job.plan)
    check_views(job)
    check_passes(job.config, job.plan)
    pick_device(job.config.device)
    if not any(np.isfinite(video.labels).any() for video in job.index.split("train")):
        raise UserError("training-split-empty", root=job.index.root, variant=job.index.variant, name=job.track.name)
    for slot in job.plan.slots:
        if slot.passport is not None:
            find(slot.passport)
        if slot.encoder.reader is not None:
            meta_or_real(partial(build_encoder, slot))  # opens the folder or the run that its reader reads


def check_views(job: Job) -> None:
    """Raise UserError if views are asked for and no frozen branch has augmentations to make them with."""
    views = job.config.features.views
    if views and not any(slot.frozen and slot.name in job.plan.augment for slot in job.plan.slots):
        raise UserError("views-nothing", views=views, encoders=job.config.encoders)


def _hindrance(job: Job) -> str:
    """Return why a list found in the data folder gives no submission; raise UserError if the user named the list."""
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
    draw: Draw | None = None,
) -> Path:
    """Continue a stopped run in its own folder; on other ``machines`` (devices, nodes) if given."""
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
        _run(job, folder, seeds, world, after, draw)
    return folder


def finish(outcome: Outcome, job: Job, out: Path) -> None:
    """Print the summary and write the tables."""
    with file_lock(out / BOARD):
        records, problems = load_runs(out)
        files = write(out, leaderboard(records), problems)
    print(summary(outcome, job, files, problems))


def joined_by(config: RunConfig) -> AbstractContextManager[World]:
    """Start or join the processes that a configuration asks for."""
    return init_distributed(
        pick_device(config.device), devices=config.devices, nodes=config.nodes, precision=config.train.precision
    )
