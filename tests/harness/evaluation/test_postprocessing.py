"""Cross-fitting: what is fitted never sees the videos it is applied to."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from harness.evaluation.folds import folds_of
from harness.evaluation.postprocessing import Chain, apply_folds, fit_folds, mean_optimism, optimism
from harness.evaluation.scoring import main_score, score_block
from tests.support.refusals import Part, refused
from zoo import api
from zoo.api import Answer, TrackSpec, VideoAnswers
from zoo.metrics import scores as metrics
from zoo.registry.plan import Block

ANSWERS = (Answer("valence", "value", -5), Answer("arousal", "value", -5))
TRACK = TrackSpec("va", ANSWERS, "mean_ccc", (-1, 1), (), (), "keyed", "")


def video(name: str, group: str, n: int = 40) -> VideoAnswers:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    targets = {a.name: rng.normal(size=n).cumsum() * 0.1 for a in ANSWERS}
    targets["valence"][:5] = np.nan
    values = {a: t + rng.normal(size=n) * 0.2 for a, t in targets.items()}
    values["valence"][:5] = 9.0
    return VideoAnswers(name, group, values, targets, {"face": np.ones(n, bool)}, np.arange(n) / 30)


class Spy:
    """Remembers what it was fitted on; adds nothing."""

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        self.saw: set[str] = set()

    def fit(self, videos: list[VideoAnswers], score: Callable[[list[VideoAnswers]], float]) -> None:
        self.saw = {video.group for video in videos}
        assert np.isfinite(score(videos))

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        return dataclasses.replace(video, extra={"saw": np.array(sorted(self.saw))})

    def state(self) -> dict[str, Any]:
        return {"saw": sorted(self.saw)}


def cross_fit(
    blocks: Sequence[Block], track: TrackSpec, videos: Sequence[VideoAnswers], *by_fold: Any
) -> tuple[list[VideoAnswers], list[dict[str, Any]]]:
    """Each video processed with values fitted on the other folds of groups; and the fitted values."""
    chains = fit_folds(blocks, track, videos, *by_fold)
    return apply_folds(chains, videos), [chain.state() for chain in chains.values()]


BLOCKS = [Block(api.PostSpec("spy", Spy), {})]
VIDEOS = [video(f"v{i}", f"g{i // 2}") for i in range(14)]  # 7 groups of two videos


def test_no_group_is_processed_with_values_fitted_on_it() -> None:
    out, states = cross_fit(BLOCKS, TRACK, VIDEOS)
    assert [v.video for v in out] == [v.video for v in VIDEOS]
    assert len(states) == 5
    for got in out:
        others = {
            g
            for g, fold in folds_of([v.group for v in VIDEOS]).items()
            if fold != folds_of([v.group for v in VIDEOS])[got.group]
        }
        assert set(got.extra["saw"]) == others


def test_one_group_alone_is_fitted_on_nothing() -> None:
    out, states = cross_fit(BLOCKS, TRACK, [video("a", "g"), video("b", "g")])
    assert states == [{"spy": {"saw": []}}]
    assert all(len(v.extra["saw"]) == 0 for v in out)


def test_answers_made_by_fold_are_fitted_as_made_without_the_fold() -> None:
    """Each fold's chain sees the others as that fold's own weights made them, never as made with its labels."""
    fold = folds_of([v.group for v in VIDEOS])
    made = {f: [dataclasses.replace(v, group=v.group, extra={"made": np.array([f])}) for v in VIDEOS] for f in range(5)}
    own = [made[fold[v.group]][i] for i, v in enumerate(VIDEOS)]
    seen: dict[int, set[int]] = {}

    class Note(Spy):
        def fit(self, videos: list[VideoAnswers], score: Callable[[list[VideoAnswers]], float]) -> None:
            super().fit(videos, score)
            self.made = {int(video.extra["made"][0]) for video in videos}

        def apply(self, video: VideoAnswers) -> VideoAnswers:
            seen.setdefault(int(video.extra["made"][0]), set()).update(self.made)
            return video

    out, _ = cross_fit([Block(api.PostSpec("note", Note), {})], TRACK, own, made)
    assert [v.extra["made"][0] for v in out] == [fold[v.group] for v in VIDEOS]
    assert seen == {f: {f} for f in range(5)}


class Offset:
    """Learns the mean error, so that what it is fitted on flatters it."""

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        self.names, self.by = [a.name for a in answers], dict.fromkeys((a.name for a in answers), 0.0)

    def fit(self, videos: list[VideoAnswers], score: Callable[[list[VideoAnswers]], float]) -> None:
        for name in self.names:
            self.by[name] = float(np.nanmean(np.concatenate([v.targets[name] - v.values[name] for v in videos])))

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        return dataclasses.replace(video, values={name: video.values[name] + self.by[name] for name in self.names})

    def state(self) -> dict[str, Any]:
        return dict(self.by)


def test_optimism_is_what_fitting_on_the_scored_frames_adds() -> None:
    blocks = [Block(api.PostSpec("offset", Offset), {})]
    rng = np.random.default_rng(1)
    moved = [
        dataclasses.replace(v, values={name: x + rng.normal() * 0.5 for name, x in v.values.items()}) for v in VIDEOS
    ]
    out, _ = cross_fit(blocks, TRACK, moved)
    honest = main_score(TRACK, out)
    whole = Chain(blocks, TRACK).fit(moved)
    got = optimism(whole, moved, honest)
    assert got["fitted_on_itself"] == main_score(TRACK, [whole.apply(v) for v in moved])
    assert got["optimism"] == got["fitted_on_itself"] - honest
    assert got["optimism"] > 0.001
    nothing = optimism(Chain([], TRACK).fit(VIDEOS), VIDEOS, main_score(TRACK, VIDEOS))
    assert nothing["optimism"] == 0
    assert mean_optimism([got, {"fitted_on_itself": 0.0, "optimism": 0.0}])["optimism"] == got["optimism"] / 2
    assert mean_optimism([got, {}]) == {}


def test_chains_of_folds_serve_other_answers_to_the_same_videos() -> None:
    chains = fit_folds(BLOCKS, TRACK, VIDEOS)
    other = [dataclasses.replace(v, values={name: -x for name, x in v.values.items()}) for v in VIDEOS]
    got, (wanted, _) = apply_folds(chains, other), cross_fit(BLOCKS, TRACK, VIDEOS)
    for mine, theirs in zip(got, wanted, strict=True):
        assert mine.extra["saw"].tolist() == theirs.extra["saw"].tolist()
        np.testing.assert_array_equal(mine.values["arousal"], -theirs.values["arousal"])


def test_a_chain_leaves_out_parts_for_other_kinds_of_answers() -> None:
    chain = Chain([Block(api.PostSpec("au_only", Spy, kinds=("binary",)), {}), *BLOCKS], TRACK)
    assert list(chain.parts) == ["spy"]


class Recall(Spy):
    """Answers with the targets of the groups that it was fitted on, and with nonsense for all others."""

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        known = video.group in self.saw
        return dataclasses.replace(video, values={n: t if known else -x for (n, x), t in _pairs(video)})


def _pairs(video: VideoAnswers) -> list[tuple[tuple[str, np.ndarray], np.ndarray]]:
    return [((name, x), np.nan_to_num(video.targets[name])) for name, x in video.values.items()]


class Shift(Spy):
    """Takes the mean error away, which all videos share."""

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        super().__init__(answers)
        self.by = {answer.name: 0.0 for answer in answers}

    def fit(self, videos: list[VideoAnswers], score: Callable[[list[VideoAnswers]], float]) -> None:
        super().fit(videos, score)
        for name in self.by:
            self.by[name] = float(np.nanmean(np.concatenate([v.values[name] - v.targets[name] for v in videos])))

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        moved = super().apply(video)
        return dataclasses.replace(moved, values={name: x - self.by[name] for name, x in video.values.items()})


def test_a_part_that_needs_a_gain_is_judged_by_videos_that_it_was_not_fitted_on() -> None:
    """What remembers its videos would look perfect on them; what all videos share is a gain."""
    moved = [dataclasses.replace(v, values={name: x + 0.5 for name, x in v.values.items()}) for v in VIDEOS]
    recall = Block(api.PostSpec("recall", Recall, needs_gain=True), {})
    shift = Block(api.PostSpec("shift", Shift, needs_gain=True), {})
    chain = Chain([recall, shift, *BLOCKS], TRACK).fit(moved)
    assert chain.gains["recall"] < 0 < chain.gains["shift"]
    assert list(chain.parts) == ["shift", "spy"]
    assert set(chain.state()) == {"shift", "spy"}
    fold = folds_of([v.group for v in moved])
    by_hand = []
    for f in set(fold.values()):
        part = Shift(ANSWERS)
        part.fit([v for v in moved if fold[v.group] != f], lambda videos: 0.0)
        by_hand += [part.apply(v) for v in moved if fold[v.group] == f]
    np.testing.assert_allclose(chain.gains["shift"], main_score(TRACK, by_hand) - main_score(TRACK, moved))
    for video in moved:
        np.testing.assert_allclose(chain.apply(video).values["arousal"], video.values["arousal"] - 0.5, atol=0.1)


def test_one_group_cannot_show_a_gain_and_nothing_is_applied_before_the_fit() -> None:
    shift = Block(api.PostSpec("shift", Shift, needs_gain=True), {})
    one = [dataclasses.replace(v, group="g") for v in VIDEOS]
    chain = Chain([shift], TRACK)
    assert chain.apply(one[0]) is one[0]
    assert np.isnan(chain.fit(one).gains["shift"])
    assert chain.parts == {}


def test_gains_of_each_fold_come_from_other_folds() -> None:
    shift = Block(api.PostSpec("shift", Shift, needs_gain=True), {})
    moved = [dataclasses.replace(v, values={name: x + 0.5 for name, x in v.values.items()}) for v in VIDEOS]
    fold = folds_of([v.group for v in moved])
    for f, chain in fit_folds([shift], TRACK, moved).items():
        others = [v for v in moved if fold[v.group] != f]
        assert chain.gains == Chain([shift], TRACK).fit(others).gains


def test_the_block_is_the_pooled_score_and_its_leave_one_out_scores() -> None:
    block = score_block(TRACK, VIDEOS)
    assert block is not None

    def pooled(videos: list[VideoAnswers]) -> float:
        figures = []
        for answer in ("valence", "arousal"):
            p = np.concatenate([v.values[answer] for v in videos])
            t = np.concatenate([v.targets[answer] for v in videos])
            figures.append(metrics.ccc(p[np.isfinite(t)], t[np.isfinite(t)]))
        return float(np.mean(figures))

    np.testing.assert_allclose(block["main"], pooled(VIDEOS), rtol=1e-9)
    np.testing.assert_allclose(main_score(TRACK, VIDEOS), pooled(VIDEOS), rtol=1e-9)
    assert block["groups"] == [f"g{i}" for i in range(7)]
    for group, left in zip(block["groups"], block["leave_one_out"], strict=True):
        np.testing.assert_allclose(left, pooled([v for v in VIDEOS if v.group != group]), rtol=1e-9)
    assert block["low"] < block["main"] < block["high"]
    assert block["videos"] == 14


def test_frames_without_a_face_leave_the_second_figure() -> None:
    crop = np.arange(40) >= 20
    videos = [dataclasses.replace(v, extra={"crop": crop}) for v in VIDEOS]
    block = score_block(TRACK, videos, with_face=True)
    assert block is not None
    assert block["frames"] == 14 * 20
    assert score_block(TRACK, VIDEOS, with_face=True) is None


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda x: np.where(np.arange(len(x)) == 7, np.nan, x), "valence: nan at frame 8"),
        (lambda x: x[1:], "valence: float64 of shape (39,)"),
        (lambda x: x.astype(str), "valence: "),
    ],
)
@pytest.mark.parametrize("needs_gain", [False, True])
def test_an_answer_that_cannot_be_scored_names_the_post_processor(change, got, needs_gain) -> None:
    class Wrong(Spy):
        def apply(self, video: VideoAnswers) -> VideoAnswers:
            return dataclasses.replace(video, values={**video.values, "valence": change(video.values["valence"])})

    with refused("post-answer", name="wrong", got=Part(got)):
        cross_fit([Block(api.PostSpec("wrong", Wrong, needs_gain=needs_gain), {})], TRACK, VIDEOS)


@pytest.mark.parametrize(("answer", "got"), [(lambda video: None, "a NoneType"), (None, "no valence")])
def test_an_answer_that_lacks_something_names_the_post_processor(answer, got) -> None:
    class Lacking(Spy):
        apply = staticmethod(answer or (lambda video: dataclasses.replace(video, values={})))

    with refused("post-answer", name="lacking", got=got):
        cross_fit([Block(api.PostSpec("lacking", Lacking), {})], TRACK, VIDEOS)


def test_without_any_label_of_an_answer_there_is_no_score() -> None:
    bare = [dataclasses.replace(v, targets={**v.targets, "arousal": np.full(40, np.nan)}) for v in VIDEOS]
    assert score_block(TRACK, bare) is None
