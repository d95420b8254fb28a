"""The optimism of choosing the epoch by what is scored: against a plain nested loop, and where it must be nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.evaluation.choice_optimism import FoldSums, epoch_optimism, fold_sums
from zoo.api import Answer, TrackSpec
from zoo.metrics import scores as metrics

ANSWERS = (Answer("valence", "value", -5), Answer("expression", "class", -1, ("a", "b", "c")))
TRACKS = [
    TrackSpec("va", ANSWERS[:1], "mean_ccc", (-1, 1), (), (), "keyed", ""),
    TrackSpec("expr", ANSWERS[1:], "macro_f1", (0, 1), (), (), "keyed", ""),
]
GROUPS = [f"g{i // 2}" for i in range(14)]  # two videos a group; folds of 5 hold one or two groups
Frames = tuple[np.ndarray, np.ndarray]


def guesses(track: TrackSpec, epochs: int, seed: int = 0) -> list[list[Frames]]:
    """(answers, labels) of every video at every epoch, all of them equally good: any difference is luck."""
    rng = np.random.default_rng(seed)
    out = []
    truth = [rng.normal(0, 0.4, 20) if track.name == "va" else rng.integers(0, 3, 20).astype(float) for _ in GROUPS]
    for _ in range(epochs):
        if track.name == "va":
            out.append([(0.5 * y + rng.normal(0, 0.4, 20), y) for y in truth])
        else:
            out.append([(np.eye(3)[y.astype(int)] + rng.normal(0, 1, (20, 3)), y) for y in truth])
    return out


def stats(track: TrackSpec, some: list[Frames]) -> list[metrics.Stats]:
    name = track.answers[0].name
    return [metrics.statistics(track.answers, {name: x}, {name: y}) for x, y in some]


def score(track: TrackSpec, some: list[Frames]) -> float:
    x, y = (np.concatenate(part) for part in zip(*some, strict=True))
    return float(metrics.score(track.metric, track.answers, stats(track, [(x, y)])[0]).main)


@pytest.mark.parametrize("track", TRACKS, ids=lambda track: track.name)
def test_each_fold_is_scored_at_the_epoch_that_the_others_choose(track: TrackSpec) -> None:
    epochs = guesses(track, 6)
    names = sorted(set(GROUPS))
    fold = [names.index(group) % 5 for group in GROUPS]
    chosen: list[Frames] = []
    for f in range(5):
        rest = [score(track, [v for v, at in zip(epoch, fold, strict=True) if at != f]) for epoch in epochs]
        best = epochs[int(np.argmax(rest))]
        chosen += [v for v, at in zip(best, fold, strict=True) if at == f]
    nested, top = score(track, chosen), max(score(track, epoch) for epoch in epochs)
    sums: list[FoldSums] = [fold_sums(GROUPS, stats(track, epoch)) for epoch in epochs]
    found = epoch_optimism(track, sums)
    assert found is not None
    assert found["nested"] == pytest.approx(nested, rel=1e-9)
    assert found["optimism"] == pytest.approx(top - nested, rel=1e-7, abs=1e-12)


def test_choosing_among_many_equally_good_epochs_flatters() -> None:
    found = [
        epoch_optimism(TRACKS[0], [fold_sums(GROUPS, stats(TRACKS[0], one)) for one in guesses(TRACKS[0], 20, seed)])
        for seed in range(5)
    ]
    assert np.mean([one["optimism"] for one in found if one]) > 0.005


def test_an_epoch_that_is_best_everywhere_has_no_optimism() -> None:
    epochs = guesses(TRACKS[0], 3)
    epochs[1] = [(y, y) for _, y in epochs[1]]
    found = epoch_optimism(TRACKS[0], [fold_sums(GROUPS, stats(TRACKS[0], one)) for one in epochs])
    assert found == {"nested": pytest.approx(1), "optimism": pytest.approx(0, abs=1e-12)}


def test_one_group_or_one_epoch_says_nothing() -> None:
    two = guesses(TRACKS[0], 2)
    assert epoch_optimism(TRACKS[0], [fold_sums(["g"] * 14, stats(TRACKS[0], one)) for one in two]) is None
    assert epoch_optimism(TRACKS[0], [fold_sums(GROUPS, stats(TRACKS[0], two[0]))]) is None
    assert epoch_optimism(TRACKS[0], []) is None


def test_sums_are_plain_numbers() -> None:
    sums = fold_sums(GROUPS, stats(TRACKS[1], guesses(TRACKS[1], 1)[0]))
    assert {int(f): one for f, one in json.loads(json.dumps(sums)).items()} == sums
