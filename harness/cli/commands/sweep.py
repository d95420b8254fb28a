"""`harness sweep`: train all combinations of encoders, fusions and heads, and rank them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.config.schema import RunConfig
from harness.evaluation.looks import check_passes
from harness.io.locks import BOARD, file_lock
from harness.reports.making import leave_sweep_report
from harness.runs.summary import announce
from harness.runtime.terminal import tabulate
from harness.sweeps.entries import Entry
from harness.sweeps.launch import How, plan_all, train_all
from harness.sweeps.run import frozen_union
from harness.training.build import adapter_options, regularisation_options
from harness.training.checks import check_training
from leaderboards.render.markdown import to_markdown
from leaderboards.tables import leaderboard, load_runs, write
from zoo.errors import UserError
from zoo.model.shape_check import check
from zoo.text import visible


def sweep(configs: Sequence[RunConfig], out: Path, seeds: int, how: How, *, dry_run: bool = False) -> int:
    """Train every combination that is not finished in ``out``, and rank all.

    Returns:
        The number of combinations if all failed, else 0.
    """
    shared, entries = plan_all(configs, out, seeds, how)
    announce_sweep(entries, seeds)
    if dry_run:
        print(preview(entries))
        return 0
    try:
        entries = train_all(entries, shared, out, how)
    except KeyboardInterrupt:
        print("\nstopped: finished work is kept; run the same command again to continue", flush=True)
        raise
    return finish(entries, out)


def announce_sweep(entries: Sequence[Entry], seeds: int) -> None:
    """Print how many combinations there are, which cannot be built, and which are the same model."""
    job = next(entry.job for entry in entries if entry.job is not None)
    announce(job)
    done, bad = sum(entry.done for entry in entries), sum(entry.job is None for entry in entries)
    each = f", {seeds} seeds each" if seeds > 1 else ""
    print(f"{len(entries)} combinations{each}: {done} finished, {bad} cannot be built", flush=True)
    for entry in entries:
        if entry.job is None:
            print(visible(f"cannot be built: {entry.label}: {entry.reason}"), flush=True)
    for line in same_models(entries):
        print(f"note: {line}", flush=True)


def same_models(entries: Sequence[Entry]) -> list[str]:
    """Return a note for each set of combinations that are the same model, so that their scores differ by chance alone.

    With a single input branch, some fusions are nothing but the output layer.
    """
    alike: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        if entry.job is not None and len(entry.job.plan.slots) == 1 and entry.job.plan.fusion.spec.bare_alone:
            alike.setdefault((entry.config.encoders, entry.config.head), []).append(entry.config.fusion)
    return [
        f"{' and '.join(dict.fromkeys(fusions))} are one model for one branch ({encoders}, head {head}): one would do"
        for (encoders, head), fusions in alike.items()
        if len(set(fusions)) > 1
    ]


def preview(entries: Sequence[Entry]) -> str:
    """Return a table of what would be done; it includes the errors that the checks before a training raise."""
    rows = []
    for entry in entries:
        state = entry.reason or ("finished" if entry.done else "to be continued" if entry.folder else "new")
        if entry.job is not None and not entry.done:
            try:
                check(entry.job.plan, adapter_options(entry.config), regularisation_options(entry.config))
                check_training(entry.job.plan, entry.config)
                check_passes(entry.config, entry.job.plan)
            except UserError as error:
                state = str(error)
        config = entry.config
        rows.append((config.encoders, config.fusion, config.head, state, entry.folder or ""))
    slots = ", ".join(str(slot.slot) for slot in frozen_union([entry for entry in entries if not entry.done]))
    table = tabulate(rows, ["encoders", "fusion", "head", "state", "run"], tablefmt="simple", maxcolwidths=60)
    return f"{table}\n\nfeatures to compute, in one pass over the videos: {slots or 'none'}"


def finish(entries: Sequence[Entry], out: Path) -> int:
    """Print the table of the sweep's runs and write the tables of the folder.

    Returns:
        The number of combinations if all failed, else 0.
    """
    with file_lock(out / BOARD):
        records, problems = load_runs(out)
        files = write(out, leaderboard(records), problems)
    print("\n" + to_markdown(leaderboard(record for entry in entries if (record := entry.record) is not None)))
    failed = [entry for entry in entries if not entry.done]
    for entry in failed:
        print(visible(f"failed: {entry.label}: {entry.problem}"))
    print(f"{len(entries) - len(failed)} of {len(entries)} combinations are done")
    print("leaderboard of the folder: " + ", ".join(map(str, files)))
    leave_sweep_report([entry.folder for entry in entries if entry.folder is not None], out)
    return len(failed) if len(failed) == len(entries) else 0
