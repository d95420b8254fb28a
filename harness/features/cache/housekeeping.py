"""Housekeeping of the feature cache: list, verify and remove entries."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.features.cache.entry import Entry, features_folder, remove
from harness.features.cache.leases import lease_lock, leased, try_lock, unlock
from harness.features.cache.used import NAME, read_used
from harness.runtime.machine import cores
from zoo.errors import UserError

_KEY = re.compile("[0-9a-f]{64}")
_LEFTOVER = re.compile(r"[0-9a-f]{64}\.(part|gone|[0-9]+)")  # the last kind is from an earlier version


@dataclass
class Group:
    """Entries of one encoder on one stream."""

    stream: str
    encoder: str
    form: str  # precision and store
    entries: int = 0
    videos: set[str] = field(default_factory=set)
    frames: int = 0
    bytes: int = 0
    used: float = 0.0


@dataclass(frozen=True)
class Removal:
    """A file or folder that is removed, or would be, and the reason."""

    path: Path
    bytes: int
    reason: str


def entries(root: Path | None = None) -> Iterator[Entry]:
    """Yield every folder that has the name of an entry."""
    for folder in sorted((root or features_folder()).glob("??/*")):
        if _KEY.fullmatch(folder.name) and folder.is_dir():
            yield Entry(folder)


def listing() -> list[Group]:
    """Return the entries grouped by encoder, the largest group first."""
    groups: dict[tuple[str, ...], Group] = {}
    for entry in entries():
        meta = entry.meta()
        encoder = str(meta.get("encoder", "(not readable)")) + (f":{meta['argument']}" if meta.get("argument") else "")
        key = str(meta.get("stream", "")), encoder, f"{meta.get('precision', '')} {meta.get('store', '')}".strip()
        group = groups.setdefault(key, Group(*key))
        group.entries += 1
        group.videos.add(str(meta.get("video", entry.key)))
        group.frames += int(meta.get("present", 0))
        group.bytes += entry.size()
        group.used = max(group.used, entry.used())
    return sorted(groups.values(), key=lambda group: -group.bytes)


def verify(tick: Callable[[int], Any] = lambda size: None) -> tuple[int, list[tuple[Entry, str]]]:
    """Return the number of entries, and the damaged ones with their faults; call ``tick(1)`` after each entry."""
    found = list(entries())
    bad = []
    with ThreadPoolExecutor(min(8, cores())) as pool:
        for entry, fault in zip(found, pool.map(lambda entry: entry.check(), found), strict=True):
            if fault is not None:
                bad.append((entry, fault))
            tick(1)
    return len(found), bad


def referenced(folders: Iterable[Path]) -> set[str]:
    """Return the keys that the runs in some folders were made from, by their features.csv.

    Raises UserError if a folder has no runs.
    """
    keys: set[str] = set()
    for folder in folders:
        lists = _lists(folder)
        if not lists:
            raise UserError("cache-keep-no-run", folder=folder)
        for file in lists:
            keys |= read_used(file)
    return keys


def _lists(folder: Path) -> list[Path]:
    """Return every features.csv below a folder.

    A file that vanishes while another process writes its run is skipped; a folder that cannot be read is a UserError.
    """

    def unseen(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise UserError("cache-keep-unreadable", filename=error.filename, strerror=error.strerror)

    return sorted(Path(top, NAME) for top, _, files in os.walk(folder, onerror=unseen) if NAME in files)


def garbage_collect(
    *, days: float | None = None, most: int | None = None, keep: Sequence[Path] | None = None, dry: bool = False
) -> tuple[list[Removal], int]:
    """Remove leftovers of killed processes, damaged entries, and entries that the options select.

    Entries in use are kept. Returned are the removals and the number of entries that were kept because they are in use.

    Args:
        days: remove entries that were not used for this many days.
        most: remove the longest unused entries until the rest has at most this many bytes.
        keep: folders of runs; remove entries that no run in them was made from.
        dry: remove nothing, only return what would be removed.
    """
    root = features_folder()
    if not root.is_dir():
        return [], 0
    kept = None if keep is None else referenced(keep)
    gone: list[Removal] = []
    with lease_lock(root):
        in_use = leased(root)
        gone += [r for path in sorted(root.glob("??/*")) if (r := _leftover(path, dry))]
        chosen, spared = _chosen(list(entries(root)), days, most, kept), 0
        for entry, reason in chosen:
            if entry.key in in_use:
                spared += 1
                continue
            lock = try_lock(entry.lock)
            if lock is None:
                spared += 1
                continue
            try:
                gone.append(Removal(entry.folder, entry.size(), reason))
                if not dry:
                    remove(entry.folder)
            finally:
                unlock(lock)
    return gone, spared


def _chosen(
    found: Sequence[Entry], days: float | None, most: int | None, kept: set[str] | None
) -> list[tuple[Entry, str]]:
    """Return the entries that may be removed, and why."""
    now, reasons = time.time(), {}
    for entry in found:
        if fault := entry.check(content=False):
            reasons[entry] = f"damaged: {fault}"
        elif days is not None and now - entry.used() > days * 86_400:
            reasons[entry] = f"not used for {(now - entry.used()) / 86_400:.0f} days"
        elif kept is not None and entry.key not in kept:
            reasons[entry] = "no run was made from it"
    if most is not None:
        rest = [(entry.used(), entry.key, entry, entry.size()) for entry in found if entry not in reasons]
        total = sum(size for *_, size in rest)
        for _, _, entry, size in sorted(rest, key=lambda item: item[:2]):
            if total <= most:
                break
            reasons[entry] = "unused for the longest time, over the size limit"
            total -= size
    return list(reasons.items())


def _leftover(path: Path, dry: bool) -> Removal | None:
    """Remove what a killed process left: half an entry, or a lock that no process holds."""
    if path.suffix != ".lock" and not _LEFTOVER.fullmatch(path.name):
        return None
    lock = try_lock(path.with_name(f"{path.name[:64]}.lock"))
    if lock is None:
        return None
    try:
        if path.suffix == ".lock":
            return None if dry else Removal(path, 0, "a lock that no process holds")
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        if not dry:
            shutil.rmtree(path, ignore_errors=True)
        return Removal(path, size, "left by a process that was killed")
    finally:
        unlock(lock)
