"""Merging answers: against step-by-step sums, what it is worth on simulated members, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from harness.evaluation.merging import merge
from tests.support.refusals import refused
from zoo.api import Answer, TrackSpec, VideoAnswers
from zoo.metrics import scores as metrics

VALUES = (Answer("valence", "value", -5), Answer("arousal", "value", -5))
EXPRESSION = Answer("expression", "class", -1, classes=("a", "b", "c"))
UNIT = Answer("AU1", "binary", -1)
TRACK = TrackSpec("mtl", (*VALUES, EXPRESSION, UNIT), "mtl_sum", (-1, 3), (), (), "mtl", "")


def video(name: str = "v", n: int = 6, seed: int = 0, **values: object) -> VideoAnswers:
    rng = np.random.default_rng([seed, n, *name.encode()])
    probabilities = rng.random((n, 3))
    drawn = {
        "valence": rng.uniform(-0.5, 0.5, n),
        "arousal": rng.uniform(-0.5, 0.5, n),
        "expression": probabilities / probabilities.sum(1, keepdims=True),
        "AU1": rng.random(n),
    }
    given = {key: np.asarray(value, float) for key, value in values.items()}
    targets = {a.name: np.zeros(n) for a in TRACK.answers}
    return VideoAnswers(name, name, {**drawn, **given}, targets, {"face": np.ones(n, bool)}, np.arange(n) / 30)


def members(k: int = 3) -> list[list[VideoAnswers]]:
    return [[video("v", 6, seed), video("w", 9, seed)] for seed in range(k)]


def test_mean_is_the_weighted_average_of_each_answer() -> None:
    got = merge(members(), TRACK, weights=[1, 1, 2])
    for i, name in enumerate(("v", "w")):
        assert got[i].video == name
        for answer in TRACK.answers:
            a, b, c = (member[i].values[answer.name] for member in members())
            np.testing.assert_allclose(got[i].values[answer.name], (a + b + 2 * c) / 4, atol=1e-15)
    by_kind = merge(members(), TRACK, weights={"class": [0, 1, 0]})
    np.testing.assert_array_equal(by_kind[0].values["expression"], members()[1][0].values["expression"])
    np.testing.assert_allclose(
        by_kind[0].values["AU1"], np.mean([m[0].values["AU1"] for m in members()], axis=0), rtol=1e-14
    )


@pytest.mark.parametrize("method", ["mean", "vote", "ccc"])
def test_members_that_say_the_same_are_left_as_they_are(method: str) -> None:
    one = members()[0]
    got = merge([one, one, one], TRACK, method=method)
    for mine, theirs in zip(got, one, strict=True):
        for answer in VALUES:
            np.testing.assert_allclose(mine.values[answer.name], theirs.values[answer.name], atol=1e-15)
        decided = theirs.values["expression"].argmax(1)
        np.testing.assert_array_equal(mine.values["expression"].argmax(1), decided)
        np.testing.assert_array_equal(mine.values["AU1"] >= 0.5, theirs.values["AU1"] >= 0.5)
    assert all((a.values["AU1"] == b.values["AU1"]).all() for a, b in zip(merge([one], TRACK), one, strict=True))


def test_vote_is_the_majority_and_ties_go_to_the_greater_probability() -> None:
    say = [
        [[0.9, 0.1, 0.0], [0.40, 0.6, 0.0], [1.0, 0.0, 0.0]],
        [[0.4, 0.6, 0.0], [0.45, 0.55, 0.0], [0.0, 0.6, 0.4]],
        [[0.4, 0.6, 0.0], [0.90, 0.1, 0.0], [0.0, 0.3, 0.7]],
    ]
    units = [[0.5, 0.1, 0.9], [0.6, 0.45, 0.49], [0.0, 0.99, 0.49]]
    those = [[video(n=3, expression=e, AU1=u)] for e, u in zip(say, units, strict=True)]
    got = merge(those, TRACK, method="vote")[0]
    assert got.values["expression"].argmax(1).tolist() == [1, 1, 2]  # two against one, two against one, a tie of three
    np.testing.assert_allclose(got.values["expression"].sum(1), 1, atol=1e-8)
    assert (got.values["AU1"] >= 0.5).tolist() == [True, False, False]
    mean = merge(those, TRACK)[0]
    assert mean.values["expression"].argmax(1).tolist() == [0, 0, 2]
    assert (mean.values["AU1"] >= 0.5).tolist() == [False, True, True]
    np.testing.assert_array_equal(got.values["valence"], mean.values["valence"])
    tied = merge([those[0], those[1]], TRACK, method="vote")[0].values
    assert tied["expression"].argmax(1).tolist() == [0, 1, 0]
    assert (tied["AU1"] >= 0.5).tolist() == [True, False, True]  # 0.9 and 0.49: the average is over a half
    heavy = merge(those, TRACK, method="vote", weights=[0.1, 0.2, 0.3])[0].values  # 0.1 + 0.2 against 0.3 is a tie
    assert heavy["expression"][1].argmax() == 0  # so that the average decides, 0.4 against 0.2


def test_ccc_against_the_formula_step_by_step() -> None:
    got = merge(members(4), TRACK, method="ccc")
    for answer in VALUES:
        x = [np.concatenate([v.values[answer.name] for v in member]) for member in members(4)]
        agree = []
        for i in range(4):
            pairs = []
            for j in range(4):
                if i != j:
                    cov = ((x[i] - x[i].mean()) * (x[j] - x[j].mean())).mean()
                    pairs.append(2 * cov / (x[i].var() + x[j].var() + (x[i].mean() - x[j].mean()) ** 2))
            agree.append(max(0.0, sum(pairs) / 3))
        w = [a / sum(agree) for a in agree]
        z = sum(w[i] * (x[i] - x[i].mean()) / x[i].std() for i in range(4))
        mean, spread = sum(w[i] * x[i].mean() for i in range(4)), sum(w[i] * x[i].std() for i in range(4))
        wanted = np.clip(mean + spread * z / np.std(z), -1, 1)
        np.testing.assert_allclose(np.concatenate([v.values[answer.name] for v in got]), wanted, rtol=1e-10)
    np.testing.assert_array_equal(got[0].values["AU1"], merge(members(4), TRACK)[0].values["AU1"])


def test_ccc_of_members_that_do_not_vary_or_agree() -> None:
    flat = [[video(valence=np.full(6, x))] for x in (0.25, 0.75)]
    np.testing.assert_allclose(merge(flat, TRACK, method="ccc")[0].values["valence"], 0.5)
    up = np.linspace(-0.5, 0.5, 6)
    varying = np.sin(np.arange(6) * 2.1) / 2
    for constant in (0.1, 0.37):  # equal numbers whose computed spread is not 0
        flat = np.full(6, constant, np.float32)
        mixed = merge([[video(valence=varying)], [video(valence=flat)]], TRACK, method="ccc", weights=[0.5, 0.5])[0]
        wanted = (varying.mean() + flat[0]) / 2 + (varying - varying.mean()) / 2
        np.testing.assert_allclose(mixed.values["valence"], wanted, atol=1e-7)
    against = merge([[video(valence=up)], [video(valence=-up)]], TRACK, method="ccc")[0].values["valence"]
    np.testing.assert_allclose(against, 0, atol=1e-12)
    wide = merge([[video(valence=2 * up)], [video(valence=2.2 * up)]], TRACK, method="ccc")[0].values["valence"]
    assert (wide.min(), wide.max()) == (-1, 1)
    favoured = merge([[video(valence=up)], [video(valence=-up)]], TRACK, method="ccc", weights=[1, 0])[0]
    np.testing.assert_allclose(favoured.values["valence"], up, atol=1e-12)


def simulated(seed: int, width: float, k: int = 5) -> tuple[np.ndarray, list[np.ndarray]]:
    """A label of 12 videos, and members that know it with an error in common and one of their own; their spread is
    ``width`` times the label's, their mean a little off."""
    rng = np.random.default_rng(seed)

    def slow() -> np.ndarray:
        steps = rng.normal(size=(12, 200)).cumsum(1)
        centred = (steps - steps.mean(1, keepdims=True)).ravel() + np.repeat(rng.normal(size=12) * 5, 200)
        return centred / centred.std()

    label, common = slow(), slow()
    own = [label + 0.7 * common + 0.9 * slow() for _ in range(k)]
    return 0.3 * label, [0.3 * width * (x - x.mean()) / x.std() + rng.normal() * 0.05 for x in own]


