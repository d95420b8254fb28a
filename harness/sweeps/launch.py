"""A whole sweep: plan the trainings, then run them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.config.schema import RunConfig
from harness.runs.job import SharedSetup, prepare_shared
from harness.runs.splits import check_kind
from harness.runtime.launchers import Launch, devices_of, launcher
from harness.sweeps.entries import Entry, plan_entries
from harness.sweeps.run import fill, run_sweep
from harness.sweeps.search import Search, check_search, check_spaces, run_search
from zoo.errors import UserError


@dataclass(frozen=True)
class How:
    """Options of a sweep's execution."""

    jobs: int | None = None
    launcher: str = "local"
    search: Search | None = None


def plan_all(configs: Sequence[RunConfig], out: Path, seeds: int, how: How) -> tuple[SharedSetup, list[Entry]]:
    """Return the setup shared by the combinations, and all of them as entries; finished ones are found in ``out``."""
    for config in configs:
        check_kind(config, seeds)
    if how.search is not None:
        check_search(how.search)
        if any(config.distill.run for config in configs):
            raise UserError("search-with-teacher")
    shared = prepare_shared(configs[0])
    entries = plan_entries(configs, seeds, shared, out)
    if how.search is not None:
        check_spaces(entries, how.search)
    return shared, entries


def train_all(entries: list[Entry], shared: SharedSetup, out: Path, how: How) -> list[Entry]:
    """Train every combination that is not finished."""
    devices = devices_of(entries[0].config.device)
    with launcher(how.launcher, how.jobs or (len(devices) or None), devices=devices) as launch:
        if how.search is not None:
            entries = search_first(entries, how.search, shared, launch, out)
        run_sweep(entries, shared, launch, out)
    return entries


def search_first(
    entries: Sequence[Entry], search: Search, shared: SharedSetup, launch: Launch, out: Path
) -> list[Entry]:
    """Return the entries with the settings that a search chose for each; raise UserError if no search succeeded."""
    fill(entries, shared, launch)
    configs = run_search(entries, search, shared, launch, out)
    if all(entry.job is None for entry in entries):
        raise UserError("sweep-none-built", message="; ".join(dict.fromkeys(str(entry.reason) for entry in entries)))
    chosen = plan_entries(configs, entries[0].seeds, shared, out)
    for entry, before in zip(chosen, entries, strict=True):
        if before.job is None:
            entry.job, entry.reason = None, before.reason
    return chosen
