"""Tasks for the launchers' tests; workers import them."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from zoo.errors import UserError


def work(item: str) -> str:
    """Do what the item says: fail, die, or return it in capitals."""
    if item == "user":
        raise UserError("user: a mistake in the file")
    if item == "fault":
        raise ValueError("two\nlines")
    if item == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return item.upper()


def die_once(path: Path) -> str:
    """Kill the process the first time."""
    if not path.exists():
        path.touch()
        os._exit(9)
    return path.name


def whoami(_: object) -> tuple[int, str | None]:
    """Return the process id and the number of threads."""
    return os.getpid(), os.environ.get("OMP_NUM_THREADS")


def log_run(item: tuple[Path, str, float]) -> str:
    """Note the start and the node of a Ray cluster, sleep, and leave a result."""
    folder, name, seconds = item
    ray = sys.modules.get("ray")
    node = ray.get_runtime_context().get_node_id() if ray is not None and ray.is_initialized() else "here"
    with (folder / "begun").open("a") as file:
        file.write(f"{name} {node}\n")
    time.sleep(seconds)
    (folder / name).write_text(name)
    return name