def gain(width: float) -> list[float]:
    out = []
    for seed in range(20):
        label, those = simulated(seed, width)
        answers = [[video(n=len(label), valence=x)] for x in those]
        ccc, mean = (merge(answers, TRACK, method=m)[0].values["valence"] for m in ("ccc", "mean"))
        out.append(metrics.ccc(ccc, label) - metrics.ccc(mean, label))
    return out


def test_what_the_ccc_merge_is_worth() -> None:
    as_wide, narrow, wide = (np.array(gain(width)) for width in (1.0, 0.6, 2.0))
    print(f"gain: {as_wide.mean():.4f} as wide, {narrow.mean():.4f} narrow, {wide.mean():.4f} wide")
    assert as_wide.mean() > 0.005
    assert narrow.mean() > 0.02
    assert wide.mean() < 0  # what the docstring warns of


def test_slots_and_extra_answers_of_several_members() -> None:
    seen = [np.array([True, False, False]), np.array([False, True, False])]
    first = replace(
        video(n=3),
        present={"face": seen[0], "audio": ~seen[0]},
        extra={"crop": seen[0], "slot.face.valence": np.zeros(3), "slot.audio.valence": np.ones(3)},
    )
    second = replace(
        video(n=3, seed=1), present={"face": seen[1]}, extra={"crop": seen[0], "slot.face.valence": np.ones(3)}
    )
    got = merge([[first], [second]], TRACK, weights=[3, 1])[0]
    assert {name: mask.tolist() for name, mask in got.present.items()} == {
        "face": [True, True, False],
        "audio": [False, True, True],
    }
    assert sorted(got.extra) == ["crop", "slot.face.valence"]
    np.testing.assert_allclose(got.extra["slot.face.valence"], 0.25)
    np.testing.assert_array_equal(got.extra["crop"], seen[0])


