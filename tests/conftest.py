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

from tests.support.paths import SHARED
from tests.support.program import CRUMB_FRAMES, CRUMB_VIDEOS, Program, read_record

# How long an example takes says something of the machine, and of what else it does, not of the code.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


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
