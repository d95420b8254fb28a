"""Memory that is freed and used again; and when it runs out: batches are halved where that changes nothing but the
time, and it is recorded."""

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
    """Let the C library keep large blocks that are freed and hand them out again; for networks on the processor.

    Otherwise every activation of a step goes back to the kernel, which clears its pages anew for the next one: of a
    training step of the field's network (harness.benchmarks.baseline, float32) that is a fifth. A process then holds on
    to the most that it ever had. Elsewhere than with glibc nothing changes.
    """
    if mallopt := getattr(_libc(), "mallopt", None):
        trim_threshold, mmap_max = -1, -4  # as malloc.h numbers them
        mallopt(mmap_max, 0)  # no block in a mapping of its own
        mallopt(trim_threshold, -1)  # nothing given back


def _libc() -> Any:
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows has no such thing
        return None


def peak_mb() -> float:
    """The most memory this process has had resident, in MB.

    Linux keeps it in VmHWM; ru_maxrss is the parent's too where a child was started by fork or vfork. 0 on systems
    that tell neither (Windows).
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
    """Whether a device or the machine had no memory left for a tensor."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # the CPU's allocator


def release() -> None:
    """Give back what the failed attempt held; to be called after its ``except`` block, which keeps it alive."""
    import torch

    gc.collect()
    if trim := getattr(_libc(), "malloc_trim", None):
        trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def track_batch_reductions() -> Iterator[list[Halved]]:
    """What is halved meanwhile, for the circumstances of a record: ``{"where": ..., "batch": ...}``."""
    noted: list[Halved] = []
    token = _halvings.set(noted)
    try:
        yield noted
    finally:
        _halvings.reset(token)


def note(where: str, batch: int) -> None:
    """Note that something goes on with a smaller batch."""
    noted = _halvings.get()
    if noted is not None:
        noted[:] = [said for said in noted if said["where"] != where] + [{"where": where, "batch": batch}]
