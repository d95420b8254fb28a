"""Workers on a Ray cluster (extra ``ray``): the one that ``$RAY_ADDRESS`` names, or a temporary one on this machine.

Results are files, so all nodes must share the folders of data, runs and cache (``$ABAW_ZOO_CACHE``) under the same
paths, and have this program installed.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.runtime.launchers.outcomes import Failure, Launch, Outcome, attempt
from harness.runtime.machine import cores
from zoo.errors import UserError

TRIES = 2  # tries of an item whose worker dies, as with local processes
NODES = 6  # tries of an item whose node is lost, which is not the item's fault
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run` Ray would pack the working folder and install it again
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
}
OWN_CLUSTER = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # despite its name: listen on 127.0.0.1 only
    "RAY_worker_niceness": "0",  # the priority of local processes; at Ray's 15 a busy machine hardly runs them
}
PASSED = ("ABAW_ZOO_CACHE", "XDG_CACHE_HOME", "OMP_WAIT_POLICY")


@contextmanager
def cluster(jobs: int | None, *, gpus: int = 0) -> Iterator[Launch]:
    """Connect to the cluster; ``gpus`` is the number of this machine's GPUs, for a cluster that is started here."""
    address, scratch = os.environ.get("RAY_ADDRESS"), None
    wanted = QUIET if address else QUIET | OWN_CLUSTER
    os.environ.update({name: value for name, value in wanted.items() if name not in os.environ})
    try:
        import ray
    except ImportError:
        raise UserError("ray-missing") from None
    own: dict[str, Any] = {}
    if not address:
        scratch = Path(tempfile.mkdtemp(prefix="ray-"))  # a short path, because it holds sockets
        own = {"num_cpus": jobs or cores(), "num_gpus": gpus, "include_dashboard": False, "_temp_dir": str(scratch)}
    try:
        try:
            ray.init(
                address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=True,
                runtime_env={"env_vars": _environment()},
                **own,
            )
        except ConnectionError as error:
            raise UserError("ray-no-cluster", address=address, names=" ".join(str(error).split())) from None
        _hush()
        yield _Workers(ray, jobs)
    finally:
        ray.shutdown()
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _environment() -> dict[str, str]:
    """Return the environment variables of a worker: where to find modules and the cache."""
    found = {name: os.environ[name] for name in PASSED if name in os.environ}
    found["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if Path(path).is_dir())
    return found


class _Workers:
    """A launcher that hands out items as CPUs become free."""

    remote = True

    def __init__(self, ray: Any, jobs: int | None) -> None:
        self.ray = ray
        there = ray.cluster_resources()
        cpus = max(1, int(there.get("CPU", 1)))
        self.workers = min(jobs or cpus, cpus)
        self.gpus = min(1.0, there.get("GPU", 0) / self.workers)
        threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, cpus // self.workers))
        self.environment = {"env_vars": {**_environment(), "OMP_NUM_THREADS": threads}}

    def __call__(self, task: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Outcome]:
        """Yield (index, result or Failure) as they finish."""
        remote = self.ray.remote(_attempt).options(
            num_cpus=1, num_gpus=self.gpus, max_retries=0, runtime_env=self.environment
        )
        waiting = deque((place, 0, 0) for place in range(len(items)))  # index, deaths of its worker, of its node
        busy: dict[Any, tuple[int, int, int]] = {}
        here = os.getcwd()
        while waiting or busy:
            while waiting and len(busy) < self.workers:
                now = waiting.popleft()
                busy[remote.remote(here, task, items[now[0]])] = now
            ready, _ = self.ray.wait(list(busy), num_returns=1)
            place, deaths, nodes = busy.pop(ready[0])
            try:
                yield place, self.ray.get(ready[0])
            except self.ray.exceptions.RayError as error:
                lost = isinstance(error, self.ray.exceptions.NodeDiedError)
                deaths, nodes = (deaths, nodes + 1) if lost else (deaths + 1, nodes)
                if deaths < TRIES and nodes < NODES:
                    waiting.append((place, deaths, nodes))
                    continue
                what = f"the nodes that worked on it were lost {nodes} times" if lost else _death(error)
                yield place, Failure(what)


def _death(error: Exception) -> str:
    return f"the process that worked on it died {TRIES} times: {' '.join(str(error).split()):.200}"


def _hush() -> None:
    """Stop Ray from printing a paragraph for every dead worker, which is reported here as one line of a failure.

    Ray has no setting for it. A version of Ray that prints it elsewhere will still print it.
    """
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


def _attempt(folder: str, task: Callable[[Any], Any], item: Any) -> Any:
    """Do one item in a worker, in the caller's working folder, because paths may be relative."""
    if Path(folder).is_dir():
        os.chdir(folder)
    return attempt(task, item)
