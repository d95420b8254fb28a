"""The same work in processes of this machine and over Ray: failures are data, deaths are one item's affair."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.runtime.launchers import Failure, launcher
from tests.support.launch_tasks import die_once, log_run, whoami, work
from tests.support.refusals import Part, refused

RAY = pytest.param(
    "ray",
    marks=[pytest.mark.slow, pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (extra ray)")],
)
KINDS = ["local", RAY]
ITEMS = ["a", "user", "fault", "die", "b"]


def outcomes(kind: str, items: Sequence[str], jobs: int) -> dict[str, object]:
    with launcher(kind, jobs) as launch:
        return {items[place]: outcome for place, outcome in launch(work, items)}


@pytest.mark.parametrize("kind", KINDS)
def test_failures_are_told_and_the_rest_is_done(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    found = outcomes(kind, ITEMS, 2)
    assert list(map(found.get, "ab")) == ["A", "B"]
    assert found["user"] == Failure("user: a mistake in the file")
    assert str(found["fault"]) == "ValueError: two lines"
    assert isinstance(found["fault"], Failure)
    assert "in work" in found["fault"].trace
    assert str(found["die"]).startswith("the process that worked on it died 2 times")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_dies_once_costs_nothing(kind: str, tmp_path: Path) -> None:
    with launcher(kind, 2) as launch:
        found = [outcome for _, outcome in launch(die_once, [tmp_path / "a", tmp_path / "b"])]
    assert sorted(map(str, found)) == ["a", "b"]


def test_workers_stay_and_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("harness.runtime.launchers.local.cores", lambda: 8)
    with launcher("local", 2) as launch:
        first = [outcome for _, outcome in launch(whoami, range(6))]
        second = [outcome for _, outcome in launch(whoami, range(6))]
    assert len({pid for pid, _ in first + second}) <= 2
    assert os.getpid() not in {pid for pid, _ in first}
    assert {threads for _, threads in first} == {"4"}
    assert "OMP_NUM_THREADS" not in os.environ


def test_one_worker_and_nothing_to_do() -> None:
    assert outcomes("local", ["a", "die", "b"], 1).keys() == {"a", "die", "b"}
    assert outcomes("local", [], 4) == {}


def test_leaving_early_ends_the_workers(tmp_path: Path) -> None:
    with launcher("local", 2) as launch:
        items = [(tmp_path, "quick", 0.0), (tmp_path, "slow", 60.0), (tmp_path, "never", 0.0)]
        begun = time.monotonic()
        assert next(iter(launch(log_run, items)))[1] == "quick"
    assert time.monotonic() - begun < 30
    assert not (tmp_path / "slow").exists()


def test_an_unknown_launcher() -> None:
    with refused("launcher-unknown", kind="rya", hint=Part("ray")), launcher("rya"):
        pass


def test_ray_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with refused("ray-missing"), launcher("ray"):
        pass


NODES = """
import logging, os, sys, threading, time
from pathlib import Path
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
from ray.cluster_utils import Cluster
from harness.runtime.launchers import launcher
from tests.support.launch_tasks import log_run

logging.getLogger("ray").setLevel(logging.ERROR)
folder = Path(sys.argv[1])
cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": 1, "include_dashboard": False}})
second = cluster.add_node(num_cpus=1)
os.environ["RAY_ADDRESS"] = cluster.address
items = [(folder, f"item-{{i}}", 0.2 if i < 4 else 3.0) for i in range(8)]


def take_away():
    begun, long = folder / "begun", [name for _, name, seconds in items if seconds > 1]
    while not any(f"{{name}} {{second.node_id}}" in (begun.read_text() if begun.exists() else "") for name in long):
        time.sleep(0.05)
    cluster.remove_node(second, allow_graceful=False)


with launcher("ray") as launch:
    assert launch.workers == 2, launch.workers
    thread = threading.Thread(target=take_away, daemon=True)
    thread.start()
    found = dict(launch(log_run, items))
    thread.join(30)
    assert not thread.is_alive(), "the second node was given no long item"
cluster.shutdown()
for place in sorted(found):
    print(found[place])
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (extra ray)")
def test_a_node_that_is_taken_away_loses_nothing(tmp_path: Path) -> None:
    code = NODES.format()
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == [f"item-{i}" for i in range(8)]
    begun = [line.split()[0] for line in (tmp_path / "begun").read_text().splitlines()]
    assert set(begun) == {f"item-{i}" for i in range(8)}
    assert len(begun) == 9, begun  # the one that was under way on the lost node, once more
    assert all(begun.count(f"item-{i}") == 1 for i in range(4))


def test_the_callers_script_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from harness.runtime.launchers import launcher\n"
        "from tests.support.launch_tasks import work\n"
        "print('begins', flush=True)\n"
        "with launcher('local', 2) as launch:\n"
        "    print(sorted(launch(work, ['a', 'b'])), flush=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "begins\n[(0, 'A'), (1, 'B')]\n"
