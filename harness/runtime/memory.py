"""Memory: reuse freed blocks, and handle out-of-memory errors.

Batches are halved if that changes nothing but the time, and the record notes it.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from leaderboards.blocks import Halved

_halvings: ContextVar[list[Halved] | None] = ContextVar("halvings", default=None)


def retain_freed_memory() -> None:
    """Let the C library keep large freed blocks and reuse them; for networks on the CPU.

    Otherwise every activation of a step is returned to the kernel, which has to clear the pages again for the next
    step. This takes a fifth of a training step of the field's network (harness.benchmarks.baseline, float32). The
    process then never gives memory back. Without glibc this has no effect.
    """
    if mallopt := getattr(_libc(), "mallopt", None):
        trim_threshold, mmap_max = -1, -4  # as malloc.h numbers them
        mallopt(mmap_max, 0)  # no block gets a mapping of its own
        mallopt(trim_threshold, -1)  # nothing is given back


def _libc() -> Any:
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):  # not available on Windows
        return None


def peak_mb() -> float:
    """Return the peak resident memory of this process in MB.

    Linux reports it in VmHWM; ru_maxrss includes the parent's if a child was started by fork or vfork. 0 on systems
    that report neither (Windows).
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return 0.0
    unit = 2**20 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def out_of_memory(error: BaseException) -> bool:
    """Return True if the error means that a device or the machine had no memory left for a tensor."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # the CPU's allocator


def release() -> None:
    """Free the memory of a failed attempt. Call it after the ``except`` block, which keeps the memory alive."""
    import torch

    gc.collect()
    if trim := getattr(_libc(), "malloc_trim", None):
        trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def track_batch_reductions() -> Iterator[list[Halved]]:
    """Collect the batch reductions made in the body, for the record: ``{"where": ..., "batch": ...}``."""
    noted: list[Halved] = []
    token = _halvings.set(noted)
    try:
        yield noted
    finally:
        _halvings.reset(token)


def note(where: str, batch: int) -> None:
    """Record that something continues with a smaller batch."""
    noted = _halvings.get()
    if noted is not None:
        noted[:] = [said for said in noted if said["where"] != where] + [{"where": where, "batch": batch}]
