"""The confidence gate against a frame-by-frame reading of its rule."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from plugins.postprocess.confidence_gate import THRESHOLDS, ConfidenceGate
from tests.support.refusals import refused
from zoo.api import Answer, VideoAnswers

EXPRESSION = Answer("expression", "class", -1, classes=("a", "b", "c", "d"))


def video(seed: int = 0, n: int = 200, slots: tuple[str, ...] = ("face", "audio")) -> VideoAnswers:
    """An answer that is right by chance; the slots' own ones are right where they are sure (above 0.7), wrong below."""
    random = np.random.default_rng(seed)
    target = random.integers(0, 4, n)
    values = random.dirichlet([1.0] * 4, n)
    extra = {"crop": np.ones(n, bool)}
    for slot in slots:
        confidence = random.uniform(0.4, 1.0, n)
        said = np.where(confidence > 0.7, target, (target + 1) % 4)
        own = np.repeat((1 - confidence)[:, None] / 3, 4, axis=1)
        own[np.arange(n), said] = confidence
        extra[f"slot.{slot}.expression"] = own
    present = {slot: random.random(n) > 0.2 for slot in ("face", "audio")}
    return VideoAnswers(
        "v", "g", {"expression": values}, {"expression": target * 1.0}, present, np.arange(n) / 30, extra
    )


def accuracy(videos: list[VideoAnswers]) -> float:
    right = [v.values["expression"].argmax(1) == v.targets["expression"] for v in videos]
    return float(np.concatenate(right).mean())


@pytest.mark.parametrize("slot", ["face", "audio"])
def test_the_sure_frames_of_a_present_slot_are_replaced_and_no_others(slot):
    v = video()
    done = ConfidenceGate((EXPRESSION,), slot, 0.6).apply(v).values["expression"]
    replaced = 0
    for k in range(200):
        own = v.extra[f"slot.{slot}.expression"][k]
        wins = own.max() > 0.6 and v.present[slot][k]
        np.testing.assert_array_equal(done[k], own if wins else v.values["expression"][k])
        replaced += wins
    assert 60 < replaced < 140


def test_fit_finds_where_the_slot_can_be_trusted():
    v = video()
    post = ConfidenceGate((EXPRESSION,))
    post.fit([v, video(1)], accuracy)
    assert post.state() == {"slot": "face", "threshold": 0.7}
    assert accuracy([post.apply(v)]) > accuracy([v]) + 0.2


def test_of_equal_scores_the_shyest_is_taken_and_nan_never():
    post = ConfidenceGate((EXPRESSION,))
    post.fit([video()], lambda videos: 0.0)
    assert post.threshold == 1.0
    scores = iter([np.nan, 0.1, *[np.nan] * (len(THRESHOLDS) - 2)])
    post.fit([video()], lambda videos: next(scores))
    assert post.threshold == THRESHOLDS[1]


def test_not_fitted_nothing_is_replaced_and_a_given_threshold_stays():
    v = video()
    np.testing.assert_array_equal(ConfidenceGate((EXPRESSION,)).apply(v).values["expression"], v.values["expression"])
    post = ConfidenceGate((EXPRESSION,), threshold=0.45)
    post.fit([v], accuracy)
    assert post.state() == {"slot": "face", "threshold": 0.45}


def test_the_state_makes_the_same_gate():
    v = video()
    post = ConfidenceGate((EXPRESSION,), "audio")
    post.fit([v], accuracy)
    again = ConfidenceGate((EXPRESSION,), **json.loads(json.dumps(post.state())))
    again.fit([v], lambda videos: 0.0)
    np.testing.assert_array_equal(again.apply(v).values["expression"], post.apply(v).values["expression"])
    assert again.state() == post.state()


def test_names_of_slots_and_answers_may_hold_dots():
    v = video(slots=("face.b",))
    answer = replace(EXPRESSION, name="mood.now")
    v = replace(
        v,
        values={"mood.now": v.values["expression"]},
        extra={"slot.face.b.mood.now": v.extra["slot.face.b.expression"]},
    )
    post = ConfidenceGate((answer,), threshold=0.6)
    post.fit([v], lambda videos: 0.0)
    assert post.slot == "face.b"
    assert (post.apply(v).values["mood.now"] != v.values["mood.now"]).any()


@pytest.mark.parametrize(
    ("slot", "slots", "message"),
    [
        (None, (), ": v .*single slots.* --fusion late"),
        ("body", ("face", "audio"), ": v .*'body', .*face, audio; .*fusion.per_slot=0.3"),
    ],
)
def test_missing_answers_are_named_with_what_to_do(slot, slots, message):
    post = ConfidenceGate((EXPRESSION,), slot)
    for act in (lambda: post.fit([video(slots=slots)], accuracy), lambda: post.apply(video(slots=slots))):
        with refused("plugin-error", match=message):
            act()


def test_a_threshold_that_is_no_probability_is_named():
    with refused("plugin-error", match="confidence_gate: threshold is 70.0"):
        ConfidenceGate((EXPRESSION,), threshold=70.0)
