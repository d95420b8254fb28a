"""A few kills of two stages; the whole count is `kills.py`. And: it tells what is not as it should be.

Killed packs, trainings, crops and sweeps have tests of their own beside the code.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks.kill_stages import Stage, stages
from tests.benchmarks.kills import disturb


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages(tmp_path_factory.mktemp("kills"))}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["demo", "submit"])
def test_a_killed_stage_comes_to_the_same_end(known: dict[str, Stage], tmp_path: Path, name: str) -> None:
    tally = disturb(known[name], tmp_path / name, 2, random.Random(0), told=False)
    assert tally.wrong == []
    assert tally.kills == 2
    assert tally.resumed >= 1


class Early(random.Random):
    """Kills as soon as may be, so that no stage ends before."""

    def uniform(self, a: float, b: float) -> float:
        return a


@pytest.mark.slow
def test_what_is_wrong_is_told(known: dict[str, Stage], tmp_path: Path) -> None:
    """A stage that finds something half-written after each kill, ends otherwise each time and leaves something."""
    odd = replace(
        known["demo"],
        accepted=lambda _: ["half"],
        outcome=lambda place: place.name,
        left=lambda place: [place / "part"],
    )
    tally = disturb(odd, tmp_path, 1, Early(0), told=False)
    assert [line.partition(":")[0] for line in tally.wrong] == ["after a kill", "another result", "left behind"]
