"""The plain reference against its equations, and that it sees no split but the training one before it is scored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from harness.batching.clips import ClipData
from harness.evaluation import plain_reference as plain
from harness.evaluation.plain_reference import TrainingFrames, choose, fit, plain_reference, training_frames
from harness.features.store import FeatureStore
from tests.harness.batching.test_clips import video
from zoo.api import Answer, TrackSpec
from zoo.metrics.scores import ccc
from zoo.model.adapter import Adapter

VALUE = Answer("valence", "value", -5)
CLASS = Answer("expression", "class", -1, ("a", "b", "c"))
UNIT = Answer("AU1", "binary", -1)
VA = TrackSpec("va", (VALUE,), "mean_ccc", (-1, 1), (), (), "keyed", "")


class Rows(FeatureStore):
    """Given features; whoever asks for a video that is not among them has looked where it must not."""

    def __init__(self, rows: dict[str, np.ndarray]) -> None:
        super().__init__()
        for name, x in rows.items():
            self._maps["face", name] = x
            self._masks["face", name] = np.ones(len(x), bool), np.arange(len(x) + 1)


class Clips(ClipData):
    """At 10 frames a second."""

    def times(self, i: int) -> np.ndarray:
        return np.arange(self.videos[i].n_frames) / 10


def clips(names: str, seed: int, frames: int = 30, lag: int = 0) -> Clips:
    """Videos whose label is a line in their features, ``lag`` frames late, with noise; groups of two videos."""
    rng = np.random.default_rng(seed)
    rows = {name: rng.normal(size=(frames, 3)).astype(np.float32) for name in names}

    def labels(x: np.ndarray) -> np.ndarray:
        line = 0.2 * x[:, :1] - 0.1 * x[:, 1:2] + 0.05 * rng.normal(size=(frames, 1))
        return np.concatenate([line[:1].repeat(lag, 0), line[: frames - lag]])

    videos = [replace(video(name, labels(x)), group=f"g{i // 2}") for i, (name, x) in enumerate(rows.items())]
    return Clips(None, videos, ["face"], Rows(rows), {})


def adapter() -> Adapter:
    """Standardises nothing, projects nothing: what the reference learns from is the features themselves."""
    return Adapter(3, "none", 3, 3, 0.0, fitted=True)


def frames(seed: int = 0, n: int = 60) -> TrainingFrames:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    labels = np.stack([0.3 * x[:, 0], np.arange(n) % 3, x[:, 1] + rng.normal(size=n) > 0.8], 1)
    labels[::7] = np.nan
    return TrainingFrames(x, labels, [f"g{i // 10}" for i in range(n)])


@pytest.mark.parametrize("strength", [1e-3, 0.1, 1.0])
def test_values_are_the_closed_form_of_ridge_regression(strength: float) -> None:
    """w = (X'X + I / C)^-1 X'y on centred rows, the mean apart, cut at the bounds."""
    some = frames()
    known = np.isfinite(some.labels[:, 0])
    x, y = some.x[known], some.labels[known, 0]
    middle, mean = x.mean(0), y.mean()
    weights = np.linalg.solve((x - middle).T @ (x - middle) + np.eye(3) / strength, (x - middle).T @ (y - mean))
    wanted = np.clip((10 * some.x - middle) @ weights + mean, -1, 1)
    found = fit((VALUE, CLASS, UNIT), some, strength)["valence"](10 * some.x)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("answer", "column"), [(CLASS, 1), (UNIT, 2)])
def test_probabilities_are_a_minimum_of_the_balanced_penalised_likelihood(answer: Answer, column: int) -> None:
    """At the minimum the weighted residuals are orthogonal to the constant, and to the features but for the penalty:
    for some W with p = softmax(x W + b), X' s (p - y) = -W / C; that of rows of probabilities is W of their logs."""
    some = frames(n=600)
    known = np.isfinite(some.labels[:, column])
    x, y = some.x[known], some.labels[known, column].astype(int)
    p = fit((VALUE, CLASS, UNIT), some, 0.1)[answer.name](x)
    p = p if p.ndim == 2 else np.stack([1 - p, p], 1)
    counts = np.bincount(y)
    rarity = (len(y) / (len(counts) * counts))[y][:, None]
    gradient = (rarity * (p - np.eye(len(counts))[y])) / len(y)
    np.testing.assert_allclose(gradient.sum(0), 0, atol=1e-5)
    logs = np.log(p)
    line = np.linalg.lstsq(np.c_[x, np.ones(len(x))], logs - logs[:, :1], rcond=None)[0][:3]  # W less its first column
    pull = -(x.T @ gradient) * len(y) * 0.1  # C times: W of the several classes; of two, W of the second alone
    np.testing.assert_allclose(pull - pull[:, :1], line if len(counts) > 2 else 2 * line, atol=5e-4)


def test_strength_is_chosen_by_scores_across_groups_of_the_training_frames() -> None:
    """By hand: three folds of groups in the order of their names, each answered by the others' fit."""
    some = frames()
    some = TrainingFrames(some.x, some.labels[:, :1], some.groups)
    strength, scores = choose(VA, some)
    names = sorted(set(some.groups))
    of = np.array([names.index(group) % 3 for group in some.groups])
    for i, c in enumerate(plain.STRENGTHS):
        out, known = np.zeros(len(of)), np.isfinite(some.labels[:, 0])
        for f in range(3):
            rest = TrainingFrames(some.x[of != f], some.labels[of != f], [])
            out[of == f] = fit((VALUE,), rest, c)["valence"](some.x[of == f])
        assert scores[i] == pytest.approx(ccc(out[known], some.labels[known, 0]), rel=1e-9)
    assert strength == plain.STRENGTHS[int(np.argmax(np.array(scores, float)))]
    alone = TrainingFrames(some.x, some.labels, ["g"] * len(of))
    assert choose(VA, alone) == (plain.STRENGTHS[0], [None] * len(plain.STRENGTHS))


def test_it_finds_a_line_scores_it_on_the_other_split_and_repeats() -> None:
    train, val = clips("abcdef", 0), clips("uvw", 1)
    found = plain_reference(VA, {"face": adapter()}, train, val)
    assert found is not None
    assert 0.9 < found["main"] < 1
    assert (found["training_frames"], found["dimensions"], found["slots"]) == (180, 3, ["face"])
    assert plain_reference(VA, {"face": adapter()}, train, val) == found


def test_only_training_videos_are_read_before_the_scoring() -> None:
    """The stores of the two splits hold their own videos alone, so a look at another one's rows is a KeyError; labels
    of the reported split change the score, never what is fitted."""
    train, val = clips("abcdef", 0), clips("uvw", 1)
    one = plain_reference(VA, {"face": adapter()}, train, val)
    val.videos = [replace(v, labels=-v.labels) for v in val.videos]
    other = plain_reference(VA, {"face": adapter()}, train, val)
    assert one is not None
    assert other is not None
    assert other["main"] < 0 < one["main"]
    assert (one["strength"], one["chosen_among"]) == (other["strength"], other["chosen_among"])


def test_a_delay_moves_its_answers_as_it_moves_the_runs() -> None:
    """Labels lag by two frames: with training labels moved back by as much, and answers forth, nothing is lost."""
    train, val = clips("abcdef", 0, lag=2), clips("uvw", 1, lag=2)
    lagging = plain_reference(VA, {"face": adapter()}, train, val)
    moved = Clips(None, train.videos, ["face"], train.store, {}, delay=0.2)
    shifted = plain_reference(VA, {"face": adapter()}, moved, val, delay=0.2)
    assert lagging is not None
    assert shifted is not None
    assert lagging["main"] < 0.3
    assert shifted["main"] > 0.85


def test_features_as_an_encoder_gives_them_are_standardised_first() -> None:
    """Columns of any scale and offset give the same answers as those that are standardised already."""
    some = frames()
    raw = TrainingFrames(1e3 * some.x * np.array([1, 5, 0.1]) + 7, some.labels, some.groups, scaled=False)
    for answer, column in ((VALUE, 0), (CLASS, 1)):
        known = np.isfinite(some.labels[:, column])
        centred = (some.x - some.x[known].mean(0)) / some.x[known].std(0)
        one = fit((VALUE, CLASS, UNIT), raw, 0.1)[answer.name](raw.x)
        two = fit((VALUE, CLASS, UNIT), TrainingFrames(centred, some.labels, []), 0.1)[answer.name](centred)
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    train = clips("ab", 0)
    for method, scaled in (("raw", False), ("none", True)):
        found = training_frames({"face": Adapter(3, method, 3, 3, 0.0, fitted=True)}, train)
        assert found is not None
        assert found.scaled is scaled


def test_wide_features_are_learned_from_fewer_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "NUMBERS", 3 * 90)
    monkeypatch.setattr(plain, "FEWEST", 20)
    some = training_frames({"face": adapter()}, clips("abcdef", 0))
    assert some is not None
    assert len(some.x) == 90
    monkeypatch.setattr(plain, "FEWEST", 120)
    more = training_frames({"face": adapter()}, clips("abcdef", 0))
    assert more is not None
    assert len(more.x) == 120


