"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as harness.cli does, before torch is loaded
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run in two processes

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the cache of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ABAW_ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real talking-face videos beside the checkout (see CONTRIBUTING)."""
    folder = ROOT.parent / "shared" / "real"
    if not (folder / "videos").is_dir():
        pytest.skip("the real videos are not beside this checkout (../shared/real)")
    return folder
