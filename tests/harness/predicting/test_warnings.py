"""What the tables of `harness predict` say besides numbers: names of classes, and on what the run was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.config.schema import RunConfig
from harness.config.tta import Tta
from harness.evaluation.prediction_tables import read_predictions, to_frame, write_predictions
from harness.predicting.models import AVERAGED, averaging_warning, rights_warning, warnings_of
from harness.runs.passes import ORIGIN_POST, with_passes
from leaderboards.blocks import Result, WeightsBlock
from leaderboards.record import Record
from plugins.editions import abaw10
from plugins.encoders import fer
from tests.support.indexes import track
from zoo.api import VideoAnswers


@pytest.mark.parametrize(
    ("result", "warned"), [({"data": {"synthetic": True}}, True), ({"data": {}}, False), ({}, False)]
)
def test_a_run_on_drawn_figures_is_said(result: Result, warned: bool) -> None:
    said = warnings_of(Record(name="r", status="done", result=result))
    assert any("synthetic" in warning for warning in said) is warned


@pytest.mark.parametrize(
    ("facts", "warned"),
    [
        ({"license": "MIT"}, False),
        ({"license": "unknown"}, True),
        ({"license": None}, True),
        ({"license": "MIT", "rights_known": False}, True),
    ],
)
def test_weights_of_unknown_rights_are_warned_of(facts: WeightsBlock, warned: bool) -> None:
    card: WeightsBlock = {"slot": "face", "name": "net", "sha256": "0" * 64, **facts}
    said = warnings_of(Record(name="r", status="done", result={"passports": [card]}))
    assert ["net" in warning for warning in said] == [True] * warned


def test_the_card_of_fer_says_that_the_rights_are_unknown() -> None:
    assert not fer.card("face", None).rights_known
    (warning,) = rights_warning("fer", fer.card("face", None).license, known=False)
    assert "rights" in warning


def test_post_processing_of_plain_predictions_is_said_where_they_are_averaged() -> None:
    plain, own = RunConfig(), RunConfig(tta=Tta(flip=True))
    given, run = ["tta.views=1"], Record(name="r", status="done")
    evaluated = Record(name="r", status="done", result={"tta": {"run": "first"}})
    fit = {"fit": ("train", "val"), "epochs_from": "cv"}
    for config, record, tta, said in (
        (plain, run, given, [AVERAGED]),
        (plain, run, [], []),
        (own, evaluated, [], []),
        (own, evaluated, given, []),
        (own.model_copy(update=fit), run, [], []),
        (own.model_copy(update=fit), evaluated, [], [ORIGIN_POST]),
        (plain.model_copy(update=fit), run, given, [ORIGIN_POST]),
    ):
        assert averaging_warning(config, record, tta) == said


def test_given_passes_replace_those_of_the_run() -> None:
    config = RunConfig(tta=Tta(flip=True, strides=(1, 2)), augment=("face=flip",))
    assert with_passes(config, ["tta.views=1"]).tta == Tta(views=1)


def test_of_a_run_without_a_record_nothing_is_said() -> None:
    assert warnings_of(None) == []


def test_classes_are_named_in_every_table(tmp_path: Path) -> None:
    expr = track(abaw10, "expr")
    names = expr.answers[0].classes
    values = np.eye(len(names))[[3, 0, 7]]

    def video(name: str, rows: list[int]) -> VideoAnswers:
        unknown = np.full(len(rows), np.nan)
        times = np.arange(float(len(rows)))
        return VideoAnswers(name, name, {"expression": values[rows]}, {"expression": unknown}, {}, times)

    videos = [video("a", [0, 1, 2]), video("b", [2])]
    wanted = [names[3], names[0], names[7], names[7]]
    assert to_frame(expr.answers, videos, labels=False)["expression_name"].tolist() == wanted
    path = tmp_path / "p.parquet"
    write_predictions(path, expr, videos)
    assert pd.read_parquet(path)["expression_name"].tolist() == wanted
    assert [len(video.times) for video in read_predictions(path, expr)] == [3, 1]
