"""The processes of a run, one per device: start or join them, and communicate between them.

Lightning Fabric handles torchrun, SLURM and devices; it is imported when training begins. Communication outside of
training (predictions, or the wish to stop) goes through a gloo group on the host. A single process needs none of this.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed as dist

from harness.runtime.interrupts import CONTINUE
from harness.runtime.machine import cores
from zoo.errors import UserError, first_line
from zoo.parallel import Share, split

Item = TypeVar("Item")
STEP = timedelta(minutes=10)  # how late a process may be in a step
WAIT = timedelta(days=2)  # how late it may be with features or predictions; a process that dies is noticed at once
GRACE = 20.0  # seconds for the others to end by themselves after one died
LOST = ("connection", "gloo", "nccl", "timed out", "socket", "peer")


@dataclass
class World:
    """The processes of a run, seen from one of them.

    ``rank``: which of ``size`` processes this is. Rank 0 is the first, and the only one that writes files.
    """

    device: torch.device
    rank: int = 0
    size: int = 1
    fabric: Any = None
    groups: dict[str, Any] = field(default_factory=dict)

    @property
    def first(self) -> bool:
        """True if this process writes the files and prints."""
        return self.rank == 0

    def share(self, rows: int) -> Share | None:
        """Return this process's rows of a batch; None if it is the only process."""
        return split(rows, self.rank, self.size, self.groups["answers"]) if self.size > 1 else None

    def broadcast(self, value: Item) -> Item:
        """Return the first process's value in every process."""
        if self.size == 1:
            return value
        held = [value]
        dist.broadcast_object_list(held, 0, group=self.groups["host"])
        return held[0]

    def all_gather(self, value: Item) -> list[Item]:
        """Return every process's value in every process; wait for all."""
        if self.size == 1:
            return [value]
        held: list[Any] = [None] * self.size
        dist.all_gather_object(held, value, group=self.groups["host"])
        return held

    def gather(self, value: Item) -> list[Item]:
        """Return every process's value in the first process, [] in the others."""
        if self.size == 1:
            return [value]
        held: list[Any] | None = [None] * self.size if self.first else None
        dist.gather_object(value, held, 0, group=self.groups["host"])
        return held or []

    def any(self, flag: bool) -> bool:
        """Return True if any process passes True. Every process must call it."""
        if self.size == 1:
            return flag
        said = torch.tensor([int(flag)])
        dist.all_reduce(said, dist.ReduceOp.MAX, group=self.groups["host"])
        return bool(said.item())

    def shard(self, sizes: Sequence[int]) -> list[int]:
        """Return the indices of the work items of this process.

        The largest item is assigned first, each to the process with the least work so far.
        """
        # Every process computes the whole assignment and keeps its own part, so nothing has to be sent.
        loads, owned = [0] * self.size, []
        for i in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
            least = loads.index(min(loads))
            loads[least] += max(1, sizes[i])
            owned += [i] if least == self.rank else []
        return sorted(owned)


def single_process(device: torch.device) -> World:
    """Return the world of a single process."""
    return World(device)


@contextmanager
def init_distributed(
    device: torch.device, *, devices: int = 1, nodes: int = 1, precision: str = "32"
) -> Iterator[World]:
    """Yield the world of a run: this process alone, or together with the others.

    The others are started here, or were started by torchrun or SLURM. Raises UserError if another process is lost, or
    if the machine has fewer devices than asked for.
    """
    devices, nodes = _wanted(devices, nodes)
    if (devices, nodes) == (1, 1):
        yield single_process(device)
        return
    outside = started_from_outside()
    silence_lightning()
    if device.type == "cuda" and torch.cuda.device_count() < devices:
        raise UserError("devices-too-many", devices=devices, found=torch.cuda.device_count())
    children = [] if outside else _start_others(devices, nodes)
    try:
        world = _connect(device, devices, nodes, precision)
        with report_lost_process():
            yield world
        with report_lost_process():
            world.all_gather(None)  # no process leaves while another still has to communicate
        dist.destroy_process_group()
    finally:
        _end(children)


def started_from_outside() -> bool:
    """Return True if torchrun, SLURM or another process of this run started this process."""
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    return TorchElasticEnvironment.detect() or SLURMEnvironment.detect() or "LOCAL_RANK" in os.environ


def silence_lightning() -> None:
    """Silence Lightning's log. Call it after importing Lightning, because the import sets the level."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


def _wanted(devices: int, nodes: int) -> tuple[int, int]:
    """Return the number of devices per machine, and of machines; torchrun sets both itself."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        return local, int(os.environ["WORLD_SIZE"]) // local
    return devices, nodes


def _start_others(devices: int, nodes: int) -> list[subprocess.Popen[bytes]]:
    """Start the same command line once more for each further device of this machine.

    Fabric's own launcher does the same, but its observer kills the first process before that can report what happened.
    """
    from lightning_fabric.plugins.environments.lightning import find_free_network_port

    if nodes > 1 and not {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK"} <= os.environ.keys():
        raise UserError("nodes-without-launcher", nodes=nodes)
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", str(find_free_network_port()))
    os.environ.setdefault("NODE_RANK", "0")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // devices)))
    os.environ["WORLD_SIZE"], os.environ["LOCAL_RANK"] = str(devices * nodes), "0"
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    command = [sys.executable, "-m", "harness.cli", *sys.argv[1:]]
    children = [subprocess.Popen(command, env={**os.environ, "LOCAL_RANK": str(i)}) for i in range(1, devices)]
    threading.Thread(target=_end_if_one_dies, args=(children,), daemon=True).start()
    return children


def _end_if_one_dies(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """End this process if another one died and its absence is not noticed, as in a collective operation of GPUs."""
    while not any(child.poll() for child in children):
        time.sleep(1)
    time.sleep(GRACE)
    print(f"error: {_lost('a process has ended')}", file=sys.stderr, flush=True)
    _end(children, 0)
    os._exit(2)


def _end(children: Sequence[subprocess.Popen[bytes]], grace: float = GRACE) -> None:
    end = time.monotonic() + grace
    for child in children:
        try:
            child.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _connect(device: torch.device, devices: int, nodes: int, precision: str) -> World:
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    backend = "nccl" if device.type == "cuda" else "gloo"
    strategy = DDPStrategy(
        process_group_backend=backend, timeout=STEP, find_unused_parameters=True, broadcast_buffers=False
    )
    fabric = Fabric(
        accelerator=device.type,
        devices=devices,
        num_nodes=nodes,
        strategy=strategy,
        precision=precision,  # type: ignore[arg-type]
    )
    fabric.launch()
    groups = {"answers": dist.new_group(timeout=STEP), "host": dist.new_group(timeout=WAIT, backend="gloo")}
    return World(fabric.device, fabric.global_rank, fabric.world_size, fabric, groups)


@contextmanager
def report_lost_process() -> Iterator[None]:
    """Re-raise errors caused by a lost peer process as a UserError that says so."""
    try:
        yield
    except RuntimeError as error:
        text = first_line(error)
        if not any(word in text.lower() for word in LOST):
            raise
        raise _lost(text[:200]) from error


def _lost(what: str) -> UserError:
    return UserError("process-lost", what=what, how=CONTINUE)
