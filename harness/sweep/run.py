"""A sweep from its first feature to its table."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.extract import extract
from harness.features import frozen_slots
from harness.launch import Failure, Launch
from harness.run import identity, pick_device
from harness.setup import Ground
from harness.sweep.entries import Entry, record_of, settle
from harness.sweep.work import Done, conclude, train
from leaderboards.record import Record
from zoo.errors import UserError
from zoo.plan import SlotPlan

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """A line for every training that ends, with what is left to expect."""

    total: int
    done: int = 0
    started: float = field(default_factory=time.monotonic)

    def tell(self, label: str, outcome: Done | Failure) -> None:
        """One more has ended."""
        self.done += 1
        if isinstance(outcome, Failure):
            said = f"failed: {outcome}"
        else:
            said = f"{outcome.seconds:.0f} s" + (f", {outcome.score:.4f}" if outcome.score is not None else "")
        left = (time.monotonic() - self.started) / self.done * (self.total - self.done)
        tail = f"; about {_span(left)} left" if self.done < self.total else ""
        print(f"[{self.done}/{self.total}] {label}: {said}{tail}", flush=True)


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def run_sweep(entries: Sequence[Entry], ground: Ground, launch: Launch, out: Path) -> None:
    """Features once, then what is not finished, trained and recorded. Failures are rows: nothing is raised for them."""
    settle(entries, out)
    todo = [entry for entry in entries if entry.job is not None and not entry.done]
    units = [(folder, entry) for entry in todo for folder in entry.units() if not _finished(folder)]
    if not todo:
        return
    if units:
        fill(todo, ground)
    progress = Progress(len(units))
    for place, outcome in launch(train, [folder for folder, _ in units]):
        folder, entry = units[place]
        progress.tell(entry.label + (f" | {folder.name}" if folder != entry.folder else ""), outcome)
        _own_up(folder, entry, outcome)
    many = [entry for entry in todo if entry.folder not in entry.units()]
    folders = [entry.folder for entry in many if entry.folder]
    for place, outcome in launch(conclude, folders):
        _own_up(folders[place], many[place], outcome)


def _finished(folder: Path) -> bool:
    return (record := record_of(folder)) is not None and record.status == "done"


def _own_up(folder: Path, entry: Entry, outcome: Done | Failure) -> None:
    """See to it that a failure is in the record: a process that died could not write it."""
    if not isinstance(outcome, Failure):
        return
    if outcome.trace:
        log.warning("%s\n%s", folder, outcome.trace)
    record = record_of(folder)
    if record is None or record.status not in ("failed", "interrupted"):
        assert entry.job is not None
        result = record.result if record else identity(entry.job)
        Record(folder.name, "failed", str(outcome), result).write(folder / "record.json")


def frozen_union(entries: Sequence[Entry]) -> list[SlotPlan]:
    """The frozen slots of all combinations, each encoder on each stream once, whatever its slot is called."""
    found: dict[str, SlotPlan] = {}
    for entry in entries:
        for slot in entry.job.plan.slots if entry.job else ():
            if slot.frozen:
                options = json.dumps(dict(slot.options), sort_keys=True, default=str)
                what = f"{slot.stream.name} {slot.encoder.name} {slot.slot.argument} {options} {slot.passport}"
                found.setdefault(what, slot)
    return list(found.values())


def fill(entries: Sequence[Entry], ground: Ground) -> None:
    """Compute the features of all combinations in one pass over the videos. What fails is told by the combinations
    that want it; the other slots of those videos are computed without it."""
    config = next(entry.config for entry in entries)
    slots = frozen_slots(frozen_union(entries), config.features, pick_device(config.device))
    if not slots:
        return
    started = time.monotonic()
    try:
        store, failures = extract(ground.index, slots)
        computed, bad = store.computed, {failure.video for failure in failures}
    except UserError:
        raise
    except Exception:
        log.warning("the features of all slots together could not be computed; now one by one", exc_info=True)
        computed, bad = 0, {video.name for video in ground.index.videos}
    if bad and len(slots) > 1:
        rest = replace(ground.index, videos=tuple(video for video in ground.index.videos if video.name in bad))
        for slot in slots:
            try:
                computed += extract(rest, [slot])[0].computed
            except UserError:
                raise
            except Exception as error:
                log.warning("slot %s: %s: %s", slot.plan.name, type(error).__name__, error)
    names = ", ".join(str(slot.plan.slot) for slot in slots)
    if computed:
        print(f"features of {names}: {computed} computed in {_span(time.monotonic() - started)}", flush=True)
