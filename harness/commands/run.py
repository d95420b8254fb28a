"""`harness run`: a new run, several seeds of one, or one to be continued."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.checkpoint import atomic
from harness.config import RunConfig, validate
from harness.recipe import read_toml
from harness.run import Outcome, pick_device, run
from harness.setup import Job, make_job
from harness.summary import announce, summary
from leaderboards.record import Record, RecordError
from leaderboards.record import read as read_record
from leaderboards.statistics import jackknife
from leaderboards.tables import leaderboard, load_runs, write
from zoo.errors import UserError
from zoo.passports import find


def start(config: RunConfig, *, out: Path, name: str | None, seeds: int) -> Path:
    """Train one combination (``seeds`` times) and bring the leaderboard up to date. Returns the run's folder."""
    job = make_job(config)
    check_ready(job)
    announce(job)
    folder = new_folder(out, name, default_name(config, seeds))
    atomic(folder / "config.toml", lambda part: part.write_text(job.config.toml(), encoding="utf-8"))
    if seeds == 1:
        finish(run(job, folder), job, out)
    else:
        finish(run_seeds(job, folder, seeds), job, out)
    return folder


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


def resume(folder: Path) -> Path:
    """Continue a run that was stopped, in its own folder."""
    config = saved_config(folder)
    record = folder / "record.json"
    if record.is_file() and read(record).status == "done":
        raise UserError(f"{folder}: the run is finished; start a new one, or `harness evaluate {folder}`")
    job = make_job(config)
    announce(job)
    members = sorted(folder.glob("seed-*"))
    seeds = int((folder / "seeds").read_text()) if (folder / "seeds").is_file() else 0
    finish(run_seeds(job, folder, seeds) if members or seeds else run(job, folder), job, folder.parent)
    return folder


def saved_config(folder: Path) -> RunConfig:
    """The configuration of a run folder."""
    path = folder / "config.toml"
    if not path.is_file():
        raise UserError(f"{folder}: not a run folder (there is no config.toml)")
    return validate(read_toml(path), str(path))


def read(path: Path) -> Record:
    """A record; UserError where it cannot be read."""
    try:
        return read_record(path)
    except RecordError as error:
        raise UserError(str(error)) from None


def one_run(folder: Path) -> RunConfig:
    """The configuration of a run that has weights of its own."""
    if (folder / "seeds").is_file():
        raise UserError(f"{folder}: holds several seeds; name one of them, such as {folder / 'seed-0'}")
    return saved_config(folder)


def finish(outcome: Outcome, job: Job, out: Path) -> None:
    """Print the summary and write the tables."""
    records, problems = load_runs(out)
    tables = leaderboard(records)
    files = write(out, tables, problems)
    print(summary(outcome, job, files, problems))


def run_seeds(job: Job, folder: Path, seeds: int) -> Outcome:
    """One run a seed in ``seed-<s>``, and a record of their mean: leave-one-out scores are averaged, so that the
    interval of the mean is that of the videos; the spread over seeds is beside it."""
    (folder / "seeds").write_text(f"{seeds}\n")
    members: list[Record] = []
    for seed in range(job.config.seed, job.config.seed + seeds):
        own = folder / f"seed-{seed}"
        config = job.config.model_copy(update={"seed": seed})
        done = own / "record.json"
        if done.is_file() and read(done).status == "done":
            members.append(read(done))
            continue
        own.mkdir(exist_ok=True)
        (own / "config.toml").write_text(config.toml(), encoding="utf-8")
        print(f"seed {seed} ({len(members) + 1} of {seeds})", flush=True)
        members.append(run(Job(**{**vars(job), "config": config}), own).record)
    record = mean_record(folder.name, members)
    record.write(folder / "record.json")
    return Outcome(folder, record, [])


def mean_record(name: str, members: Sequence[Record]) -> Record:
    """The record of several seeds of one combination."""
    first = members[0].result
    scores: dict[str, Any] = {}
    for kind in first["scores"]:
        blocks = [member.result["scores"][kind] for member in members]
        main = statistics.fmean(block["main"] for block in blocks)
        loo = np.mean([block["leave_one_out"] for block in blocks], axis=0)
        interval = jackknife(main, loo, tuple(first["score_range"]))
        scores[kind] = {
            "main": main, "low": interval.low, "high": interval.high, "leave_one_out": loo.tolist(),
            "spread": statistics.stdev(block["main"] for block in blocks), "seeds": [block["main"] for block in blocks],
            "parts": {p: statistics.fmean(b["parts"][p] for b in blocks) for p in blocks[0]["parts"]},
            **{k: blocks[0][k] for k in ("groups", "frames", "videos")},
        }  # fmt: skip
    result = {**first, "scores": scores, "seeds": [m.result["seeds"][0] for m in members], "submission": None,
              "members": [m.result_sha256 for m in members]}  # fmt: skip
    seconds = sum(member.circumstances.get("seconds", 0) for member in members)
    return Record(
        name=name, status="done", result=result, circumstances={**members[-1].circumstances, "seconds": seconds}
    )


def default_name(config: RunConfig, seeds: int) -> str:
    """A folder name that says what the run is."""
    text = "-".join([config.track, config.encoders, config.fusion, config.head, f"s{config.seed}"])
    return re.sub(r"[^A-Za-z0-9_.+-]+", "+", text)[:120] + (f"x{seeds}" if seeds > 1 else "")


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
