"""Execution of a sweep: features, trainings, records."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.config.schema import RunConfig
from harness.data.index.index import Index
from harness.features.extraction import extract
from harness.features.frozen_encoder import frozen_slots
from harness.io.run_lock import run_lock
from harness.runs.extraction_workers import extract_with_workers
from harness.runs.identity import identity
from harness.runs.job import SharedSetup
from harness.runtime.device import pick_device
from harness.runtime.launchers import Failure, Launch
from harness.sweeps.entries import Entry, claim_runs, record_of
from harness.sweeps.worker import Done, combine_members, train
from leaderboards.record import Record
from zoo.errors import UserError
from zoo.registry.plan import SlotPlan
from zoo.text import visible

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """A printed line for every training that ends, with the estimated time left."""

    total: int
    done: int = 0
    started: float = field(default_factory=time.monotonic)

    def tell(self, label: str, outcome: Done | Failure) -> None:
        """Count and print one training that has ended."""
        self.done += 1
        if isinstance(outcome, Failure):
            said = f"failed: {outcome}"
        else:
            said = f"{outcome.seconds:.0f} s" + (f", {outcome.score:.4f}" if outcome.score is not None else "")
        left = (time.monotonic() - self.started) / self.done * (self.total - self.done)
        tail = f"; about {_span(left)} left" if self.done < self.total else ""
        print(visible(f"[{self.done}/{self.total}] {label}: {said}{tail}"), flush=True)


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def run_sweep(entries: Sequence[Entry], shared: SharedSetup, launch: Launch, out: Path) -> None:
    """Compute features once, then train and record every run that is not finished.

    Failures become rows; no error is raised for them.
    """
    claim_runs(entries, shared, out)
    todo = [entry for entry in entries if entry.job is not None and not entry.done]
    units = [(folder, entry) for entry in todo for folder in entry.units() if not _finished(folder)]
    if not todo:
        return
    if units:
        fill(todo, shared, launch)
    progress = Progress(len(units))
    for place, outcome in launch(train, [folder for folder, _ in units]):
        folder, entry = units[place]
        progress.tell(entry.label + (f" | {folder.name}" if folder != entry.folder else ""), outcome)
        report_failures(folder, entry, outcome)
    many = [entry for entry in todo if entry.folder not in entry.units()]
    folders = [entry.folder for entry in many if entry.folder]
    for place, outcome in launch(combine_members, folders):
        report_failures(folders[place], many[place], outcome)


def _finished(folder: Path) -> bool:
    return (record := record_of(folder)) is not None and record.status == "done"


def report_failures(folder: Path, entry: Entry, outcome: Done | Failure) -> None:
    """Record a failure that its process could not write because it died.

    The record of a run is left alone if another process works on it or on one of its members.
    """
    if not isinstance(outcome, Failure):
        return
    if outcome.trace:
        log.warning("%s\n%s", folder, outcome.trace)
    assert entry.job is not None
    members = entry.units() if folder == entry.folder else ()
    try:
        with ExitStack() as locks:
            for place in dict.fromkeys([folder, *members]):
                locks.enter_context(run_lock(place))
            record = record_of(folder)
            if record is None or record.status not in ("failed", "interrupted", "done"):
                result = record.result if record else identity(entry.job)
                Record(folder.name, "failed", str(outcome), result).write(folder / "record.json")
    except UserError as busy:
        entry.reason = str(busy)


def frozen_union(entries: Sequence[Entry]) -> list[SlotPlan]:
    """Return the frozen slots of all combinations: each encoder on each stream once, whatever its slot is called."""
    found: dict[str, SlotPlan] = {}
    for entry in entries:
        for slot in entry.job.plan.slots if entry.job else ():
            if slot.frozen:
                options = json.dumps(dict(slot.options), sort_keys=True, default=str)
                what = f"{slot.stream.name} {slot.encoder.name} {slot.slot.argument} {options} {slot.passport}"
                found.setdefault(what, slot)
    return list(found.values())


def fill(entries: Sequence[Entry], shared: SharedSetup, launch: Launch) -> None:
    """Compute the features of all combinations in one pass over the videos.

    The pass runs in this process, which uses all cores, or on the nodes of a cluster. If it fails for some videos, each
    slot is tried alone on them; a remaining failure is reported by the combinations that need it. Raise UserError if
    nothing can be written.
    """
    union = frozen_union(entries)
    if not union:
        return
    started = time.monotonic()
    computed, bad = _extract(entries, union, shared.index, launch)
    if bad and len(union) > 1:
        rest = replace(shared.index, videos=tuple(video for video in shared.index.videos if video.name in bad))
        computed += sum(_extract(entries, [slot], rest, launch)[0] for slot in union)
    if computed:
        names = ", ".join(str(slot.slot) for slot in union)
        print(f"features of {names}: {computed} computed in {_span(time.monotonic() - started)}", flush=True)


def _extract(entries: Sequence[Entry], union: Sequence[SlotPlan], index: Index, launch: Launch) -> tuple[int, set[str]]:
    """Return the number of entries computed, and the videos for which some are missing."""
    config = next(entry.config for entry in entries)
    try:
        if launch.remote:
            computed, _, failures = extract_with_workers(_of_slots(config, union), index, launch)
            return computed, {failure.item for failure in failures}
        store, failures = extract(index, frozen_slots(union, config.features, pick_device(config.device)))
        return store.computed, {failure.item for failure in failures}
    except Exception as error:
        if isinstance(error.__cause__ or error, OSError):
            raise
        names = ", ".join(str(slot.slot) for slot in union)
        log.warning("features of %s: %s", names, error, exc_info=None if isinstance(error, UserError) else error)
        return 0, {video.name for video in index.videos}


def _of_slots(config: RunConfig, union: Sequence[SlotPlan]) -> RunConfig:
    """Return a configuration with these frozen slots under new names. It is only used to extract, never trained."""
    names = [slot.stream.name if i == 0 else f"{slot.stream.name}.{i}" for i, slot in enumerate(union)]
    slots = [replace(slot.slot, name=name) for slot, name in zip(union, names, strict=True)]
    options = {
        f"encoder.{name}.{key}": value
        for slot, name in zip(union, names, strict=True)
        for key, value in slot.options.items()
        if value is not None
    }
    for slot, name in zip(union, names, strict=True):
        given = {
            key.rpartition(".")[2]: value
            for key, value in config.options.items()
            if key.rpartition(".")[0] == f"encoder.{slot.name}"
        }
        options |= {f"encoder.{name}.{key}": value for key, value in given.items()}
    text = ",".join(map(str, slots))
    update = {
        "encoders": text,
        "fusion": "concat",
        "head": "mlp",
        "finetune": (),
        "adapt": (),
        "augment": None,
        "options": options,
        "post": (),
        "loss": (),
    }
    return config.model_copy(update=update)
