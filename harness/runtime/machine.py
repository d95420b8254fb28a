"""Describe this machine and this installation. Light: only ``try_imports`` imports libraries, in a child process."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from zoo.libraries import HEAVY, version

PROJECT = "abaw-zoo"


def processor() -> str:
    """Return the processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gb() -> int | None:
    """Return the memory of the machine in GB; None if the system does not report it."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (ValueError, OSError, AttributeError):
        return None


# --- installed distributions ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """An installed distribution whose version is not the one that this project was tested with."""

    name: str
    installed: str
    pinned: str

    def __str__(self) -> str:
        return f"{self.name} {self.installed} (tested with {self.pinned})"


def pinned() -> dict[str, str]:
    """Return the versions that this project was tested with, by canonical name, for this Python.

    They are those of constraints.txt in the checkout. Without a checkout they are those that the package itself pins
    (torch, torchvision, torchaudio).
    """
    file = Path(__file__).parents[2] / "constraints.txt"
    lines = (
        file.read_text(encoding="utf-8").splitlines() if file.is_file() else importlib.metadata.requires(PROJECT) or []
    )
    wanted = (Requirement(line) for line in lines if line and not line.startswith("#"))
    return {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in wanted
        if str(one.specifier).startswith("==") and (one.marker is None or one.marker.evaluate({"extra": ""}))
    }


def differences() -> list[Difference]:
    """Return every installed distribution that is pinned to another version.

    Local parts of versions (+cpu) are ignored.
    """
    found = []
    for name, tested in sorted(pinned().items()):
        installed = version(name)
        if installed is not None and installed.partition("+")[0] != tested:
            found.append(Difference(name, installed, tested))
    return found


def extras() -> dict[str, bool]:
    """Return this project's extras, each with True if all that it needs is installed."""
    found: dict[str, bool] = {}
    for line in importlib.metadata.requires(PROJECT) or ():
        try:
            one = Requirement(line)
        except InvalidRequirement:
            continue
        for extra in re.findall(r"extra == ['\"]([\w-]+)['\"]", str(one.marker or "")):
            found[extra] = found.get(extra, True) and version(one.name) is not None
    return found


def folder_size(folder: Path) -> int:
    """Return the size of all files below a folder in bytes."""
    total = 0
    for top, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(top, name)).st_size
            except OSError:
                continue  # the file was removed meanwhile
    return total


# --- trial imports ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Import:
    """A library, and the reason why it cannot be imported; None if it can."""

    name: str
    error: str | None


class Device(TypedDict):
    """A device by torch's name: whether it computes in bfloat16 natively, and its memory in GB if it is not the CPU."""

    name: str
    bf16: bool
    memory_gb: NotRequired[int]


class Report(TypedDict, total=False):
    """A line of the child: the outcome for a library, or the devices."""

    name: str
    error: str | None
    devices: dict[str, Device]


def try_imports(names: Sequence[str] = tuple(HEAVY)) -> tuple[list[Import], dict[str, Device]]:
    """Import libraries one after the other in a child process; return the outcomes and the devices that torch finds.

    If a library kills the process, it is named as the cause, and the rest is tried in another process.
    """
    found: list[Import] = []
    devices: dict[str, Device] = {}
    waiting = list(names)
    while waiting:
        answers, end = _child(waiting)
        for answer in answers:
            if "devices" in answer:
                devices = answer["devices"]
            else:
                found.append(Import(answer["name"], answer["error"]))
                waiting.remove(answer["name"])
        if waiting and end:
            found.append(Import(waiting.pop(0), end))
        elif waiting:
            break
    return found, devices


def _child(names: Sequence[str]) -> tuple[list[Report], str]:
    """Return the child's reports, one line per library, and how the child ended if it died."""
    command = [sys.executable, "-m", "harness.runtime.machine", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answers = [json.loads(line.removeprefix("IMPORT ")) for line in _told(done.stdout)]
    if not done.returncode:
        return answers, ""
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    last = next(reversed(done.stderr.strip().splitlines()), "")
    return answers, f"the process that imported it ended with {how}" + (f": {last}" if last else "")


def _told(output: str) -> Iterator[str]:
    return (line for line in output.splitlines() if line.startswith("IMPORT "))


def _import_all(names: Sequence[str]) -> None:
    """Report, in the child, for each library whether it can be imported, then the devices."""
    import importlib

    for name in names:
        error = None
        try:
            importlib.import_module(name)
        except Exception as reason:  # a library may fail to load with any exception
            error = f"{type(reason).__name__}: {' '.join(str(reason).split())[:300]}"
        print("IMPORT " + json.dumps({"name": name, "error": error}), flush=True)
    if "torch" in sys.modules:
        print("IMPORT " + json.dumps({"devices": _devices()}), flush=True)


def _devices() -> dict[str, Device]:
    """Return the devices that torch finds, by name."""
    import torch

    from zoo.layers.precision import computes_bfloat16

    found: dict[str, Device] = {"cpu": {"name": processor(), "bf16": computes_bfloat16(torch.device("cpu"))}}
    for i in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(i)
        found[f"cuda:{i}"] = {
            "name": device.name,
            "memory_gb": round(device.total_memory / 2**30),
            "bf16": computes_bfloat16(torch.device("cuda", i)),
        }
    return found


if __name__ == "__main__":
    _import_all(sys.argv[1:])
