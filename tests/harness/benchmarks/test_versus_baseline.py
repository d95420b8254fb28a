"""The baseline and the harness side by side, on crumbs: every row is there, and both do the same work."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.benchmarks import baseline, versus_baseline
from harness.benchmarks.tables import HEADS, SPEED
from harness.benchmarks.versus_baseline import Sides
from harness.benchmarks.workload import own_cache
from harness.training import compiling
from tests.support.frozen import CPU
from tests.support.program import Program
from zoo.layers.precision import computes_bfloat16


@pytest.fixture
def small(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sides:
    """Sequences of 4 frames, batches of 2, pictures of 112."""
    text = Path(versus_baseline.RECIPE).read_text().replace("clip = 16", "clip = 4").replace("batch = 16", "batch = 2")
    (tmp_path / "seed.toml").write_text(text)
    monkeypatch.setattr(versus_baseline, "RECIPE", str(tmp_path / "seed.toml"))
    monkeypatch.setattr(baseline, "BATCH", 2)
    monkeypatch.setattr(baseline, "LENGTH", 4)
    # A process of its own would not know of these sizes; that one measures: test_measure.py.
    monkeypatch.setattr(
        versus_baseline, "_in_its_own_process", lambda what, data: getattr(versus_baseline, f"field_{what}")(data)
    )
    monkeypatch.setattr(versus_baseline, "CACHED_STEPS", 2)
    monkeypatch.setattr(compiling, "BACKEND", "eager")  # the compiler itself takes minutes
    monkeypatch.setattr(versus_baseline, "FROZEN", dict([next(iter(versus_baseline.FROZEN.items()))]))
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    return Sides(str(program.demo), 1, False, str)


@pytest.mark.slow
def test_both_are_measured(small: Sides) -> None:
    bf16 = computes_bfloat16(CPU)
    small = Sides(small.data, 1, bf16, str)
    with own_cache():
        rows = [*small.loading(), *small.training(), *small.evaluation()]
    assert [row.cells[0].split(",")[0] for row in rows] == [
        "face loader",
        "the same",
        "training",
        *["the same in float32"] * bf16,
        "the same with --compile",
        f"the same in {'bf16' if bf16 else 'float32'}",
        "epochs after the first",
        "evaluation of that network",
    ]
    assert all(row.section == SPEED and len(row.line()) == len(HEADS[SPEED]) for row in rows)
    assert [row.wanted for row in rows] == [">= 5", "", ">= 1.8", *[""] * bf16, "", ">= 0.95", ">= 100", ""]


def test_the_networks_are_the_same(small: Sides) -> None:
    own = sum(p.numel() for p in small._model(small.job).parameters())
    assert own - sum(p.numel() for p in baseline.Network().parameters()) == 512  # the vector that stands for no face
