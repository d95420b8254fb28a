"""Every script of this folder can be imported: most are run by hand only, and would else break unseen."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

SCRIPTS = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("test_"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_can_be_imported(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # several set it, for themselves
    assert import_module(f"tests.benchmarks.{name}").__doc__
