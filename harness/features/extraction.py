"""Compute the features that the cache lacks.

Several processes and machines may run this on one cache: each video is computed by one of them, and features that exist
are not computed again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from harness.data.index.index import Index, Video
from harness.data.packed.reader import from_source
from harness.data.streams.sources import open_reader, source_of
from harness.features.cache.entry import Entry, Writer
from harness.features.cache.leases import try_lock, unlock
from harness.features.chunking import Chunk, Done, Event, Failed, PartialBatch, Progress, Task, events, pad_batch
from harness.features.encoder_probe import choose_precision
from harness.features.frozen_encoder import FrozenSlot
from harness.features.store import FeatureStore
from harness.runtime.launchers import Failure
from harness.runtime.machine import cores
from harness.runtime.prefetch import prefetch
from harness.runtime.progress import Bar
from zoo.errors import UserError
from zoo.files import reason_of

AHEAD = 6  # chunks that a reader prefetches
READERS = 8  # most videos that are read at the same time
POLL = 0.5  # seconds between checks for features that another process computes


def extract(index: Index, slots: Sequence[FrozenSlot], *, progress: bool = True) -> tuple[FeatureStore, list[Failure]]:
    """Compute the features that the cache lacks; return the store and the videos that failed.

    A video that fails does not stop the others.
    """
    store = FeatureStore()
    failures = extract_videos(index, slots, [video.name for video in index.videos], store=store, progress=progress)
    return store, failures


def extract_videos(
    index: Index,
    slots: Sequence[FrozenSlot],
    names: Sequence[str],
    *,
    store: FeatureStore | None = None,
    progress: bool = True,
) -> list[Failure]:
    """Compute the features of some videos of an index that the cache lacks, and record in ``store`` where they are.

    Idempotent, and safe to call from several processes for the same videos. Damaged entries are computed again. Returns
    the videos that failed, in the order of the index.
    """
    store = FeatureStore() if store is None else store

    # The precision is part of the key, so it is chosen before entries are looked up. Entries are leased before they are
    # checked: otherwise `harness cache gc` could remove one between its check and its use.
    from_source(partial(choose_precision, index, slots))
    wanted = set(names)
    tasks, failures = _tasks(index, [v for v in index.videos if v.name in wanted], slots, store)
    store.lease.take(task.entry for task in tasks)
    missing: dict[str, list[Task]] = {}
    with ThreadPoolExecutor(min(8, cores())) as pool:  # threads suffice: hashing releases the interpreter lock
        for task, fault in zip(tasks, pool.map(lambda task: task.entry.check(), tasks), strict=True):
            if fault is None:
                store.found(task.entry)
            else:
                store.damaged += fault != "missing"
                missing.setdefault(task.video.name, []).append(task)
    if missing:
        from_source(partial(choose_precision, index, slots, building=True))
        for slot in slots:
            _ = slot.encoder  # build it here, once, before threads ask for its input
        total = sum(work[0].video.n_frames for work in missing.values())
        label = "features of " + ", ".join(slot.plan.name for slot in slots)
        with Bar(total=total, unit="frame", desc=label, shown=progress) as bar:
            on_cores = any(slot.device.type == "cpu" for slot in slots)
            extractor = FeatureExtractor(index, store, bar, on_cores)
            failures += extractor.run(list(missing.values()))
        if extractor.again:  # packed files proved damaged and are set aside, so the sources are read
            failures += extract_videos(index, slots, extractor.again, store=store, progress=progress)
    order = {video.name: place for place, video in enumerate(index.videos)}
    return sorted(failures, key=lambda failure: order[failure.item])


def _tasks(
    index: Index, videos: Sequence[Video], slots: Sequence[FrozenSlot], store: FeatureStore
) -> tuple[list[Task], list[Failure]]:
    """Return a task with its key for every video and slot, and the videos whose source cannot be read."""
    tasks: list[Task] = []
    failures = []
    for video in videos:
        source = source_of(index, video)
        try:
            readers = [open_reader(slot.plan.stream, source) for slot in slots]
            keys = [(slot.key(reader), reader.fingerprint()) for slot, reader in zip(slots, readers, strict=True)]
        except UserError as error:
            failures.append(Failure(str(error), video.name))
            continue
        for slot, (key, fingerprint) in zip(slots, keys, strict=True):
            entry = Entry.of(key)
            tasks.append(Task(video, slot, entry, fingerprint))
            store.folders[slot.plan.name, video.name] = entry.folder
            store.sources[slot.plan.name, video.name] = fingerprint
    return tasks, failures


@dataclass
class FeatureExtractor:
    """Run encoders on prefetched chunks.

    ``on_cores``: encoders and reader threads share the CPU.
    """

    index: Index
    store: FeatureStore
    bar: Any
    on_cores: bool
    failures: list[Failure] = field(default_factory=list)
    again: list[str] = field(default_factory=list)  # videos whose packed files proved damaged
    claimed: dict[Task, FileLock] = field(default_factory=dict)  # in progress, with the locks of their entries
    tails: dict[int, list[tuple[Task, np.ndarray]]] = field(default_factory=dict)  # id(slot) -> pictures to be encoded
    flying: deque[tuple[torch.Tensor, list[tuple[Task, np.ndarray]]]] = field(default_factory=deque)

    def run(self, work: list[list[Task]]) -> list[Failure]:
        """Compute all videos; return to those that another process is computing when the others are done."""
        try:
            while work:
                busy: list[list[Task]] = []
                readers = min(READERS, len(work), torch.get_num_threads() if self.on_cores else cores())
                reading = [partial(self._events, tasks, busy, readers) for tasks in work]
                for event in prefetch(reading, threads=readers, depth=AHEAD, in_turn=self.on_cores):
                    self._take(event)
                self._flush()

                # ``busy`` has the videos that another process holds. Try them again: by then it has written their
                # entries, which are only read, or it has died, and its locks are free.
                if len(busy) == len(work):
                    time.sleep(POLL)
                work = busy
        finally:
            self._drop(list(self.claimed))
        return self.failures

    # --- in the reader threads ---

    def _events(self, tasks: list[Task], busy: list[list[Task]], readers: int) -> Iterator[Event]:
        video = tasks[0].video
        try:
            mine = self._claim(tasks)
            if mine is None:
                busy.append(tasks)
            elif mine:
                yield from events(self.index, video, mine, threads=max(1, cores() // readers))
            else:
                yield Progress(video.n_frames)
        except OSError as error:
            raise _full(video, error) from error

    def _claim(self, tasks: list[Task]) -> list[Task] | None:
        """Lock the entries of a video's tasks and return the tasks that are still to be done.

        None if another process is computing one of them.
        """
        one = {task.entry: task for task in tasks}  # two slots may have the same encoder
        locks: dict[Entry, FileLock] = {}
        for entry in one:
            lock = try_lock(entry.lock)
            if lock is None:
                for held in locks.values():
                    unlock(held)
                return None
            locks[entry] = lock
        mine = []
        for entry, task in one.items():
            if entry.check() is None:
                unlock(locks[entry])
                self.store.found(entry)
            else:
                self.claimed[task] = locks[entry]
                mine.append(task)
        return mine

    # --- in the main thread ---

    def _take(self, event: Event) -> None:
        if isinstance(event, Progress):
            self.bar.update(event.frames)
        elif isinstance(event, Failed):
            self._fail(event.video, event.reason, again=event.again)
        elif event.task not in self.claimed:  # of a video that has failed
            return
        elif isinstance(event, Done):
            event.task.complete = True
            self._save(event.task)
        elif isinstance(event, PartialBatch) and event.task.slot.probe.batch_invariant:
            self._mix(event)
        elif isinstance(event, PartialBatch):
            inputs, keep = pad_batch(event.images, event.task.slot.chunk)
            self._launch(event.task.slot, inputs, np.ones(len(keep), bool), [(event.task, keep)])
        elif isinstance(event, Chunk):
            self._launch(event.task.slot, event.inputs, event.mask, [(event.task, event.keep)])

    def _mix(self, tail: PartialBatch) -> None:
        """Put the last pictures of several videos into one batch."""
        slot = tail.task.slot
        waiting = self.tails.setdefault(id(slot), [])
        waiting += [(tail.task, image) for image in tail.images]
        while len(waiting) >= slot.chunk:
            self._launch_tails(waiting[: slot.chunk])
            del waiting[: slot.chunk]

    def _launch_tails(self, pictures: list[tuple[Task, np.ndarray]]) -> None:
        slot = pictures[0][0].slot
        inputs, _ = pad_batch([image for _, image in pictures], slot.chunk)
        owners = list(dict.fromkeys(task for task, _ in pictures))
        whose = [task for task, _ in pictures]
        keeps = [np.array([owner is task for owner in whose] + [False] * (slot.chunk - len(whose))) for task in owners]
        self._launch(slot, inputs, np.ones(slot.chunk, bool), list(zip(owners, keeps, strict=True)))

    def _launch(
        self, slot: FrozenSlot, inputs: dict[str, np.ndarray], mask: np.ndarray, to: list[tuple[Task, np.ndarray]]
    ) -> None:
        """Start the encoder on a batch, and read back the batch before it while the device computes."""
        self.flying.append((slot.launch(inputs, mask), to))
        while len(self.flying) > 1:
            self._land()

    def _land(self) -> None:
        out, to = self.flying.popleft()
        rows = out.cpu().numpy()
        for task, keep in to:
            if task in self.claimed:  # if not, the video has failed
                self._write(task, rows[keep])

    def _flush(self) -> None:
        for waiting in self.tails.values():
            if waiting:
                self._launch_tails(waiting)
        self.tails.clear()
        while self.flying:
            self._land()

    def _write(self, task: Task, rows: np.ndarray) -> None:
        try:
            if task.writer is None:
                task.writer = Writer(task.entry, task.slot.encoder.dim, task.slot.settings.store)
            finite = np.isfinite(rows).all(1)
            if not finite.all():
                self._fail(task.video, _not_finite(task, task.writer.rows + int(np.argmin(finite))))
                return
            task.writer.add(rows)
            self._save(task)
        except OSError as error:
            raise _full(task.video, error) from error

    def _save(self, task: Task) -> None:
        """Put the entry in its place once all of it is written."""
        if not task.complete or task not in self.claimed:
            return
        try:
            if task.writer is None and not task.present.any():
                task.writer = Writer(task.entry, task.slot.encoder.dim, task.slot.settings.store)
            if task.writer is None or task.writer.rows < int(task.present.sum()):
                return
            task.writer.finish(task.present, task.slot.meta(task.video.name))
        except OSError as error:
            raise _full(task.video, error) from error
        self.store.computed += 1
        self.store.found(task.entry)
        unlock(self.claimed.pop(task))

    def _fail(self, video: Video, reason: str, *, again: bool = False) -> None:
        """Record a failure and discard the features computed of the video so far.

        ``again``: the video is to be computed once more.
        """
        if again:
            self.again.append(video.name)
        else:
            self.failures.append(Failure(reason, video.name))
        self._drop([task for task in list(self.claimed) if task.video is video])  # a copy: threads add claims

    def _drop(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            lock = self.claimed.pop(task, None)
            if lock is not None:
                if task.writer is not None:
                    task.writer.discard()
                unlock(lock)


def _not_finite(task: Task, row: int) -> str:
    frame = int(np.flatnonzero(task.present)[row]) + 1
    return (
        f"slot {task.slot.plan.name!r}, video {task.video.name}, frame {frame}: the encoder's features are not finite"
    )


def _full(video: Video, error: OSError) -> UserError:
    """Return the error for a full disk, which ends the work: the next video would fail too."""
    return UserError("features-not-written", name=video.name, error=reason_of(error))
