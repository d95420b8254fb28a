"""On a demo set context helps the face, and sound helps both; demo_scores.py tries three sets with three seeds."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.benchmarks.demo_scores import STEPS, comparisons, measure, report


@pytest.mark.slow
def test_each_further_stream_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    scored = measure(tmp_path, demos=1, seeds=1)
    print(report(scored))
    for less, more in pairwise(STEPS):
        won = sum(p < 0.05 and gain > 0 for _, _, step, gain, p in comparisons(scored) if step == f"{less} -> {more}")
        assert won == 1, f"{less} -> {more} did not help"
    assert all(s.block["main"] < 1.05 * s.ceiling for s in scored)
    assert all(s.block["main"] > 0.7 * s.ceiling for s in scored)
