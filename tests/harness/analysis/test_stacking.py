"""Stacking against scikit-learn used directly; no label reaches the prediction of its own fold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from harness.analysis import stacking
from harness.analysis.fitted_merging import cross_fit
from harness.analysis.stacking import fit_stack
from harness.evaluation.folds import folds_of
from harness.evaluation.merging import merge
from harness.evaluation.scoring import main_score
from tests.harness.analysis.test_ensemble_weights import EXPR, MTL, VA, members
from zoo.api import TrackSpec, VideoAnswers

Members = list[list[VideoAnswers]]


def column(videos: list[VideoAnswers], name: str) -> np.ndarray:
    return np.concatenate([video.values[name] for video in videos])


def directly(those: Members, fitted: list[int], track: TrackSpec, strength: float) -> dict[str, np.ndarray]:
    """The second level fitted on some videos and applied to all, without any code of the harness."""
    x = np.concatenate(
        [
            {
                "value": lambda p: p[:, None],
                "class": lambda p: np.log(p.clip(1e-6)),
                "binary": lambda p: np.log(p.clip(1e-6, 1 - 1e-6) / (1 - p.clip(1e-6, 1 - 1e-6)))[:, None],
            }[a.kind](column(member, a.name))
            for member in those
            for a in track.answers
        ],
        axis=1,
    )
    video = np.repeat(np.arange(len(those[0])), len(those[0][0].times))
    y = {a.name: np.concatenate([v.targets[a.name] for v in those[0]]) for a in track.answers}
    useful = np.isin(video, fitted) & np.isfinite(np.stack(list(y.values()))).any(0)
    out = {}
    for a in track.answers:
        rows = useful & np.isfinite(y[a.name])
        scaler = StandardScaler().fit(x[rows])
        if a.kind == "value":
            net = Ridge(alpha=1 / strength).fit(scaler.transform(x[rows]), y[a.name][rows])
            out[a.name] = net.predict(scaler.transform(x)).clip(-1, 1)
        else:
            net = LogisticRegression(C=strength, class_weight="balanced", tol=1e-8, max_iter=5000)
            p = net.fit(scaler.transform(x[rows]), y[a.name][rows]).predict_proba(scaler.transform(x))
            out[a.name] = p if a.kind == "class" else p[:, 1]
    return out


@pytest.mark.parametrize("track", [VA, EXPR, MTL], ids=["va", "expr", "mtl"])
def test_it_is_scikit_learn_on_the_members_predictions(track: TrackSpec) -> None:
    those = members(track, n_videos=5)
    stack = fit_stack([member[:4] for member in those], track)
    assert stack.block["strength"] in stacking.STRENGTHS
    assert stack.block["averaged"] == []
    want = directly(those, [0, 1, 2, 3], track, stack.block["strength"])
    got = stack.merge(those)
    for answer in track.answers:
        np.testing.assert_allclose(column(got, answer.name), want[answer.name], atol=2e-4)
        if answer.kind == "value":
            np.testing.assert_allclose(column(got, answer.name), want[answer.name], atol=1e-9)


def test_the_labels_of_a_fold_do_not_reach_its_predictions() -> None:
    those = members(EXPR)
    usual = cross_fit(those, EXPR, "stack", "val")
    fold = folds_of([video.group for video in those[0]])
    chosen = [v for v, video in enumerate(those[0]) if fold[video.group] == 0]
    turned = [
        [
            replace(video, targets={"expression": (2 - video.targets["expression"])}) if v in chosen else video
            for v, video in enumerate(member)
        ]
        for member in those
    ]
    other = cross_fit(turned, EXPR, "stack", "val")
    for v in range(len(those[0])):
        a, b = (found.merged[v].values["expression"] for found in (usual, other))
        assert np.array_equal(a, b) == (v in chosen)
    for v in range(len(those[0])):  # nor by way of the videos that post-processors of this fold are fitted on
        np.testing.assert_array_equal(*(found.by_fold[0][v].values["expression"] for found in (usual, other)))


def test_the_record_says_what_was_chosen_from_what_and_the_plain_mean() -> None:
    those = [
        [
            replace(v, **{part: {n: x / 5 for n, x in getattr(v, part).items()} for part in ("values", "targets")})
            for v in member
        ]
        for member in members(VA, n_videos=10)
    ]  # within the bounds
    found = cross_fit(those, VA, "stack", "val")
    assert found.weights is None
    assert found.facts["mean"] == pytest.approx(main_score(VA, merge(those, VA)), abs=1e-12)
    assert main_score(VA, found.merged) > found.facts["mean"], "a member of noise is no third of the answer"
    assert found.facts["optimism"] == found.facts["fitted_on_itself"] - main_score(VA, found.merged)
    assert len(found.facts["stack_by_fold"]) == 5
    for block in found.facts["stack_by_fold"]:
        scores = {float(strength): score for strength, score in block["chosen_among"].items()}
        assert block["strength"] == max(scores, key=lambda one: (scores[one], -one))
        assert block["inputs"] == 6


def test_an_answer_of_one_label_is_averaged_and_few_frames_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    those = [
        [replace(v, targets={**v.targets, "AU1": np.where(np.isfinite(v.targets["AU1"]), 0.0, np.nan)}) for v in member]
        for member in members(MTL)
    ]
    monkeypatch.setattr(stacking, "CAP", 50)
    stack = fit_stack(those, MTL)
    assert stack.block["averaged"] == ["AU1"]
    assert stack.block["frames"] == 50
    got, mean = stack.merge(those), merge(those, MTL)
    np.testing.assert_array_equal(column(got, "AU1"), column(mean, "AU1"))
    assert not np.allclose(column(got, "AU2"), column(mean, "AU2"))


def test_a_single_group_is_averaged() -> None:
    those = members(VA, n_videos=1)
    found = cross_fit(those, VA, "stack", "val")
    np.testing.assert_array_equal(column(found.merged, "valence"), column(merge(those, VA), "valence"))
    assert found.facts["stack_by_fold"][0]["averaged"] == ["valence", "arousal"]


def test_frames_that_no_member_saw_are_not_learned_from() -> None:
    those = members(VA)
    seen = [np.arange(40) % 3 > 0 for _ in those[0]]
    hidden = [[replace(v, present={"face": mask}) for v, mask in zip(member, seen, strict=True)] for member in those]
    known = sum(
        int((mask & np.isfinite(np.stack(list(v.targets.values()))).any(0)).sum())
        for v, mask in zip(those[0], seen, strict=True)
    )
    assert fit_stack(hidden, VA).block["frames"] == known
