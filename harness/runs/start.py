"""`harness run`: a new run, several seeds or folds of one, or one to be continued."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from harness.config.recipe import read_toml
from harness.config.schema import RunConfig, validate
from harness.io.locks import BOARD, alone
from harness.runs.job import Job, all_editions, make_job
from harness.runs.multi_run import read, run_folds, run_seeds, write_config
from harness.runs.run import Outcome, pick_device, run
from harness.runs.splits import check_kind, split_name
from harness.runs.summary import announce, summary
from harness.runtime.distributed import World, joined
from harness.submissions.submission import why_not
from leaderboards.tables import leaderboard, load_runs, write
from zoo.errors import UserError
from zoo.weights.cards import find

__all__ = ["check_ready", "has_folds", "one_run", "read", "resume", "run_seeds", "saved_config", "start"]


def start(config: RunConfig, *, out: Path, name: str | None, seeds: int) -> Path:
    """Train one combination (``seeds`` times) and bring the leaderboard up to date. Returns the run's folder."""
    check_kind(config, seeds)
    job = make_job(config)
    check_ready(job)
    with joined(job.config, pick_device(job.config.device)) as world:
        made = None
        if world.first:
            announce(job, _hindrance(job))
            made = new_folder(out, name, default_name(config, seeds))
            write_config(job.config, made)
        folder: Path = world.same(made)  # type: ignore[assignment]
        _run(job, folder, seeds, world)
    return folder


def _run(job: Job, folder: Path, seeds: int, world: World) -> None:
    if seeds > 1:
        outcome = run_seeds(job, folder, seeds, world)
    else:
        outcome = run_folds(job, folder, world) if has_folds(job.config) else run(job, folder, world=world)
    if world.first:
        finish(outcome, job, folder.parent)


def has_folds(config: RunConfig) -> bool:
    """Whether a run is all of its folds, not one of them."""
    return config.folds > 0 and config.fold < 0


def check_ready(job: Job) -> None:
    """Find the mistakes that would stop the run later, before it has a folder; UserError says what to do."""
    pick_device(job.config.device)
    if not any(np.isfinite(video.labels).any() for video in job.index.split("train")):
        raise UserError(
            f"{job.index.root}: no training frame is labelled in {job.index.variant} (track {job.track.name}): get its "
            "Train_Set, or choose another --track"
        )
    for slot in job.plan.slots:
        if slot.passport is not None:
            find(slot.passport)


def _hindrance(job: Job) -> str:
    """Why nothing can be handed in by a list that was found in the data folder; UserError where the user named it."""
    reason = why_not(job.index, all_editions(job.registry))
    if reason and job.config.data.list:
        raise UserError(reason)
    return reason


def resume(folder: Path, machines: Mapping[str, int | None] | None = None) -> Path:
    """Continue a run that was stopped, in its own folder; on other ``machines`` (devices, nodes) where given."""
    other = {key: number for key, number in (machines or {}).items() if number}
    config = saved_config(folder).model_copy(update=other)
    record = folder / "record.json"
    if record.is_file() and read(record).status == "done":
        raise UserError(f"{folder}: the run is finished; start a new one, or `harness evaluate {folder}`")
    job = make_job(config)
    seeds = int((folder / "seeds").read_text()) if (folder / "seeds").is_file() else 1
    with joined(job.config, pick_device(job.config.device)) as world:
        if world.first:
            announce(job, _hindrance(job))
        _run(job, folder, seeds, world)
    return folder


def saved_config(folder: Path) -> RunConfig:
    """The configuration of a run folder."""
    path = folder / "config.toml"
    if not path.is_file():
        raise UserError(f"{folder}: not a run folder (there is no config.toml)")
    return validate(read_toml(path), str(path))


def one_run(folder: Path) -> RunConfig:
    """The configuration of a run that has weights of its own."""
    if (folder / "seeds").is_file():
        raise UserError(f"{folder}: holds several seeds; name one of them, such as {folder / 'seed-0'}")
    config = saved_config(folder)
    if has_folds(config):
        raise UserError(f"{folder}: holds several folds; name one of them, such as {folder / 'fold-0'}")
    return config


def finish(outcome: Outcome, job: Job, out: Path) -> None:
    """Print the summary and write the tables."""
    with alone(out / BOARD):
        records, problems = load_runs(out)
        files = write(out, leaderboard(records), problems)
    print(summary(outcome, job, files, problems))


def default_name(config: RunConfig, seeds: int) -> str:
    """A folder name that says what the run is."""
    text = "-".join([config.track, config.encoders, config.fusion, config.head, f"s{config.seed}"])
    kind = f"-{split_name(config)}" if config.folds else "-fit" if config.fit else ""
    kind += f"-best{config.chosen.trials}" if config.chosen.trials else ""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "+", text)[:120] + kind + (f"x{seeds}" if seeds > 1 else "")


def new_folder(out: Path, name: str | None, default: str) -> Path:
    """A fresh folder for a run: the user's name, which must be free, or the default one with the next free number."""
    if name is not None and (not name or Path(name).name != name or name.startswith(".")):
        raise UserError(f"--name {name}: wanted a plain name for a folder in {out}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out}: no folder can be made there ({error.strerror}); choose another") from None
    candidates = [name] if name is not None else [default] + [f"{default}-{i}" for i in range(2, 10_000)]
    for candidate in candidates:
        try:
            (out / candidate).mkdir()
        except FileExistsError:
            continue
        return out / candidate
    raise UserError(
        f"--name {name}: a run of this name is already in {out}; choose another, or `--resume {out / str(name)}`"
    )
