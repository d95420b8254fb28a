"""Run the same task on many items, in processes of this machine or on a cluster, with one interface.

    with launcher("local", jobs=4) as launch:
        for place, outcome in launch(task, items):    # as they finish
            ...                                       # outcome: the result of task(items[place]), or a Failure

A task that raises becomes a Failure and ends nothing else. A process that dies (SIGKILL, out of memory) loses only its
own item, which is tried once more, after the others. Tasks are functions of a module or ``functools.partial`` of one.
They leave their results in files that are whole or absent, so that doing an item twice is harmless.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.runtime.machine import cores
from zoo.errors import Stopped, UserError
from zoo.files import is_full, reason_of
from zoo.registry.suggestions import did_you_mean
from zoo.text import visible

__all__ = ["LAUNCHERS", "Failure", "Launch", "attempt", "devices_of", "failure_of", "launcher"]

LAUNCHERS = ("local", "ray")
Outcome = tuple[int, Any]


@dataclass(frozen=True)
class Failure:
    """An item without a result.

    ``reason``: why, in one line; ``item``: the video or file, if the caller has to know which it was; ``trace``: the
    traceback if the fault is in a program.
    """

    reason: str
    item: str = ""
    trace: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.reason


class Launch(Protocol):
    """A callable that yields (index in ``items``, result or Failure) as they finish.

    ``workers``: number of items worked on at once; ``remote``: True if workers may be on other machines.
    """

    workers: int
    remote: bool

    def __call__(self, task: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Outcome]:
        """Do all items, each in some worker."""
        ...


@contextmanager
def launcher(kind: str, jobs: int | None = None, *, devices: Sequence[str] = ()) -> Iterator[Launch]:
    """Yield a launcher whose workers live until the end of the block.

    At the end, or if the block is left early, workers are asked to stop and given time to save.

    Args:
        kind: ``local`` or ``ray``.
        jobs: number of workers (default: one per core, or the cluster's CPUs); each computes with its share of the
            cores.
        devices: GPUs by their names in CUDA_VISIBLE_DEVICES, assigned in turn.
    """
    if kind not in LAUNCHERS:
        raise UserError("launcher-unknown", kind=kind, hint=did_you_mean(kind, LAUNCHERS), names=", ".join(LAUNCHERS))
    if kind == "ray":
        from harness.runtime.launchers.ray import cluster

        with cluster(jobs, gpus=len(devices)) as launch:
            yield launch
        return
    from harness.runtime.launchers.local import Pool

    pool = Pool(jobs or cores(), devices)
    try:
        yield pool
    finally:
        pool.close()


def devices_of(device: str) -> list[str]:
    """Return the GPUs to assign to workers; none if the machine has none, or if one is named."""
    if device not in ("auto", "cuda"):
        return []
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]


def attempt(task: Callable[[Any], Any], item: Any) -> Any:
    """Return the task's result, or a Failure; a worker calls this for each item."""
    try:
        return task(item)
    except (Stopped, KeyboardInterrupt):
        return Failure("stopped by the user")
    except Exception as error:
        return failure_of(error)


def failure_of(error: Exception) -> Failure:
    """Return the Failure for an exception, with a traceback unless it is a UserError."""
    if isinstance(error, UserError):
        return Failure(str(error))
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, OSError) and is_full(error):
        text = f"{error.filename or 'a file'}: {reason_of(error)}; make room and run the same command again"
    return Failure(visible(text), trace="".join(traceback.format_exception(error)))