def test_a_large_set_is_drawn_from_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "CAP", 60)
    train = clips("abcdef", 0, frames=100)
    some = training_frames({"face": adapter()}, train)
    assert some is not None
    assert len(some.x) == len(some.labels) == len(some.groups) == 60
    stored = np.concatenate([train.store.rows("face", name) for name in "abcdef"])
    assert {tuple(row) for row in some.x.astype(np.float32)} <= {tuple(row) for row in stored}
    assert min(some.groups.count(f"g{i}") for i in range(3)) > 8


@pytest.mark.parametrize("what", ["no frozen slot", "one label", "none"])
def test_where_nothing_can_be_fitted_there_is_no_reference(what: str) -> None:
    train, val = clips("abcd", 0), clips("u", 1)
    slots: dict[str, Any] = {} if what == "no frozen slot" else {"face": adapter()}
    if what != "no frozen slot":
        value = 0.5 if what == "one label" else np.nan
        videos = [replace(v, labels=np.full_like(v.labels, value)) for v in train.videos]
        train = Clips(None, videos, ["face"], train.store, {})
    assert plain_reference(VA, slots, train, val) is None


def test_an_absent_frame_has_zeros_whatever_is_stored() -> None:
    one = clips("a", 0)
    one.store._masks["face", "a"] = (seen := np.arange(30) % 2 == 0), np.concatenate([[0], np.cumsum(seen)])
    one.present[0]["face"] = seen
    net = adapter()
    net.mean.fill_(3.0)
    x = plain.features({"face": net}, one, 0)
    assert (x[~seen] == 0).all()
    torch.testing.assert_close(
        torch.from_numpy(x[seen]).float(), torch.from_numpy(one.store.rows("face", "a"))[:15] - 3
    )
