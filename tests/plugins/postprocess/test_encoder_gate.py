"""The gate on an encoder's own classes against a frame-by-frame reading of its rule, and a search by brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score

from plugins.postprocess.encoder_gate import THRESHOLDS, WIDTHS, EncoderGate
from tests.support.refusals import refused
from zoo.api import Answer, VideoAnswers
from zoo.errors import UserError

EXPRESSION = Answer("expression", "class", -1, classes=("a", "b", "c", "other"))


def video(seed: int = 0, n: int = 120, slots: tuple[str, ...] = ("face", "face.b")) -> VideoAnswers:
    """A model that is right by chance; encoders that are right where they are sure, and never say ``other``."""
    random = np.random.default_rng(seed)
    times = np.cumsum(random.choice([1 / 30, 1 / 15], n))
    target = np.repeat(random.integers(0, 3, n // 20), 20)
    extra = {}
    for slot in slots:
        sure = np.repeat(random.uniform(0.3, 0.9, n // 20), 20)
        said = np.where(sure > 0.55, target, (target + 1) % 3)
        logits = 4 * sure[:, None] * np.eye(5)[said] + random.standard_normal((n, 5))  # the fifth class has no partner
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        extra[f"own.{slot}.expression"] = np.concatenate([p[:, :3], np.zeros((n, 1))], 1)
    present = {slot: random.random(n) > 0.2 for slot in slots}
    values = {"expression": random.dirichlet([1.0] * 4, n)}
    return VideoAnswers(f"v{seed}", f"v{seed}", values, {"expression": target * 1.0}, present, times, extra)


def f1(videos: list[VideoAnswers]) -> float:
    videos = list(videos)
    said = np.concatenate([v.values["expression"].argmax(1) for v in videos])
    true = np.concatenate([v.targets["expression"] for v in videos])
    return float(f1_score(true, said, average="macro", labels=range(4), zero_division=0))


def by_hand(v: VideoAnswers, slot: str, threshold: float, width: float) -> np.ndarray:
    """The rule, one frame after the other."""
    own, seen, out = v.extra[f"own.{slot}.expression"], v.present[slot], v.values["expression"].copy()
    for t in range(len(out)):
        near = [k for k in range(len(out)) if seen[k] and abs(v.times[k] - v.times[t]) <= width / 2 + 1e-9]
        if seen[t]:
            q = np.mean([own[k] for k in near], axis=0)
            if q.max() > threshold:
                out[t] = q / q.sum()
    return out


@pytest.mark.parametrize(("slot", "threshold", "width"), [("face", 0.6, 0.0), ("face.b", 0.5, 0.8), ("face", 0.0, 3.2)])
def test_a_frame_is_replaced_where_the_slot_is_seen_and_sure(slot: str, threshold: float, width: float) -> None:
    v = video()
    done = EncoderGate((EXPRESSION,), slot, threshold, width).apply(v).values["expression"]
    np.testing.assert_allclose(done, by_hand(v, slot, threshold, width), rtol=1e-10, atol=1e-12)
    changed = (done != v.values["expression"]).any(1)
    assert 0 < changed.sum() <= v.present[slot].sum()
    assert not (done[changed].argmax(1) == 3).any(), "the encoder has no such class"
    if threshold == 0:
        np.testing.assert_array_equal(changed, v.present[slot])


def test_fit_finds_the_best_of_all_choices() -> None:
    videos = [video(seed) for seed in range(4)]
    post = EncoderGate((EXPRESSION,))
    post.fit(videos, f1)
    tried = {(1.0, 0.0): f1(videos)}
    for width in WIDTHS:
        for threshold in THRESHOLDS:
            done = [replace(v, values={"expression": by_hand(v, "face", threshold, width)}) for v in videos]
            tried[threshold, width] = f1(done)
    top = max(tried.values())
    best = max((one for one, value in tried.items() if value == top), key=lambda one: (one[0], -one[1]))
    assert post.state() == {"slot": "face", "threshold": best[0], "width": best[1]}
    assert top > tried[1.0, 0.0] + 0.1


def test_not_fitted_or_without_gain_nothing_is_replaced() -> None:
    v = video()
    post = EncoderGate((EXPRESSION,))
    np.testing.assert_array_equal(post.apply(v).values["expression"], v.values["expression"])
    post.fit([v], lambda videos: float("nan") if list(videos) else 0.0)
    assert (post.threshold, post.width) == (1.0, 0.0)
    post.fit([v], lambda videos: 0.0)
    assert post.threshold == 1.0


def test_given_values_stay() -> None:
    post = EncoderGate((EXPRESSION,), threshold=0.7)
    post.fit([video()], f1)
    assert post.threshold == 0.7
    post = EncoderGate((EXPRESSION,), "face.b", width=1.6)
    post.fit([video()], f1)
    assert (post.slot, post.width) == ("face.b", 1.6)
    post = EncoderGate((EXPRESSION,), None, 0.7, 0.8)
    post.fit([video()], lambda videos: pytest.fail("nothing is left to choose"))
    assert post.state() == {"slot": "face", "threshold": 0.7, "width": 0.8}


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match=r"no class scores of slot 'body', only of face, face\.b"):
        EncoderGate((EXPRESSION,), "body").apply(video())
    with pytest.raises(UserError, match="of an encoder by itself, only of none"):
        EncoderGate((EXPRESSION,)).fit([video(slots=())], f1)
    for options in ({"threshold": 1.5}, {"threshold": -0.1}):
        with refused("option-out-of-range"):
            EncoderGate((EXPRESSION,), **options)
    with refused("option-too-small", name="width"):
        EncoderGate((EXPRESSION,), width=-1.0)


def test_a_frame_is_final_once_its_window_has_ended() -> None:
    v = video()
    assert EncoderGate((EXPRESSION,), "face", 0.5, 0.0).settled(v) == len(v.times)
    done = EncoderGate((EXPRESSION,), "face", 0.5, 0.8).settled(v)
    assert v.times[done - 1] + 0.4 < v.times[-1] <= v.times[done] + 0.4 + 1e-6