def merge_two(others: Sequence[Sequence[VideoAnswers]], **options: object) -> None:
    merge(others, TRACK, names=("one", "two"), **options)  # type: ignore[arg-type]


def test_what_cannot_be_merged_is_named() -> None:
    a, b = members(2)
    with refused("merge-video-missing", who="two", missing="w", other="one"):
        merge_two([a, b[:1]])
    with refused("merge-video-missing", who="one", missing="w", other="two"):
        merge_two([a[:1], b])
    with refused("merge-length", where="video 'w'", count=8, other_name="two", count2=9, name="one"):
        merge_two([a, [b[0], video("w", 8)]])
    with refused("merge-not-finite", where="video 'v'", frame=3, other_name="two", name="valence"):
        merge_two([a[:1], [video(valence=[0, 0, np.nan, 0, 0, 0])]])
    other = replace(b[0], targets={**b[0].targets, "AU1": np.ones(6)})
    with refused("merge-labels-differ", name="AU1", other_name="two", name2="one"):
        merge_two([a[:1], [other]])
    with refused("merge-method-unknown", method="median"):
        merge_two([a, b], method="median")
    for weights in ([1], [1, -1], [0, 0], [1, np.nan]):
        with refused("merge-weights", shown=", ".join(map(str, weights)), n=2):
            merge_two([a, b], weights=weights)
    with refused("merge-no-members"):
        merge_two([])
    back = merge([a, b[::-1]], TRACK)  # another order of the videos is none
    assert [v.video for v in back] == ["v", "w"]
