"""Several seeds or folds in one run: a finished member is taken only if it belongs to the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.config.schema import load_config
from harness.runs.finished import data_circumstances
from harness.runs.identity import identity
from harness.runs.job import Job, make_job
from harness.runs.multi_run import _finished, mean_result, member_jobs
from leaderboards.record import Record
from tests.support.refusals import refused


@pytest.fixture
def member(program, tmp_path: Path) -> tuple[Job, Path]:
    """The first of two seeds, finished."""
    job = make_job(load_config("demo", {"data_dir": str(program.demo), "encoders": "face"}, []), progress=False)
    own = member_jobs(job, 2)["seed-0"]
    record = Record("seed-0", "done", result=identity(own), circumstances=data_circumstances(own, tmp_path))
    record.write(tmp_path / "record.json")
    return own, tmp_path


def test_a_finished_member_is_taken(member: tuple[Job, Path]) -> None:
    own, folder = member
    assert _finished(folder, own) is not None
    assert _finished(folder / "seed-1", own) is None


def test_a_member_with_other_settings_is_refused(member: tuple[Job, Path]) -> None:
    own, folder = member
    longer = replace(own, config=own.config.model_copy(update={"head": "lstm"}))
    with refused("resume-member-other", folder=folder, match="head"):
        _finished(folder, longer)


def test_a_member_with_other_groups_is_refused(member: tuple[Job, Path]) -> None:
    """Its interval is over other groups, and so are its cross-fitted parts."""
    own, folder = member
    together = tuple(replace(video, group="all") for video in own.index.videos)
    with refused("run-groups-changed", folder=folder):
        _finished(folder, replace(own, index=replace(own.index, videos=together), whole=None))


def test_the_mean_of_seeds_whose_records_lack_a_left_out_score() -> None:
    """NaN is null in a record that was read: one group has all labels of an answer."""
    block = {"main": 0.5, "leave_one_out": [None, 0.4], "parts": {}, "groups": ["a", "b"], "frames": 9, "videos": 2}
    result = {
        "scores": {"raw": block},
        "score_range": [-1, 1],
        "seeds": [0],
        "post": {},
        "selection_split": None,
        "epoch": 1,
        "epochs": 1,
        "n_selections": 0,
        "steps": 1,
    }
    mean = mean_result([Record("seed-0", "done", result=result), Record("seed-1", "done", result=result)])  # type: ignore[arg-type]
    found = mean["scores"]["raw"]
    assert np.isnan(found["leave_one_out"][0])
    assert (found["low"], found["high"]) == (-1, 1)
