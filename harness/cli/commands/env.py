"""`harness env`: the machine, the installation, and whether it works. Only a child process loads torch."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from typing import TypedDict

from harness.runtime import machine
from harness.runtime.machine import Device, Difference, Import
from harness.runtime.terminal import tabulate
from zoo.libraries import HEAVY, advice, version
from zoo.weights.cards import cache_dir

Facts = TypedDict(
    "Facts",
    {
        "abaw-zoo": str | None,
        "python": str,
        "executable": str,
        "platform": str,
        "processor": str,
        "cores": int,
        "memory_gb": int | None,
        "bfloat16": dict[str, bool],
        "cache": str,
        "cache_bytes": dict[str, int],
        "extras": dict[str, bool],
    },
)
"""Facts that need no heavy import."""


def env(as_json: bool) -> None:
    """Print machine, versions and imports; exit with code 1 and advice if a library does not load."""
    tried, devices = machine.try_imports()
    facts = _facts(devices)
    differ = machine.differences()
    broken = [one for one in tried if one.error is not None]
    if as_json:
        libraries = {HEAVY[one.name]: {"version": version(HEAVY[one.name]), "error": one.error} for one in tried}
        differing = [vars(one) for one in differ]
        print(json.dumps({**facts, "devices": devices, "libraries": libraries, "differences": differing}, indent=1))
    else:
        _print(facts, devices, tried, differ)
    for one in broken:
        print(f"error: {HEAVY[one.name]} cannot be loaded: {advice(one.name)}", file=sys.stderr)
    if broken:
        sys.exit(1)


def _facts(devices: Mapping[str, Device]) -> Facts:
    cache = cache_dir()
    parts = sorted(path for path in cache.iterdir() if path.is_dir()) if cache.is_dir() else []
    return {
        "abaw-zoo": version("abaw-zoo"),
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "processor": machine.processor(),
        "cores": machine.cores(),
        "memory_gb": machine.memory_gb(),
        "bfloat16": {name: device["bf16"] for name, device in devices.items()},
        "cache": str(cache),
        "cache_bytes": {path.name: machine.folder_size(path) for path in parts},
        "extras": machine.extras(),
    }


def _print(facts: Facts, devices: Mapping[str, Device], tried: list[Import], differ: list[Difference]) -> None:
    memory = f", {facts['memory_gb']} GB" if facts["memory_gb"] else ""
    rows = [
        ("abaw-zoo", facts["abaw-zoo"]),
        ("Python", f"{facts['python']} ({facts['executable']})"),
        ("platform", facts["platform"]),
        ("machine", f"{facts['processor']}, {facts['cores']} cores{memory}"),
        *((f"device {name}", _device(device)) for name, device in devices.items()),
        ("cache", facts["cache"]),
        *((f"cache {name}", f"{size / 1e6:,.1f} MB") for name, size in facts["cache_bytes"].items()),
        *((f"extra {name}", _extra(name, there)) for name, there in facts["extras"].items()),
    ]
    print(tabulate(rows, tablefmt="plain", disable_numparse=True))
    tested = machine.pinned()
    table = [
        (HEAVY[one.name], version(HEAVY[one.name]) or "missing", tested.get(HEAVY[one.name], ""), one.error or "yes")
        for one in tried
    ]
    print("\n" + tabulate(table, ["library", "installed", "tested with", "loads"], disable_numparse=True))
    if differ:
        print(f"\nnot the versions that this project was tested with: {', '.join(map(str, differ))}")


def _device(device: Device) -> str:
    memory = f", {device['memory_gb']} GB" if device.get("memory_gb") else ""
    return f"{device['name']}{memory}, {'with' if device['bf16'] else 'without'} bfloat16"


def _extra(name: str, there: bool) -> str:
    return "installed" if there else f"not installed: `uv sync --extra {name}`, or pip install 'abaw-zoo[{name}]'"
