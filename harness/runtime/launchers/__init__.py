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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from harness.runtime.launchers.outcomes import Failure, Launch, Outcome, attempt, failure_of
from harness.runtime.machine import cores
from zoo.errors import UserError
from zoo.registry.suggestions import did_you_mean

__all__ = ["LAUNCHERS", "Failure", "Launch", "Outcome", "attempt", "devices_of", "failure_of", "launcher"]

LAUNCHERS = ("local", "ray")


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
