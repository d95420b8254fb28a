"""`harness evaluate`: predict and score again with a finished run, unchanged or with some slots withheld."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from harness.analysis.ensemble import SAME_SCORE
from harness.analysis.robustness import EACH, prepared_split, robustness
from harness.evaluation.postprocessing import apply_folds, fit_folds
from harness.evaluation.prediction_tables import write_predictions
from harness.evaluation.scoring import score_block
from harness.io.atomic import atomic
from harness.io.digests import opened, sealed
from harness.runs.finished import (
    check_data,
    check_groups,
    check_written,
    is_runs_data,
    note_files,
    record_of_run,
    use_run,
)
from harness.runs.folder import one_run
from harness.runs.job import Job, make_job
from harness.runs.preparation import predict_split
from harness.runs.remarks import LABELS
from harness.runs.start import read
from harness.runtime.terminal import tabulate
from zoo.errors import UserError


def evaluate(
    folder: Path,
    data: Path | None,
    drop: Sequence[str] = (),
    noise: Sequence[float] = (),
    *,
    plugins: Sequence[Path] = (),
    force: bool = False,
) -> None:
    """Predict a run's reported videos again from its weights and score them.

    With ``data``, predict those of another folder; with ``drop``, without some slots. If ``drop`` is ``each``, or with
    ``noise``, print a table of the run's scores under each condition.

    Predictions for other data get files of their own. Predictions with a different score are replaced only with
    ``force``.
    """
    job, own = _job(folder, data, plugins)
    split = job.split if own or data is None else f"evaluated-{data.resolve().name}"
    if noise or EACH in drop:
        if set(drop) - {EACH}:
            raise UserError("drop-table-options", each=EACH)
        robustness(job, folder, split, each=EACH in drop, levels=noise)
        return
    prepared = prepared_split(job, folder)
    dropped = slots_of(drop, prepared.model.slots)
    videos = predict_split(job, prepared, "val")
    # Fitted before slots are withheld: a missing slot could not have been foreseen.
    chains = fit_folds(job.plan.post, job.track, videos)
    if dropped:
        prepared.splits["val"].withhold(dropped)
        videos = predict_split(job, prepared, "val")
    processed = apply_folds(chains, videos)
    blocks = {"raw": score_block(job.track, videos), "post": score_block(job.track, processed)}
    rows = [
        (LABELS[kind], *(f"{b[k]:.6f}" for k in ("main", "low", "high")), b["videos"], b["frames"])
        for kind, b in blocks.items()
        if b
    ]
    print(tabulate(rows, ["", "score", "low", "high", "videos", "frames"], disable_numparse=True))
    name = "-".join([split, *(f"without-{slot}" for slot in dropped)])
    if not force:
        _check_score(folder, name, (blocks["raw"] or {}).get("main"))
    write_predictions(folder / "predictions" / f"{name}.parquet", job.track, videos)
    write_predictions(folder / "predictions" / f"{name}.post.parquet", job.track, processed)
    scores = json.dumps(sealed(blocks), indent=1)
    atomic(folder / "predictions" / f"{name}.scores.json", lambda part: part.write_text(scores))
    note_files(folder, [f"predictions/{name}{end}.parquet" for end in ("", ".post")])
    print(f"written: {folder / 'predictions' / name}.parquet, .post.parquet, .scores.json")


def _job(folder: Path, data: Path | None, plugins: Sequence[Path]) -> tuple[Job, bool]:
    """Return the run as a job on its data, or on other named data; and whether the data are its own."""
    config = one_run(folder)
    path = folder / "record.json"
    if path.is_file() and "ensemble" in read(path).result:
        raise UserError("evaluate-ensemble", folder=folder)
    check_written(folder / "weights.safetensors")
    config, record = use_run(folder, config, plugins=plugins, data=data)
    job = make_job(config, trained=True)
    own = record is None or is_runs_data(job.whole or job.index, record)
    if data is None:
        check_data(job, record, folder)
    elif own:
        check_groups(job.index, record, folder)
    return job, own


def _check_score(folder: Path, name: str, now: float | None) -> None:
    """Raise UserError if predictions with this name exist and their score differs."""
    then = _score_of(folder, name)
    if then is not None and now is not None and abs(now - then) > SAME_SCORE:
        file = folder / "predictions" / f"{name}.parquet"
        raise UserError("evaluate-other-score", file=file, now=now, then=then)


def _score_of(folder: Path, name: str) -> float | None:
    """Return the raw score of predictions by name, from the record or, for other splits, the file next to them."""
    record = record_of_run(folder)
    if record is not None and record.result.get("split") == name:
        raw = record.scores.get("raw")
        return raw["main"] if raw else None
    try:
        blocks = opened(json.loads((folder / "predictions" / f"{name}.scores.json").read_bytes()))
        return float(blocks["raw"]["main"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def slots_of(names: Sequence[str], slots: Sequence[str]) -> list[str]:
    """Return the slots meant by names of slots or streams; raise UserError if one is unknown or no slot is left."""
    found = []
    for name in names:
        meant = [slot for slot in slots if slot == name or slot.partition(".")[0] == name]
        if not meant:
            raise UserError("drop-unknown-slot", name=name, names=", ".join(slots))
        found += [slot for slot in meant if slot not in found]
    if len(found) == len(slots):
        raise UserError("drop-nothing-left", names=" --drop ".join(names))
    return found
