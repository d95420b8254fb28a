"""Weights of an ensemble: the best there are, fitted without the videos they serve."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from harness.analysis.ensemble_weights import METHODS, VOTES, by_fold, equal_weights, fit_weights
from harness.evaluation.merging import merge
from harness.evaluation.scoring import main_score
from zoo.api import Answer, TrackSpec, VideoAnswers

VALUES = (Answer("valence", "value", -5), Answer("arousal", "value", -5))
EXPRESSION = Answer("expression", "class", -1, classes=("a", "b", "c"))
UNITS = (Answer("AU1", "binary", -1), Answer("AU2", "binary", -1))
VA = TrackSpec("va", VALUES, "mean_ccc", (-1, 1), (), (), "keyed", "", joint_labels=True)
EXPR = TrackSpec("expr", (EXPRESSION,), "macro_f1", (0, 1), (), (), "keyed", "")
MTL = TrackSpec("mtl", (*VALUES, EXPRESSION, *UNITS), "mtl_sum", (-1, 3), (), (), "mtl", "", joint_labels=True)
ERRORS = (0.5, 0.8, 2.5)  # of the three members


def members(track: TrackSpec, n_videos: int = 6, n: int = 40, seed: int = 0) -> list[list[VideoAnswers]]:
    rng = np.random.default_rng(seed)
    out: list[list[VideoAnswers]] = [[] for _ in ERRORS]
    for v in range(n_videos):
        targets: dict[str, np.ndarray] = {}
        values: list[dict[str, np.ndarray]] = [{} for _ in ERRORS]
        for a in track.answers:
            width = len(a.classes) or 1
            truth = rng.normal(size=(n, width)).cumsum(0) * 0.2
            for own, error in zip(values, ERRORS, strict=True):
                score = truth + error * rng.normal(size=truth.shape) * truth.std()
                own[a.name] = score[:, 0] if a.kind == "value" else 1 / (1 + np.exp(-2 * score[:, 0]))
                if a.kind == "class":
                    own[a.name] = np.exp(score) / np.exp(score).sum(1, keepdims=True)
            label = {"value": truth[:, 0], "class": truth.argmax(1), "binary": truth[:, 0] > 0}[a.kind].astype(float)
            targets[a.name] = np.where(rng.random(n) < 0.1, np.nan, label)
        for videos, own in zip(out, values, strict=True):
            videos.append(VideoAnswers(f"v{v}", f"g{v}", own, targets, {}, np.arange(n) / 30))
    return out


def scored(track: TrackSpec, those: list[list[VideoAnswers]], weights: object) -> float:
    return main_score(track, merge(those, track, weights=weights))  # type: ignore[arg-type]


GRID = [w for w in itertools.product(np.linspace(0, 1, 11), repeat=3) if abs(sum(w) - 1) < 1e-9]


@pytest.mark.parametrize("track", [VA, EXPR], ids=["va", "expr"])
def test_no_other_weights_score_better(track: TrackSpec) -> None:
    those = members(track)
    kind = track.answers[0].kind
    got = fit_weights(those, track)
    assert list(got) == [kind]
    assert min(got[kind]) >= 0
    assert sum(got[kind]) == pytest.approx(1)
    best = scored(track, those, got)
    grid = max(scored(track, those, list(w)) for w in GRID)
    assert best >= grid - (1e-9 if kind == "value" else 0.01)  # F1 is rugged: a grid may find a lucky point
    assert best > scored(track, those, None) + 0.01
    assert got[kind][0] > got[kind][2]


def test_the_kinds_of_a_track_of_many_tasks_have_weights_of_their_own() -> None:
    those = members(MTL)
    for videos, other in zip(those[0], those[2], strict=True):  # the best member for values is the worst for classes
        first, third = dict(videos.values), dict(other.values)
        videos.values["expression"][:], other.values["expression"][:] = (
            third["expression"].copy(),
            first["expression"].copy(),
        )  # type: ignore[index]
    got = fit_weights(those, MTL)
    assert list(got) == ["value", "class", "binary"]
    assert scored(MTL, those, got) > scored(MTL, those, None)
    for kind in got:  # the other kinds' weights do not matter for a kind's own
        assert scored(MTL, those, got) >= scored(MTL, those, {**got, kind: [1 / 3] * 3})


def test_channels_have_weights_of_their_own() -> None:
    """The best member for valence is the worst for arousal."""
    those = members(VA)
    for first, third in zip(those[0], those[2], strict=True):
        good, bad = first.values["arousal"].copy(), third.values["arousal"].copy()
        first.values["arousal"][:], third.values["arousal"][:] = bad, good  # type: ignore[index]
    got = fit_weights(those, VA, "channels")
    assert list(got) == ["valence", "arousal"]
    assert got["valence"][0] > 0.5 < got["arousal"][2]
    assert scored(VA, those, got) > scored(VA, those, fit_weights(those, VA)) + 0.01
    for name in got:  # each is the best of a grid for its own answer
        grid = max(scored(VA, those, {**got, name: list(w)}) for w in GRID)
        assert scored(VA, those, got) >= grid - 1e-9


@pytest.mark.parametrize("track", [VA, EXPR, MTL], ids=lambda track: track.name)
def test_greedy_selection_is_that_of_the_plain_loop(track: TrackSpec) -> None:
    those = members(track)
    got = fit_weights(those, track, "greedy")
    assert list(got) == list(dict.fromkeys(answer.kind for answer in track.answers))
    for kind in got:
        votes: list[int] = []
        rounds = []
        for _ in range(VOTES):
            tries = [np.bincount([*votes, k], minlength=3) / (len(votes) + 1) for k in range(3)]
            scores = [scored(track, those, {kind: list(w)}) for w in tries]
            votes.append(int(np.argmax(scores)))
            rounds.append((max(scores), tries[votes[-1]]))
        best = max(rounds, key=lambda one: one[0])
        assert scored(track, those, {kind: got[kind]}) == pytest.approx(best[0], abs=1e-8)
        assert rounds[0][0] <= best[0]  # never below the best single member


@pytest.mark.parametrize("method", METHODS)
def test_a_fold_weighs_without_its_own_labels(method: str) -> None:
    those = members(VA, n_videos=7)
    weights, folds = by_fold(those, VA, method)
    assert len(weights) == 5
    mine = folds["g3"]
    for videos in those:  # the labels and answers of fold f are spoilt: the weights for fold f stay, others move
        videos[3].targets["valence"][:] = np.random.default_rng(9).normal(size=40)  # type: ignore[index]
    changed, _ = by_fold(those, VA, method)
    assert changed[mine] == weights[mine]
    assert any(changed[f] != weights[f] for f in weights if f != mine)


def test_nothing_labelled_one_group_and_equal_members_are_weighed_alike() -> None:
    one = members(VA, n_videos=1)
    assert by_fold(one, VA)[0] == {0: equal_weights(VA, 3)}
    twins = [members(EXPR)[0]] * 2
    assert fit_weights(twins, EXPR) == {"class": [0.5, 0.5]}
    for videos in one:
        videos[0].targets["valence"][:] = np.nan  # type: ignore[index]
    assert fit_weights(one, VA)["value"] == pytest.approx([1 / 3] * 3)


def test_members_in_another_order_of_videos_weigh_the_same() -> None:
    those = members(VA)
    np.testing.assert_allclose(
        fit_weights([those[0], those[1][::-1], those[2]], VA)["value"], fit_weights(those, VA)["value"], atol=1e-6
    )
