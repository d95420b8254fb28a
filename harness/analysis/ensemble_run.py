"""`harness ensemble`: merge several finished runs into one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.analysis.ensemble import METHODS, expand, load_members, post_options, read_records, run_ensemble
from harness.config.distill import Distill
from harness.config.recorded import BOTH
from harness.config.schema import RunConfig
from harness.config.tta import Tta
from harness.io.atomic import atomic
from harness.io.run_lock import run_lock
from harness.runs.finished import use_saved
from harness.runs.folder import new_folder
from harness.runs.job import make_job
from harness.runs.multi_run import read
from harness.runs.recorded_plugins import plugins_of
from harness.runs.start import finish
from leaderboards.record import Record
from zoo.errors import UserError
from zoo.registry.suggestions import did_you_mean
from zoo.text import visible


def ensemble(
    folders: Sequence[Path],
    method: str,
    *,
    name: str | None,
    out: Path,
    post: Sequence[str] | None,
    data: Path | None,
    plugins: Sequence[Path] = (),
) -> Path:
    """Merge finished runs into a run of its own, update the leaderboard, and return the run's folder."""
    if method not in METHODS:
        near = did_you_mean(method, METHODS)
        raise UserError("ensemble-method-unknown", method=method, near=near, names=", ".join(METHODS))
    members = expand(folders)
    records = read_records(members)
    first = next(iter(members.values()))
    own = plugins_of(plugins, {members[name]: record for name, record in records.items()}) if plugins else {}
    config = _config(use_saved(first, plugins=own.get(first, ()), data=data)[0], records, post)
    job = replace(make_job(config, trained=True), split=records[next(iter(members))].result["split"])
    if method in ("vote", "ccc") and not any((a.kind == "value") == (method == "ccc") for a in job.track.answers):
        kind = "values" if method == "ccc" else "classes or units"
        raise UserError("ensemble-method-kind", method=method, kind=kind, name=job.track.name)
    loaded = load_members(members, records, job)
    default = f"{config.track}-ensemble-{method}-{'-'.join(members)}"
    default = re.sub(r"[^A-Za-z0-9_.+-]+", "+", default)[:120]
    _clear_abandoned(out / (name or default))
    folder = new_folder(out, name, default)
    what = f"{job.edition.name} {job.track.name} on {job.data_name}"
    print(visible(f"{what}: {', '.join(members)} merged, {METHODS[method]}"))
    outcome = run_ensemble(job, loaded, method, folder)
    text = (
        f"# The ensemble of {visible(', '.join(members))}: see record.json.\n"
        f"# These settings are its first member's; they serve\n"
        f"# `harness submit`, and running them repeats that member, not the ensemble.\n{config.toml()}"
    )
    atomic(folder / "config.toml", lambda part: part.write_text(text, encoding="utf-8"))
    finish(outcome, job, out)
    return folder


def _clear_abandoned(folder: Path) -> None:
    """Remove an ensemble of this name that was killed before it was done, because merging cannot be resumed."""
    path = folder / "record.json"
    if not path.is_file() or not _is_unfinished_ensemble(read(path)):
        return
    with run_lock(folder):  # raises UserError if its process is still running
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{folder}: the ensemble of this name was interrupted; it is made again from the start")


def _is_unfinished_ensemble(record: Record) -> bool:
    return record.status == "running" and "ensemble" in (record.result.get("config") or {})


def _config(config: RunConfig, records: Mapping[str, Record], post: Sequence[str] | None) -> RunConfig:
    """Return the first member's settings for the ensemble, with the post-processors of all members.

    Whatever says how that member was trained or scored is left out: folds, trees, a teacher, test-time augmentation.
    """
    own = {name: _post(record) for name, record in records.items()}
    first, wanted = next(iter(own.items()))
    if post is None and (other := next((name for name, those in own.items() if those != wanted), None)):
        raise UserError("ensemble-post-differs", first=first, said=_said(wanted), other=other, said2=_said(own[other]))
    chosen = tuple(wanted[0] if post is None else post)
    alone = {"folds": 0, "fold": -1, "folds_of": BOTH, "fit": (), "epochs_from": None}
    plain = {"trees": False, "distill": Distill(), "tta": Tta()}
    return config.model_copy(update={**alone, **plain, "post": chosen})


def _post(record: Record) -> tuple[list[str], dict[str, Any]]:
    config = record.result.get("config") or {}
    return list(config.get("post") or ()), post_options(config.get("options") or {})


def _said(post: tuple[list[str], dict[str, Any]]) -> str:
    return (",".join(post[0]) or "nothing") + "".join(f" {key}={value}" for key, value in post[1].items())
