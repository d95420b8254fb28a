"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as harness.cli does, before torch is loaded
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run in two processes

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from tests.support.paths import SHARED, TESTS
from tests.support.program import CRUMB_FRAMES, CRUMB_VIDEOS, Program, read_record

# How long an example takes says something of the machine, and of what else it does, not of the code.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

DATA = {"program", "real"}  # fixtures: whoever asks for one has a data set
CHILDREN = {"subprocess", "Program", "make_demo", "make_demo_set", "in_child", "launcher", "pool"}  # names in a module
LONG = (
    "plugins/encoders",
    "zoo/testing",
    "zoo/test_everything_registered.py",
    "zoo/test_examples.py",
    "docs",
)  # build or train networks, run examples, read every page: a minute in all


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs no data set and no child process as `unit`, what the `fuzz` of tests/benchmarks is as `slow`."""
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        if "fuzz" in marks and "slow" not in marks:
            item.add_marker(pytest.mark.slow)
        if marks & {"slow", "fuzz", "gpu"} or DATA & set(getattr(item, "fixturenames", ())):
            continue
        module = getattr(item, "module", None)
        long = item.path.relative_to(TESTS).as_posix().startswith(LONG)
        if not long and not CHILDREN & set(vars(module)):
            item.add_marker(pytest.mark.unit)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the cache of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ABAW_ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all worker processes of this test run have in common."""
    root = tmp_path_factory.getbasetemp()
    return root.parent if "PYTEST_XDIST_WORKER" in os.environ else root


@pytest.fixture(scope="session")
def program(shared_folder: Path) -> Program:
    """The program with a crumb of a demo set, drawn once, and one cache: features of the crumb are computed once."""
    from harness.data.synthetic import make_demo

    root = shared_folder / "program"
    with FileLock(shared_folder / "program.lock"):
        make_demo(root / "crumb", videos=CRUMB_VIDEOS, frames=CRUMB_FRAMES, jobs=1, progress=False)
    return Program(root / "cache", root / "crumb")


@pytest.fixture(scope="session", autouse=True)
def _count_a_fusion_once() -> Iterator[None]:
    """What a fusion and its heads cost is counted once for all runs of a worker: it takes as long as training on the
    crumb does. tests/zoo/model/test_cost.py has the function itself, which it imports before this."""
    import torch

    from zoo.model import cost

    known: dict[object, int | None] = {}
    plain = cost.fusion_adds

    def attributes(module: torch.nn.Module) -> tuple[object, ...]:
        shown = {name: repr(value) for name, value in vars(module).items() if not name.startswith("_")}
        return type(module), tuple(shown.items()), tuple((n, p.shape) for n, p in module.state_dict().items())

    def fusion_adds(model: torch.nn.Module, dims: dict[str, int], length: int) -> int | None:
        same = (tuple(map(attributes, model.modules())), tuple(dims.items()), length)
        if same not in known:
            known[same] = plain(model, dims, length)
        return known[same]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost, "fusion_adds", fusion_adds)
        yield


@pytest.fixture(scope="session")
def record() -> Callable[[Path], dict[str, Any]]:
    """Reads a run's record."""
    return read_record


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real talking-face videos beside the checkout (see CONTRIBUTING)."""
    folder = SHARED / "real"
    if not (folder / "videos").is_dir():
        pytest.skip("the real videos are not beside this checkout (../shared/real)")
    return folder
