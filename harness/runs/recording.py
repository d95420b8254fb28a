"""Recording a piece of work: what was run on which machine, time and memory used, and how it ended."""

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
"""Bytes, several times the size of a run's record without scores."""


@contextmanager
def record_run(record: Record, folder: Path | None) -> Iterator[None]:
    """Write a record before and after the work, so that failed work leaves a reason and a killed run is still a row.

    Nothing is written if ``folder`` is None.
    """
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
            own["out_of_memory"] = halved  # work that continued with smaller batches
        record.circumstances = {**circumstances, **own, **record.circumstances}
        _finish(record, folder, begun)


def _finish(record: Record, folder: Path | None, begun: Result) -> None:
    """Write how the work ended, into the space that was reserved for it.

    If finished work finds no space for its full record, the record says that the run failed for this reason.
    """
    _release(folder)
    try:
        _write(record, folder)
    except UserError as error:
        if record.status not in ("failed", "interrupted"):
            record.status, record.reason, record.result = "failed", str(error), begun
            with suppress(UserError):
                _write(record, folder)
            raise
        # Keep the original error: it says what is wrong, such as which file had no space. This error would hide it.


def _reserve(folder: Path | None) -> None:
    """Reserve disk space for the final record, so that the record can report a disk that fills up during the run."""
    if folder is None:
        return
    try:
        (folder / RESERVE).write_bytes(os.urandom(ROOM))  # random bytes, because some file systems store no zeros
    except OSError as error:
        raise _unwritten(folder, error) from None


def _release(folder: Path | None) -> None:
    if folder is not None:
        with suppress(OSError):  # the disk may have been removed
            (folder / RESERVE).unlink(missing_ok=True)


def host() -> Circumstances:
    """Return the machine and the versions of the program, for the circumstances of a record."""
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
    """Return the git commit of this checkout, with ``+`` if files were changed; None outside a checkout."""
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
