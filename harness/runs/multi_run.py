"""Runs made of several runs in subfolders: several seeds of one combination, or the folds of a data set."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.config.schema import RunConfig, flat
from harness.evaluation.merging import merge
from harness.evaluation.postprocessing import Chain, mean_optimism
from harness.evaluation.prediction_tables import write_predictions
from harness.io.atomic import atomic
from harness.io.run_lock import run_lock
from harness.runs.finished import check_groups, data_circumstances, digests_of, read_own
from harness.runs.identity import FREE, identity
from harness.runs.job import Job
from harness.runs.provenance import NEXT_FOLD
from harness.runs.recording import record_run
from harness.runs.results import score_split, submit_final
from harness.runs.run import REST, Outcome, run
from harness.runs.splits import assign_splits, split_name
from harness.runtime.device import pick_device
from harness.runtime.distributed import World, single_process
from harness.submissions.submission import link_record
from harness.training.state import SHOWN, changes
from leaderboards.blocks import (
    EpochChoice,
    FoldBlock,
    FoldsBlock,
    PostBlock,
    ReferenceBlock,
    Result,
    ScoreBlock,
    SubmissionBlock,
    Together,
)
from leaderboards.intervals import jackknife
from leaderboards.record import Record, RecordError
from leaderboards.record import read as read_record
from zoo.api import VideoAnswers
from zoo.errors import UserError

Combine = Callable[[Sequence[Record]], tuple[Result, list[str]]]


def read(path: Path) -> Record:
    """Read a record; raise UserError if it cannot be read."""
    try:
        return read_record(path)
    except RecordError as error:
        raise UserError("record-invalid", message=str(error)) from None


def run_seeds(job: Job, folder: Path, seeds: int, world: World | None = None) -> Outcome:
    """Run once per seed in ``seed-<s>``, and write a record of the mean.

    Leave-one-out scores are averaged, so that the interval of the mean is over videos; the spread over seeds is stored
    next to it. Test predictions are merged.
    """
    world = world or single_process(pick_device(job.config.device))
    if world.first:
        atomic(folder / "seeds", lambda part: part.write_text(f"{seeds}\n"))
    jobs = member_jobs(job, seeds)

    def combine(members: Sequence[Record]) -> tuple[Result, list[str]]:
        processed = _test_answers(job, folder, jobs, "test.post.parquet")
        submission, notes = (
            submit_final(job, merge(processed, job.track, method=job.config.merge), folder) if processed else (None, [])
        )
        if submission and members[0].result["scores"]:
            notes.append("the submission merges the seeds' answers; the score is the mean of theirs, not the merge's")
        return {**mean_result(members), "submission": submission}, notes

    return _run_all(job, folder, jobs, combine, world)


def run_folds(job: Job, folder: Path, world: World | None = None) -> Outcome:
    """Run once per fold in ``fold-<f>``, and write a record of all out-of-fold predictions together.

    Post-processors for the test videos are fitted on the out-of-fold predictions. Test predictions are merged.
    """
    world = world or single_process(pick_device(job.config.device))
    jobs = member_jobs(job)

    def combine(members: Sequence[Record]) -> tuple[Result, list[str]]:
        files = [folder / name / "predictions" / f"{own.split}.parquet" for name, own in jobs.items()]
        answers = {v.video: v for path in files if path.is_file() for v in read_own(path, job.track)}
        scored = score_split(job, [answers[v.name] for v in job.index.videos if v.name in answers], folder)
        if (folder / next(iter(jobs)) / "predictions" / REST).is_file():
            rest = merge(_answers(folder, jobs, REST, job), job.track, method=job.config.merge)
            write_predictions(folder / "predictions" / REST, job.track, rest, labels=False)
        raw = _test_answers(job, folder, jobs, "test.parquet")
        submission, notes = _submit_merged(job, raw, scored.chain, folder) if raw else (None, [])
        result: Result = {
            **identity(job),
            "scores": scored.scores,
            "post": scored.post,
            **fold_result(members, scored.scores),
        }
        return {**result, "submission": submission}, notes

    return _run_all(job, folder, jobs, combine, world)


def member_jobs(job: Job, seeds: int = 1) -> dict[str, Job]:
    """Return the member runs (seeds or folds) by subfolder name; {} for a single run."""
    if seeds > 1:
        every = range(job.config.seed, job.config.seed + seeds)
        return {f"seed-{s}": replace(job, config=job.config.model_copy(update={"seed": s})) for s in every}
    if job.config.folds and job.config.fold < 0:
        return {f"fold-{f}": fold_job(job, f) for f in range(job.config.folds)}
    return {}


def fold_job(job: Job, fold: int) -> Job:
    """Return the job of one fold."""
    config = job.config.model_copy(update={"fold": fold})
    return replace(job, config=config, index=assign_splits(job.whole or job.index, config), split=split_name(config))


def write_config(config: RunConfig, folder: Path) -> None:
    """Write the resolved configuration into a run's folder."""
    atomic(folder / "config.toml", lambda part: part.write_text(config.toml(), encoding="utf-8"))


