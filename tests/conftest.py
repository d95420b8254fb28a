"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as harness.cli does, before torch is loaded
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run in two processes

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real talking-face videos beside the checkout (see CONTRIBUTING)."""
    folder = ROOT.parent / "shared" / "real"
    if not (folder / "videos").is_dir():
        pytest.skip("the real videos are not beside this checkout (../shared/real)")
    return folder
