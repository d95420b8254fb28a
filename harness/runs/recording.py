"""A record around a piece of work: what was done where, with what memory and time, and how it ended."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from harness.runtime.memory import peak_mb, track_batch_reductions
from leaderboards.blocks import Circumstances, Result
from leaderboards.record import Record
from zoo.errors import Stopped, UserError
from zoo.files import reason_of
from zoo.text import visible

RESERVE = ".reserve"
ROOM = 1 << 16
"""Bytes, several times what a record of a run without scores has."""


@contextmanager
def record_run(record: Record, folder: Path | None) -> Iterator[None]:
    """Write a record before and after: what does not end well leaves one that says why, and a killed run is a row.
    Without a folder nothing is written."""
    started, begun = time.time(), record.result
    _write(record, folder)
    _reserve(folder)
    circumstances: Circumstances = {"started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)), **host()}
    try:
        with track_batch_reductions() as halved:
            yield
    except (UserError, Stopped, KeyboardInterrupt) as error:
        stopped = not isinstance(error, UserError)
        record.status, record.reason = ("interrupted", "stopped by the user") if stopped else ("failed", str(error))
        raise
    except Exception as error:
        record.status, record.reason = "failed", visible(f"{type(error).__name__}: {error}".splitlines()[0])
        raise
    finally:
        own: Circumstances = {"seconds": round(time.time() - started, 1), "peak_memory_mb": round(peak_mb())}
        if halved:
            own["out_of_memory"] = halved  # what went on with smaller batches
        record.circumstances = {**circumstances, **own, **record.circumstances}
        _conclude(record, folder, begun)


def _conclude(record: Record, folder: Path | None, begun: Result) -> None:
    """Write how it ended, into the room that was kept for it. What is done but finds no room for all that it has to
    say is a failure that says so."""
    _release(folder)
    try:
        _write(record, folder)
    except UserError as error:
        if record.status not in ("failed", "interrupted"):
            record.status, record.reason, record.result = "failed", str(error), begun
            with suppress(UserError):
                _write(record, folder)
            raise
        # The error that is under way says what is wrong, such as which file had no room; this one would hide it.


def _reserve(folder: Path | None) -> None:
    """Keep the room that the record will need at the end: a disk that fills up in a run is then said by its record."""
    if folder is None:
        return
    try:
        (folder / RESERVE).write_bytes(os.urandom(ROOM))  # some file systems store no zeros
    except OSError as error:
        raise _unwritten(folder, error) from None


def _release(folder: Path | None) -> None:
    if folder is not None:
        with suppress(OSError):  # of a disk that was taken away
            (folder / RESERVE).unlink(missing_ok=True)


def host() -> Circumstances:
    """The machine and the program, for the circumstances of a record."""
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "pid": os.getpid(),
        "commit": commit(),
        "free_disk_gb": round(shutil.disk_usage(".").free / 2**30, 1),
    }


def commit() -> str | None:
    """The git commit of this checkout, with ``+`` where it is changed; None outside one."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=10)
        dirty = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "") if head.returncode == 0 else None


def _write(record: Record, folder: Path | None) -> None:
    if folder is None:
        return
    try:
        record.write(folder / "record.json")
    except OSError as error:
        raise _unwritten(folder, error) from None


def _unwritten(folder: Path, error: OSError) -> UserError:
    return UserError("record-not-writable", file=folder / "record.json", error=reason_of(error), folder=folder)