def _run_all(job: Job, folder: Path, jobs: Mapping[str, Job], combine: Combine, world: World) -> Outcome:
    """Run the members that are not finished yet, and write one record of all."""
    circumstances = data_circumstances(job, folder)
    record = Record(name=folder.name, status="running", result=identity(job), circumstances=circumstances)
    notes: list[str] = []
    members: list[Record] = []
    own_folder = folder if world.first else None
    with run_lock(own_folder), record_run(record, own_folder):
        for name, own in jobs.items():
            if known := world.broadcast(_finished(folder / name, own) if world.first else None):
                members.append(known)
                continue
            if world.first:
                (folder / name).mkdir(exist_ok=True)
                write_config(own.config, folder / name)
                print(f"{name.replace('-', ' ')} ({len(members) + 1} of {len(jobs)})", flush=True)
            members.append(run(own, folder / name, world=world).record)
        if world.first:
            result, notes = combine(members)
            record.status, record.result = "done", result
            record.circumstances["seconds"] = sum(member.circumstances.get("seconds", 0) for member in members)
            record.circumstances["files"] = digests_of(folder)
            link_record(folder / "submission", record.result_sha256)
    return Outcome(folder, record, notes)


def _finished(folder: Path, job: Job) -> Record | None:
    """Return the record of a finished member; raise UserError if its settings, data or groups are not the others'."""
    path = folder / "record.json"
    if not path.is_file() or (known := read(path)).status != "done":
        return None
    then, now = known.result, identity(job)
    if changed := changes(_settings_and_data(then), _settings_and_data(now)):
        raise UserError("resume-member-other", folder=folder, changed="; ".join(changed[:SHOWN]))
    check_groups(job.whole or job.index, known, folder, by_groups=True)  # all are scored, or made, by the same groups
    return known


def _settings_and_data(result: Mapping[str, Any]) -> dict[str, str]:
    settings = {key: str(value) for key, value in flat(result.get("config") or {}).items() if key not in FREE}
    data = {"the data": str((result.get("data") or {}).get("fingerprint"))}
    if taught := result.get("distillation"):
        data["the teacher"] = taught["sha256"]
    data |= {f"the run that {stage['branch']} reads": stage["sha256"] for stage in result.get("stages") or ()}
    return settings | data | {"the plugins": ", ".join(map(str, result.get("plugins") or ()))}


# --- records ----------------------------------------------------------------------------------------------------------


def mean_result(members: Sequence[Record]) -> Result:
    """Return the result of several seeds of one combination."""
    results = [member.result for member in members]
    first = results[0]
    scores: dict[str, ScoreBlock] = {}
    for kind in first["scores"]:
        blocks = [result["scores"][kind] for result in results]
        main = statistics.fmean(block["main"] for block in blocks)
        loo = np.mean([np.asarray(block["leave_one_out"], float) for block in blocks], axis=0)  # a record's null: NaN
        interval = jackknife(main, loo, (first["score_range"][0], first["score_range"][1]))
        present = statistics.fmean(block.get("over_present", block["main"]) for block in blocks)
        scores[kind] = {
            "main": main,
            "low": interval.low,
            "high": interval.high,
            "leave_one_out": loo.tolist(),
            "spread": statistics.stdev(block["main"] for block in blocks),
            "seeds": [block["main"] for block in blocks],
            "parts": {p: statistics.fmean(b["parts"][p] for b in blocks) for p in blocks[0]["parts"]},
            "groups": blocks[0]["groups"],
            "frames": blocks[0]["frames"],
            "videos": blocks[0]["videos"],
        }
        if absent := blocks[0].get("absent"):
            scores[kind]["absent"], scores[kind]["over_present"] = absent, present
    post: PostBlock = {**first["post"], **mean_optimism([result["post"] for result in results])}
    seeds = [result["seeds"][0] for result in results]
    return {**first, **_together(members), "scores": scores, "post": post, "seeds": seeds}


