"""The numbers of the figures, against scikit-learn's and sums that are done here by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from harness.reports.bars import bars
from harness.reports.classes import class_figures, class_reliability, precision_recall, reliability
from harness.reports.curves import curves
from harness.reports.values import CELLS, densities, mean_label
from zoo.api import Answer, TrackSpec, VideoAnswers
from zoo.metrics.scores import ccc, confusion

VALUES = (Answer("valence", "value", -5), Answer("arousal", "value", -5))
VA = TrackSpec("va", VALUES, "mean_ccc", (-1, 1), (), (), "", "", joint_labels=True)


def video(name: str, group: str, seed: int, n: int = 50, gaps: bool = False) -> VideoAnswers:
    rng = np.random.default_rng(seed)
    targets = {a.name: rng.uniform(-1, 1, n) for a in VALUES}
    if gaps:
        targets = {k: np.where(np.arange(n) % 3 == 0, np.nan, v) for k, v in targets.items()}
    values = {k: np.clip(np.nan_to_num(v) * 0.5 + rng.normal(0, 0.2, n), -1, 1) for k, v in targets.items()}
    return VideoAnswers(name, group, values, targets, {"face": np.ones(n, bool)}, np.arange(n) / 30)


def test_precision_and_recall_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    true, said = rng.integers(0, 3, 200), rng.integers(0, 4, 200)
    found = class_figures("abcd", confusion(said, true, 4))
    theirs = precision_recall_fscore_support(true, said, labels=range(4), zero_division=0)
    ours = np.array([[f.precision, f.recall, f.f1, f.labels] for f in found]).T
    assert ours == pytest.approx(np.array(theirs), abs=1e-12)


@pytest.mark.parametrize("digits", [1, 2, 9])
def test_average_precision_is_scikit_learns_also_with_ties(digits: int) -> None:
    rng = np.random.default_rng(digits)
    true = rng.integers(0, 2, 500).astype(float)
    scores = np.round(np.clip(true * 0.3 + rng.uniform(0, 0.7, 500), 0, 1), digits)
    curve = precision_recall("AU1", scores, true)
    assert curve.average == pytest.approx(average_precision_score(true, scores), abs=1e-12)
    assert curve.share == true.mean()
    assert curve.recall[-1] == 1
    assert curve.precision[-1] == pytest.approx(true.mean())
    assert precision_recall("AU1", scores, np.zeros(500)) is None


def test_calibration_by_hand() -> None:
    found = reliability(np.array([0.15, 0.15, 0.95, 0.95, 1.0]), np.array([0.0, 1.0, 1.0, 1.0, 1.0]))
    assert found.confidence == pytest.approx([0.15, (0.95 * 2 + 1) / 3])
    assert found.right == [0.5, 1.0]
    assert found.frames == [2, 3]
    assert found.error == pytest.approx((2 * 0.35 + 3 * (1 - 2.9 / 3)) / 5)
    assert reliability(np.array([]), np.array([])) is None


def test_a_class_is_right_where_its_largest_probability_is() -> None:
    answer = Answer("expression", "class", -1, ("a", "b"))
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    one = VideoAnswers("v", "v", {"expression": p}, {"expression": np.array([0, 0, np.nan])}, {}, np.arange(3.0))
    found = class_reliability(answer, [one])
    assert (found.confidence, found.right, found.frames) == ([0.8, 0.9], [0.0, 1.0], [1, 1])


def test_densities_count_every_labelled_frame_once() -> None:
    videos = [video("a", "a", 1), video("b", "b", 2, gaps=True)]
    found = densities(VALUES, videos)
    assert [sum(map(sum, one.counts)) for one in found] == [50 + 33] * 4
    truth = np.concatenate([v.targets["valence"] for v in videos])
    said = np.concatenate([v.values["valence"] for v in videos])
    at = ~np.isnan(truth)
    theirs, _, _ = np.histogram2d(said[at], truth[at], CELLS, ((-1, 1), (-1, 1)))
    assert np.array(found[0].counts) == pytest.approx(theirs)
    outside = VideoAnswers("o", "o", {"valence": np.array([7.0])}, {"valence": np.array([-7.0])}, {}, np.zeros(1))
    assert densities(VALUES[:1], [outside])[0].counts[CELLS - 1][0] == 1


def test_the_mean_label_of_each_prediction() -> None:
    values, targets = np.array([-0.99, -0.97, 0.9, 0.3]), np.array([-0.5, -0.7, 0.5, np.nan])
    one = VideoAnswers("v", "v", {"valence": values}, {"valence": targets}, {}, np.arange(4.0))
    found = mean_label(VALUES[0], [one])
    assert found.prediction == pytest.approx([-0.98, 0.9])
    assert found.label == pytest.approx([-0.6, 0.5])
    assert found.frames == [2, 1]


def test_bars_are_of_each_video_and_group_by_itself_lowest_first() -> None:
    videos = [video("a_left", "a", 1), video("a_right", "a", 2, gaps=True), video("b", "b", 3)]
    nothing = {name: np.full(50, np.nan) for name in videos[0].targets}
    unlabelled = VideoAnswers("c", "c", videos[0].values, nothing, {}, np.arange(50.0))
    each, groups = bars(VA, [*videos, unlabelled])

    def score(those: list[VideoAnswers]) -> float:
        both = []
        for a in VALUES:
            said = np.concatenate([v.values[a.name] for v in those])
            true = np.concatenate([v.targets[a.name] for v in those])
            both.append(ccc(said[~np.isnan(true)], true[~np.isnan(true)]))
        return float(np.mean(both))

    assert {bar.name: bar.score for bar in each} == pytest.approx({v.video: score([v]) for v in videos})
    assert {bar.name: bar.score for bar in groups} == pytest.approx({"a": score(videos[:2]), "b": score(videos[2:])})
    assert [bar.score for bar in each] == sorted(bar.score for bar in each)
    assert next(bar for bar in groups if bar.name == "a")[2:] == (83, 2)


def test_curves_hold_what_the_history_says() -> None:
    history = [
        {"epoch": 1.0, "loss": 2.0, "lr": 0.1},
        {
            "epoch": 2.0,
            "loss": 1.0,
            "lr": 0.1,
            "val": 0.5,
            "val_loss": 1.5,
            "val_f1_a": 0.4,
            "val_macro_f1": 0.3,
            "val_frames": 9,
        },
    ]
    charts = {chart["title"]: chart for chart in curves({"": history})}
    assert charts["Loss"]["x"] == [1, 2]
    assert charts["Loss"]["series"] == [
        {"name": "training", "values": [2, 1]},
        {"name": "validation", "values": [None, 1.5]},
    ]
    assert [line["name"] for line in charts["Parts of the score"]["series"]] == ["macro_f1"]
    assert [line["name"] for line in charts["F1 of each class and unit"]["series"]] == ["f1_a"]
    several = curves({"seed-0": history, "seed-1": history[:1]})
    assert [line["name"] for line in several[0]["series"]] == [
        "seed-0 training",
        "seed-0 validation",
        "seed-1 training",
    ]
    assert curves({}) == []
