"""`harness evaluate RUN --tta`: a finished run evaluated again with test-time augmentation, as a run of its own.

Its weights are the run's. Its predictions, post-processing, scores and submission are made anew, so whatever uses the
new run (`harness predict`, `submit`, `ensemble`, `compare`) uses the same average.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from harness.evaluation.looks import check_passes, said
from harness.io.run_lock import run_lock
from harness.runs.features import PREDICTED
from harness.runs.finished import check_data, check_written, data_circumstances, digests_of, use_run
from harness.runs.folder import check_name, new_folder, one_run
from harness.runs.identity import identity
from harness.runs.job import Job, make_job
from harness.runs.multi_run import write_config
from harness.runs.passes import ORIGIN_POST, label, with_passes
from harness.runs.preparation import predict_split, prepare
from harness.runs.recording import record_run
from harness.runs.results import answer_test, postprocessors_of_source, score_split
from harness.runs.run import Outcome
from harness.runs.start import finish, read
from harness.submissions.submission import link_record
from leaderboards.blocks import Result
from leaderboards.record import Record
from zoo.errors import UserError
from zoo.text import visible

COPIED = ("weights.safetensors", "history.csv")
"""Files of the trained run that the new run has too."""


def evaluate_with(folder: Path, sets: Sequence[str], *, name: str | None = None, plugins: Sequence[Path] = ()) -> Path:
    """Evaluate a finished run with test-time augmentation into a new folder next to it, and return that folder.

    Args:
        folder: The run.
        sets: The settings ``tta.KEY=VALUE``.
        name: Name of the new run; None: the run's name with the passes.
        plugins: The plugin files that the run was made with.

    Raises:
        UserError: It is not a single finished run, or the passes do not fit it.
    """
    config, path = one_run(folder), folder / "record.json"
    trained = read(path) if path.is_file() else None
    if trained is not None and "ensemble" in trained.result:
        raise UserError("evaluate-ensemble", folder=folder)
    if trained is None or trained.status != "done":
        raise UserError("run-not-a-run", folder=folder)
    if config.zero_shot:
        raise UserError("zero-shot-options", names="--tta")
    if before := trained.result.get("tta"):
        raise UserError("tta-of-tta", folder=folder, run=before.get("run", "trained without --tta"))
    check_written(folder / "weights.safetensors")
    config, _ = use_run(folder, config, plugins=plugins)
    job = make_job(with_passes(config, sets), trained=True)
    check_passes(job.config, job.plan)
    check_data(job, trained, folder)
    check_name(folder.parent, name)
    made = new_folder(folder.parent, name, f"{folder.resolve().name}-{label(job.config.tta)}")
    write_config(job.config, made)
    print(visible(f"{folder.name}: {said(job.config)}"), flush=True)
    finish(_evaluated(job, made, folder, trained), job, made.parent)
    return made


def _evaluated(job: Job, folder: Path, source: Path, trained: Record) -> Outcome:
    """Predict, score, submit and record into ``folder``; remove it if that fails, because it cannot be continued."""
    circumstances = data_circumstances(job, folder)
    record = Record(folder.name, "running", result=identity(job), circumstances=circumstances)
    try:
        with run_lock(folder), record_run(record, folder):
            prepared = prepare(job, weights=source / COPIED[0])
            for name in COPIED:
                shutil.copyfile(source / name, folder / name)
            prepared.store.write(folder / "features.csv")
            found = {split: predict_split(job, prepared, split) for split in PREDICTED if split in prepared.splits}
            scored = (
                score_split(job, found.get("val", []), folder) if job.origin is None else postprocessors_of_source(job)
            )
            submission, notes = answer_test(job, found.get("test", []), scored.chain, folder)
            before = {key: value for key, value in trained.result.items() if key != "epoch_choice"}
            new = identity(job)
            record.result = (
                cast(Result, before)
                | new
                | {
                    "scores": scored.scores,
                    "post": scored.post,
                    "submission": submission,
                    "tta": {**new["tta"], "run": trained.name, "sha256": trained.result_sha256},
                }
            )
            record.status = "done"
            record.circumstances["files"] = digests_of(folder)
            link_record(folder / "submission", record.result_sha256)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    kept = [f"warning: {ORIGIN_POST}"] if job.origin is not None and job.plan.post else []
    return Outcome(folder, record, [*kept, *notes])
