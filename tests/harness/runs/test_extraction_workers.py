"""Extraction over workers leaves in the cache what one process leaves there."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from harness.config.schema import load_config
from harness.runs.job import make_job, prepare_shared
from harness.sweeps.entries import Entry
from harness.sweeps.run import _of_slots, frozen_union

RAY = pytest.param("ray", marks=pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (extra ray)"))


def entries(cache: Path) -> dict[str, np.ndarray]:
    """Key -> features of everything in a cache."""
    return {path.parent.name: np.load(path) for path in (cache / "features").rglob("features.npy")}


@pytest.fixture(scope="module")
def alone(program, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    one = replace(program, cache=tmp_path_factory.mktemp("alone"))
    answer = one("data", "extract", program.demo, "--encoders", "face,context")
    assert answer.code == 0, answer.err
    return entries(one.cache)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["local", RAY])
def test_workers_compute_the_same(program, alone: dict[str, np.ndarray], tmp_path: Path, kind: str) -> None:
    many = replace(program, cache=tmp_path)
    command = ("data", "extract", program.demo, "--encoders", "face,context", "--launcher", kind, "--jobs", 2)
    answer = many(*command)
    assert answer.code == 0, answer.err
    found = entries(tmp_path)
    assert answer.out == f"10 videos, 2 slots: {len(alone)} computed, the rest were in the cache\n"
    assert found.keys() == alone.keys()
    assert all(np.array_equal(found[key], alone[key]) for key in alone)
    assert many(*command).out == "10 videos, 2 slots: 0 computed, the rest were in the cache\n"


def test_the_slots_of_all_combinations_under_names_of_their_own(program) -> None:
    flags = {"data_dir": str(program.demo), "head": "gru", "fusion": "late"}
    ground = prepare_shared(load_config("demo", flags, []), progress=False)
    sets = ["features.chunk=32"]
    lists = ("face", "face=timm:resnet18,context", "context.b,audio")
    jobs = [make_job(load_config("demo", {**flags, "encoders": text}, sets), shared=ground) for text in lists]
    union = frozen_union([Entry(job.config, 1, job) for job in jobs])
    assert [str(slot.slot) for slot in union] == ["face=lite0", "face=timm:resnet18", "context=lite0"], (
        "audio is trained"
    )
    config = _of_slots(jobs[0].config, union)
    assert config.encoders == "face=lite0,face.1=timm:resnet18,context.2=lite0"
    assert config.features.chunk == 32
    again = make_job(config, shared=ground).plan.slots
    for one, other in zip(again, union, strict=True):
        assert (one.stream, one.encoder, one.options) == (other.stream, other.encoder, other.options)
        assert (one.slot.argument, str(one.passport)) == (other.slot.argument, str(other.passport))
        assert one.frozen
