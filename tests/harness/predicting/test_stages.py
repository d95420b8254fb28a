"""The input of a second run for a new video: the merged raw predictions of the first run's folds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.predicting.stages import KnownRows, LiveStage, live_stages, with_rows
from leaderboards.record import Record
from plugins.editions import abaw10
from tests.support.refusals import refused
from zoo.api import VideoAnswers

TRACK = abaw10.EDITION.tracks[0]
N = 4


def predicted(valence: list[float], present: list[bool]) -> VideoAnswers:
    values = {"valence": np.array(valence), "arousal": -np.array(valence)}
    targets = {name: np.full(N, np.nan) for name in values}
    return VideoAnswers("v", "v", values, targets, {"face": np.array(present)}, np.arange(N) / 25)


def test_rows_are_the_mean_of_the_folds_and_absent_where_none_saw_anything() -> None:
    answers = {
        "one": predicted([0.1, 0.2, 0.3, 0.4], [True, True, False, False]),
        "two": predicted([0.3, 0.2, 0.1, 0.0], [True, False, True, False]),
    }
    folds: Any = [SimpleNamespace(track=TRACK, name=name) for name in answers]
    media: Any = None

    def by_name(_: object, fold: Any) -> VideoAnswers:
        return answers[fold.name]

    rows = LiveStage("face", folds, "mean").rows(media, by_name)
    expected = [[0.2, -0.2], [0.2, -0.2], [0.2, -0.2], [np.nan, np.nan]]
    np.testing.assert_allclose(rows, expected, atol=1e-7)
    reader = KnownRows(rows)
    assert reader.present().tolist() == [True, True, True, False]
    assert reader.vectors()[3].tolist() == [0, 0]


def slot(argument: Path) -> Any:
    return SimpleNamespace(
        name="face", encoder=SimpleNamespace(runs=True), slot=SimpleNamespace(argument=str(argument))
    )


def load(*_: object) -> Any:
    pytest.fail("nothing is loaded before the chain is checked")


def test_a_missing_a_changed_and_a_circular_run_are_refused(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    found = Record("first", "done")
    block: Any = {"branch": "face", "run": "first", "sha256": found.result_sha256, "split": "cv3", "stages": []}
    record = Record("second", "done", result={"stages": [block]})
    with refused("stage-missing", branch="face"):
        live_stages([slot(first)], second, record, load, (), ())
    first.mkdir()
    found.write(first / "record.json")
    with refused("stage-cycle", chain="first > second"):
        live_stages([slot(first)], second, record, load, (), (first.resolve(),))
    Record("first", "done", result={"split": "cv3"}).write(first / "record.json")
    with refused("stage-changed", branch="face", known=found.result_sha256[:12]):
        live_stages([slot(first)], second, record, load, (), ())
    assert live_stages([slot(first)], second, Record("second", "done"), load, (), ()) == []


def test_only_the_branches_that_read_a_run_are_replaced() -> None:
    from harness.config.schema import RunConfig
    from harness.runs.job import plan_of
    from zoo.registry.tracks import load_plugins

    plan = plan_of(RunConfig(encoders="face=lite0,frame=lite0"), load_plugins([]), TRACK)
    model: Any = SimpleNamespace(branches=SimpleNamespace(plans=list(plan.slots)), stages=[1])
    known = np.zeros((N, 2), np.float32)
    staged: Any = with_rows(model, {"frame": known})
    assert staged.branches.plans[0] is plan.slots[0]
    np.testing.assert_array_equal(staged.branches.plans[1].stream.reader(None).vectors(), known)
    assert (staged.stages, model.stages) == ([], [1])
    assert model.branches.plans[1] is plan.slots[1]