def fold_result(members: Sequence[Record], scores: Mapping[str, ScoreBlock]) -> FoldsBlock:
    """Return the folds' part of a result; add the mean and the spread of their scores to ``scores``."""
    for kind, block in scores.items():
        each = [(member.result["scores"].get(kind) or {}).get("main") for member in members]
        known = [score for score in each if score is not None]
        block |= {
            "folds": each,
            "fold_mean": statistics.fmean(known) if known else None,
            "fold_spread": statistics.stdev(known) if len(known) > 1 else None,
        }
    first, results = members[0].result, [member.result for member in members]
    return {
        **_together(members),
        "folds": [FoldBlock(epoch=r["epoch"], epochs=r["epochs"], n_selections=r["n_selections"]) for r in results],
        "passports": first["passports"],
        "parameters": first["parameters"],
        "multiply_adds": first.get("multiply_adds"),
    }


def _together(members: Sequence[Record]) -> Together:
    """Combine the choices of all members.

    The chosen epochs are averaged; for the numbers of epochs and of selections the largest counts; a video that any
    member's starting weights were trained on is listed.
    """
    results = [member.result for member in members]
    splits = {result["selection_split"] for result in results if result["selection_split"]}
    references = [result.get("reference") for result in results]
    choices = [choice for result in results if (choice := result.get("epoch_choice"))]
    together: Together = {
        "epoch": max(1, int(statistics.fmean(result["epoch"] for result in results) + 0.5)),
        "best_epochs": [result["epoch"] for result in results],
        "epochs": max(result["epochs"] for result in results),
        "steps": sum(result["steps"] for result in results),
        "selection_split": NEXT_FOLD if NEXT_FOLD in splits else next(iter(splits), None),
        "n_selections": max(result["n_selections"] for result in results),
        "selected": list(dict.fromkeys(what for result in results for what in result.get("selected") or ())),
        "selected_on_reported": any(result.get("selected_on_reported") for result in results),
        "seen": sorted({name for result in results for name in result.get("seen") or ()}),
        "members": [member.result_sha256 for member in members],
    }
    if "search" in results[0]:
        together["search"] = results[0]["search"]
    if choices:
        together["epoch_choice"] = mean_choice(choices)
    if found := [reference for reference in references if reference]:
        together["reference"] = _mean_reference(found)
    return together


def mean_choice(choices: Sequence[EpochChoice]) -> EpochChoice:
    """Average the members' optimism of the epoch choice, in the same way as their scores."""
    return {
        "nested": statistics.fmean(choice["nested"] for choice in choices),
        "optimism": statistics.fmean(choice["optimism"] for choice in choices),
    }


def _mean_reference(references: Sequence[ReferenceBlock]) -> ReferenceBlock:
    """Average the members' plain references, in the same way as their scores."""
    return {**references[0], "main": statistics.fmean(one["main"] for one in references), "parts": {}}


# --- test predictions -------------------------------------------------------------------------------------------------


def _test_answers(job: Job, folder: Path, jobs: Mapping[str, Job], file: str) -> list[list[VideoAnswers]]:
    """Return each member's predictions for the test videos; [] if there are none."""
    return _answers(folder, jobs, file, job) if job.index.split("test") else []


def _answers(folder: Path, jobs: Mapping[str, Job], file: str, job: Job) -> list[list[VideoAnswers]]:
    return [read_own(folder / name / "predictions" / file, job.track) for name in jobs]


def _submit_merged(
    job: Job, raw: Sequence[Sequence[VideoAnswers]], chain: Chain, folder: Path
) -> tuple[SubmissionBlock | None, list[str]]:
    merged = merge(raw, job.track, method=job.config.merge)
    write_predictions(folder / "predictions" / "test.parquet", job.track, merged, labels=False)
    return submit_final(job, [chain.apply(video) for video in merged], folder)
