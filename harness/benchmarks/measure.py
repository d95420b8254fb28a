"""Measuring on a machine that others use too: alternating rounds, medians, spreads, memory of a child process.

A result here is a rate or a ratio of rates that were measured in turn (A B, B A, A B, ...), so that anything that slows
the machine for a while slows both. Ratios are taken within a round; the median over rounds is reported with its range.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from harness.runtime.machine import cores, memory_gb, processor
from zoo.libraries import version

Work = Callable[[], float | tuple[float, float]]
"""Does its work once and returns the number of units; with seconds too if it measures the time itself."""


@dataclass(frozen=True)
class Rates:
    """Units per second of one candidate, one value per round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median in units per second."""
        return statistics.median(self.rounds)

    @property
    def half_range(self) -> float:
        """Half the range over the median: 0.1 means that rounds lie within about 10 % of it."""
        return (max(self.rounds) - min(self.rounds)) / 2 / self.median

    def over(self, other: Rates) -> Ratio:
        """Return the ratio to another candidate of the same measurement."""
        return Ratio(tuple(a / b for a, b in zip(self.rounds, other.rounds, strict=True)))


@dataclass(frozen=True)
class Ratio:
    """A ratio of rates, one value per round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The ratio to report."""
        return statistics.median(self.rounds)

    @property
    def low(self) -> float:
        """The ratio in the worst round."""
        return min(self.rounds)

    @property
    def high(self) -> float:
        """The ratio in the best round."""
        return max(self.rounds)


def interleaved(
    candidates: Mapping[str, Work], *, rounds: int = 3, warmup: int = 1, tick: Callable[[str], object] | None = None
) -> dict[str, Rates]:
    """Measure candidates in turn; every second round runs backwards.

    ``warmup`` rounds before are not counted. ``tick`` is called with the name of each candidate that has been run (for
    a progress bar).
    """
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for i in range(warmup + rounds):
        for name in names if i % 2 == 0 else names[::-1]:
            began = time.perf_counter()
            done = candidates[name]()
            units, seconds = done if isinstance(done, tuple) else (done, time.perf_counter() - began)
            if i >= warmup:
                rates[name].append(units / max(seconds, 1e-9))
            if tick is not None:
                tick(name)
    return {name: Rates(tuple(values)) for name, values in rates.items()}


# --- memory -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Child:
    """Outcome of a call in a process of its own.

    Its result (plain data), seconds of the whole process with its imports, and the peak resident memory (MB,
    memory-mapped files included).
    """

    result: Any
    seconds: float
    peak_mb: float


def in_child(target: str, *args: Any, threads: int | None = None) -> Child:
    """Call ``module:function`` with plain arguments (JSON) in a new process.

    Raise RuntimeError with the end of its output if it fails. ``threads``: for OpenMP.
    """
    env = dict(os.environ)
    env.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if threads is not None:
        env["OMP_NUM_THREADS"] = str(threads)
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "harness.benchmarks.subprocess_entry", target, json.dumps(args)],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    seconds = time.perf_counter() - began
    line = next((x for x in reversed(done.stdout.splitlines()) if x.startswith("CHILD ")), None)
    if done.returncode or line is None:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise RuntimeError(f"{target}: {said[-1] if said else f'exit code {done.returncode}'}")
    told = json.loads(line.removeprefix("CHILD "))
    return Child(told["result"], seconds, told["peak_mb"])


# --- the machine ------------------------------------------------------------------------------------------------------


class Machine(TypedDict):
    """Machine on which measurements were taken. Memory is in GB; ``load``: of the last minute."""

    processor: str
    cores: int
    memory_gb: int | None
    system: str
    load: float | None
    threads: int
    python: str
    versions: dict[str, str | None]
    bf16: bool
    gpus: list[str]
    date: str
    commit: str | None


def machine() -> Machine:
    """Return processor, cores, memory, load, versions, GPUs, date and commit of this machine. Imports torch."""
    import torch

    from harness.runs.recording import commit
    from zoo.layers.precision import computes_bfloat16

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "processor": processor(),
        "cores": cores(),
        "memory_gb": memory_gb(),
        "system": platform.system(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "torchvision", "opencv-python", "av")},
        "bf16": computes_bfloat16(torch.device("cpu")),
        "gpus": gpus,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": commit(),
    }


def describe(known: Machine) -> str:
    """Return one line that describes a machine."""
    memory = f", {known['memory_gb']} GB" if known.get("memory_gb") else ""
    gpu = ", ".join(known["gpus"]) if known.get("gpus") else "no GPU"
    load = f", load {known['load']} at the start" if known.get("load") is not None else ""
    commit = f", commit {made[:12]}{'+' * made.endswith('+')}" if (made := known.get("commit")) else ""
    return (
        f"{known['processor']}, {known['cores']} cores{memory}, {gpu}; Python {known['python']}, torch "
        f"{known['versions']['torch']}, {known['threads']} threads{load}; {known['date']}{commit}"
    )
