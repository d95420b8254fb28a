"""Work in processes: failures are data, a dead worker takes only the culprit, a dead parent leaves none behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from harness.runtime.launchers import Failure
from harness.runtime.process_pool import Tick, _Progress, run_jobs
from tests.support.refusals import refused
from zoo.errors import UserError


def work(item: str, tick: Tick) -> str:
    tick(0.5)
    if item == "user":
        raise UserError("user: a mistake in the file")
    if item == "fault":
        raise ValueError("two\nlines")
    if item == "die":
        os._exit(9)
    if item == "full":
        raise OSError(errno.ENOSPC, "No space left on device")
    if item == "slow":
        time.sleep(60)
    return item.upper()


def pooled(task: Callable[[Any, Tick], Any], items: list[Any], sizes: list[int]) -> Generator[tuple[int, Any]]:
    paths = [Path(item) for item in items]
    yield from run_jobs(task, items, paths, sizes, jobs=2, label="test", progress=False)


def outcomes(items: list[str], jobs: int) -> dict[str, object]:
    paths = [Path(item) for item in items]
    done = run_jobs(work, items, paths, [10] * len(items), jobs=jobs, label="test", progress=False)
    return {items[place]: outcome for place, outcome in done}


@pytest.mark.parametrize("jobs", [1, 2])
def test_failures_are_told_and_the_rest_is_done(jobs: int) -> None:
    found = outcomes(["a", "user", "fault", "b"], jobs)
    assert found["a"] == "A"
    assert found["b"] == "B"
    assert found["user"] == Failure("user: a mistake in the file", "user")
    assert found["fault"] == Failure("fault: ValueError: two lines", "fault")


def test_a_worker_that_dies_takes_only_its_file() -> None:
    found = outcomes(["a", "b", "die", "c"], 2)
    assert [found[name] for name in "abc"] == ["A", "B", "C"]
    assert "die: the process that worked on it died" in str(found["die"])


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_full_disk_stops_everything(jobs: int) -> None:
    with refused("disk-full", file="full"):
        outcomes(["a", "full", "b"], jobs)


def test_nothing_to_do() -> None:
    assert outcomes([], 1) == outcomes([], 4) == {}


class Counting:
    """A task that keeps something from file to file, as a detector is kept."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, item: str, tick: Tick) -> int:
        self.seen += 1
        return self.seen


def test_a_worker_keeps_what_its_task_keeps() -> None:
    found = [outcome for _, outcome in pooled(Counting(), list("abcde"), [10] * 5)]
    assert sum(found) >= 1 + 2 + 1 + 2 + 3  # shared out over two workers at most
    assert max(found) >= 3


def half_write(folder: Path, tick: Tick) -> None:
    part = folder / "part"
    try:
        part.touch()
        if folder.name == "slow":
            time.sleep(60)
    finally:
        part.unlink()


def test_leaving_early_lets_workers_clear_away(tmp_path: Path) -> None:
    quick, slow = tmp_path / "quick", tmp_path / "slow"
    quick.mkdir()
    slow.mkdir()
    done = pooled(half_write, [slow, quick], [20, 10])
    assert next(done) == (1, None)
    wait_until = time.monotonic() + 20
    while not (slow / "part").exists() and time.monotonic() < wait_until:
        time.sleep(0.01)
    assert (slow / "part").exists()
    done.close()
    assert not (slow / "part").exists()


def test_the_bar_counts_shares_and_begins_again_with_a_file_that_is_tried_again() -> None:
    with tqdm(total=40, disable=True) as bar:
        shown: list[int] = []
        bar.update = lambda n=1: setattr(bar, "n", bar.n + n) or shown.append(bar.n)
        progress = _Progress(bar, [10, 30])
        for place, share in [(0, 0.5), (1, 0.1), (0, 0.2), (0, 1.0), (1, 1.0)]:
            progress(place, share)
    assert shown == [5, 8, 5, 13, 40]


SCRIPT = """
from tests.harness.runtime.test_process_pool import outcomes
if __name__ == "__main__":
    outcomes(["slow", "slow"], 2)
"""


def test_workers_leave_with_a_killed_parent(tmp_path: Path) -> None:
    if not Path("/proc").is_dir():
        pytest.skip("looks for processes in /proc")
    script = tmp_path / "parent.py"
    script.write_text(SCRIPT)
    parent = subprocess.Popen([sys.executable, str(script)])
    try:
        deadline = time.time() + 30
        while len(workers := spawned_by(parent.pid)) < 2 and time.time() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        assert len(workers) == 2
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.time() + 10
    while any(map(alive, workers)) and time.time() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, workers))


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def spawned_by(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            stat = (entry / "stat").read_text() if entry.name.isdigit() else ""
            command = (entry / "cmdline").read_bytes() if stat else b""
        except OSError:  # gone meanwhile
            continue
        if stat and int(stat.rsplit(")", 1)[1].split()[1]) == parent and b"spawn_main" in command:
            found.append(int(entry.name))
    return found
