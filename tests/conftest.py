"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real talking-face videos beside the checkout (see CONTRIBUTING)."""
    folder = ROOT.parent / "shared" / "real"
    if not (folder / "videos").is_dir():
        pytest.skip("the real videos are not beside this checkout (../shared/real)")
    return folder
