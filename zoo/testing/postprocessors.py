"""Rules for post-processors: decoded predictions for a video -> better ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zoo.api import Answer, PostSpec, VideoAnswers
from zoo.testing.comparisons import defaults, expect_options_matter, no_network
from zoo.testing.rules import Check, Excused, checks_of, construct, describe, expect, run_all

ANSWERS = (
    Answer("valence", "value", -5),
    Answer("pain", "value", -1, low=0.0, high=5.0),
    Answer("expression", "class", -1, classes=("calm", "glad", "sad", "other")),
    Answer("AU1", "binary", -1),
)

SLOTS = ("face", "audio", "other")
"""Slots with predictions of their own. The rule *options* gives ``other`` to an option that is text."""


@dataclass(frozen=True)
class PostCase:
    """A post-processor's spec with the options to check it with.

    Attributes:
        spec: The post-processor's spec.
        options: Options in place of the defaults.
        values: Other values for the rule *options*.
    """

    spec: PostSpec
    options: Mapping[str, Any]
    values: Mapping[str, Any]

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Answers of the kinds that the spec allows."""
        return tuple(answer for answer in ANSWERS if answer.kind in self.spec.kinds)

    def build(self, **changed: Any) -> Any:
        """Build the post-processor, not fitted.

        Args:
            **changed: Options in place of the case's.

        Returns:
            The post-processor.
        """
        return construct(self.spec, self.answers, **defaults(self.spec, {**self.options, **changed}))

    def fitted(self, **changed: Any) -> Any:
        """Build the post-processor and fit it on all the videos.

        Args:
            **changed: Options in place of the case's.

        Returns:
            The post-processor.
        """
        post = self.build(**changed)
        post.fit(self.videos(), score)
        return post

    def videos(self) -> list[VideoAnswers]:
        """Return three videos of 60, 25 and 1 frames at varying frame rates.

        They have noisy predictions, unlabelled frames, and frames at which slots are absent. In the second video no
        slot is ever present.

        Returns:
            The videos.
        """
        return [make_video(self.answers, n, seed) for seed, n in enumerate((60, 25, 1))]


def postprocessor_checks(spec: PostSpec, *, values: Mapping[str, Any] | None = None, **options: Any) -> list[Check]:
    """Return every rule for a post-processor, one by one.

    See ``head_checks`` for an example.

    Args:
        spec: The post-processor's spec.
        values: Other values for the rule *options*.
        **options: Options in place of the defaults.

    Returns:
        The checks.
    """
    return checks_of(spec.name, RULES, PostCase(spec, options, values or {}))


def check_postprocessor(spec: PostSpec, *, values: Mapping[str, Any] | None = None, **options: Any) -> None:
    """Run every rule for a post-processor.

    See ``check_head`` for an example.

    Args:
        spec: The post-processor's spec.
        values: Other values for the rule *options*.
        **options: Options in place of the defaults.

    Raises:
        ConformanceError: The first rule that is broken.
    """
    run_all(postprocessor_checks(spec, values=values, **options))


def make_video(answers: tuple[Answer, ...], n: int, seed: int) -> VideoAnswers:
    """Make one synthetic video.

    ``extra`` has the slots' class predictions, named as the harness names them: ``slot.<slot>.<answer>``; and those of
    encoders by themselves, ``own.<slot>.<answer>``, which never have the last class and leave a tenth to classes that
    the track lacks.

    Args:
        answers: The answers.
        n: Number of frames.
        seed: Seed of the video; with an odd one no slot is ever present.

    Returns:
        The video.
    """
    random = np.random.default_rng(seed)
    times = np.cumsum(random.choice([1 / 30, 1 / 15], n)) - 1 / 30
    values: dict[str, np.ndarray] = {}
    targets: dict[str, np.ndarray] = {}
    for answer in answers:
        period = 0.4 if len(values) % 2 else 3.0  # seconds; one width of a filter does not suit both
        wave = (np.sin(2 * np.pi * times / period + len(values)) + 1) / 2
        noisy = wave + 0.2 * random.standard_normal(n)
        if answer.kind == "class":
            scores = np.exp(random.standard_normal((n, len(answer.classes))))
            values[answer.name] = scores / scores.sum(1, keepdims=True)
            targets[answer.name] = (wave * len(answer.classes)).astype(int).clip(0, len(answer.classes) - 1) * 1.0
        elif answer.kind == "binary":
            values[answer.name], targets[answer.name] = noisy.clip(0, 1), (wave > 0.5) * 1.0
        else:
            values[answer.name] = answer.low + (answer.high - answer.low) * noisy  # partly out of range
            targets[answer.name] = answer.low + (answer.high - answer.low) * wave
        targets[answer.name][random.random(n) < 0.2] = np.nan
    present = {slot: (random.random(n) > 0.4) & (seed % 2 == 0) for slot in ("face", "audio")}
    extra: dict[str, np.ndarray] = {}
    for slot in SLOTS:  # class predictions that are right more often than not, with varying confidence
        for answer in answers:
            if answer.kind == "class":
                hit = np.eye(len(answer.classes))[np.nan_to_num(targets[answer.name]).astype(int)]
                scores = np.exp(3 * hit * random.random((n, 1)) + random.standard_normal((n, len(answer.classes))))
                extra[f"slot.{slot}.{answer.name}"] = scores / scores.sum(1, keepdims=True)
                scores = scores * (np.arange(scores.shape[1]) < scores.shape[1] - 1)
                extra[f"own.{slot}.{answer.name}"] = 0.9 * scores / scores.sum(1, keepdims=True)
    return VideoAnswers(f"video{seed}", f"group{seed}", values, targets, present, times, extra)


def score(videos: list[VideoAnswers]) -> float:
    """Return the negative mean squared error of the predictions.

    Args:
        videos: The videos.

    Returns:
        The score; higher is better.
    """
    errors = []
    for video in videos:
        for name, target in video.targets.items():
            labelled = ~np.isnan(target)
            got, truth = video.values[name][labelled], target[labelled]
            if got.ndim > 1:
                truth = np.eye(got.shape[1])[truth.astype(int)]
            errors.append((got - truth).ravel() ** 2)
    return -float(np.concatenate(errors).mean())


def _expect_equal(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], fault: str) -> None:
    expect(a.keys() == b.keys(), f"{fault}: {sorted(a)} becomes {sorted(b)}")
    for name in a:
        same = np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f")
        expect(same, f"{name}: {fault}", f"{describe(a[name])} before, {describe(b[name])} after")


# --- rules ------------------------------------------------------------------------------------------------------------


def offline(case: PostCase) -> None:
    """Check that building does not access the network.

    Machines that make predictions often have none.
    """
    with no_network():
        case.build()


def shape(case: PostCase) -> None:
    """Check that predictions keep their names, shapes and finiteness, and that everything else is unchanged.

    Scores and submissions are made from the result, by these names and rows.

    This includes videos of one frame and videos in which no slot is ever present.
    """
    post = case.fitted()
    for video in case.videos():
        done = post.apply(video)
        expect(isinstance(done, VideoAnswers), f"apply gives a {type(done).__name__}, not VideoAnswers")
        expect(
            done.values.keys() == video.values.keys(),
            f"the answers {sorted(video.values)} become {sorted(done.values)}",
        )
        for name, before in video.values.items():
            after = done.values[name]
            expect(after.shape == before.shape, f"{name} of shape {before.shape} becomes {after.shape}")
            fault = f"{name} of {len(before)} frames is not finite any more"
            expect(np.isfinite(after).all(), fault, describe(after))
        _expect_equal(video.targets, done.targets, "the targets change")
        _expect_equal(video.present, done.present, "the masks change")
        same = (done.video, done.group) == (video.video, video.group) and np.array_equal(done.times, video.times)
        expect(same, "the video's name, group or times change")


def probabilities(case: PostCase) -> None:
    """Check that probabilities stay in [0, 1] and those of classes add up to 1.

    The next post-processor, and ensembles of several runs, rely on it.
    """
    post = case.fitted()
    for video in case.videos():
        done = post.apply(video)
        for answer in case.answers:
            p = done.values[answer.name]
            if answer.kind != "value":
                expect(((p >= 0) & (p <= 1)).all(), f"{answer.name}: a probability leaves [0, 1]", describe(p))
            if answer.kind == "class":
                fault = f"{answer.name}: class probabilities do not add up to 1"
                expect(np.allclose(p.sum(-1), 1), fault, f"sums {describe(p.sum(-1))}")


def inputs_untouched(case: PostCase) -> None:
    """Check that neither fit nor apply changes the arrays it is given.

    The raw predictions are scored as well as the processed ones, from the same arrays.
    """
    videos, fresh = case.videos(), case.videos()
    post = case.build()
    post.fit(videos, score)
    for video, untouched in zip(videos, fresh, strict=True):
        post.apply(video)
        for field in ("values", "targets", "present", "extra"):
            _expect_equal(getattr(untouched, field), getattr(video, field), f"the given {field} are changed in place")


def one_by_one(case: PostCase) -> None:
    """Check that a video's predictions do not depend on the videos processed before it.

    Otherwise a score depends on the order of a folder.
    """
    post = case.fitted()
    first, second, third = case.videos()
    before = post.apply(first).values
    post.apply(second)
    post.apply(third)
    _expect_equal(before, post.apply(first).values, "the answers depend on the videos processed before")


def blind(case: PostCase) -> None:
    """Check that apply does not use the targets: test videos have none.

    A score that was made with the labels it is computed from means nothing.
    """
    post = case.fitted()
    for video in case.videos():
        hidden = replace(video, targets={name: np.full_like(t, np.nan) for name, t in video.targets.items()})
        _expect_equal(post.apply(video).values, post.apply(hidden).values, "apply looks at the targets")


def state(case: PostCase) -> None:
    """Check that the fitted state is plain data (JSON), and that a post-processor built with it as options is the same.

    The record keeps it, and the predictions for test videos are made from it.
    """
    post = case.fitted()
    try:
        kept = json.loads(json.dumps(post.state()))
    except TypeError as error:
        expect(False, f"state() is not plain data: {error}")
    again = construct(case.spec, case.answers, **{**defaults(case.spec, case.options), **kept})
    for video in case.videos():
        fault = "built again with its state it gives other answers"
        _expect_equal(post.apply(video).values, again.apply(video).values, fault)


def options(case: PostCase) -> None:
    """Check that every option makes a difference.

    An option without effect wastes the time of everyone who compares its values.
    """

    def outcome(**chosen: Any) -> list[Any]:
        post = case.fitted(**chosen)
        return [a.tolist() for video in case.videos() for a in post.apply(video).values.values()]

    expect_options_matter(case.spec, case.options, case.values, outcome)


def repeatable(case: PostCase) -> None:
    """Check that two post-processors built and fitted in the same way give equal predictions, and so do two calls.

    A run is repeated from its seed: the processed score is part of the record's result.
    """
    one, two = case.fitted(), case.fitted()
    for video in case.videos():
        done = one.apply(video).values
        _expect_equal(done, one.apply(video).values, "a second call gives other answers")
        _expect_equal(done, two.apply(video).values, "another one, fitted on the same videos, gives other answers")


def precisions(case: PostCase) -> None:
    """Check that predictions in float32 are processed like those in float64.

    The network predicts in float32; tables and ensembles are in float64.

    The result is finite, of the same shape, and differs by less than 1e-3.
    """
    first, second = case.fitted(), case.fitted()
    for video in case.videos():
        low = replace(video, values={name: values.astype(np.float32) for name, values in video.values.items()})
        usual, done = first.apply(video).values, second.apply(low).values
        for name, values in done.items():
            fine = values.shape == usual[name].shape and np.isfinite(values).all()
            expect(fine, f"{name}: float32 answers become {describe(values)}")
            gap = float(np.abs(values - usual[name]).max(initial=0))
            expect(gap < 1e-3, f"{name}: float32 answers are processed otherwise than float64 ones (by {gap:.2g})")


def settled(case: PostCase) -> None:
    """Check that frames reported as settled stay as they are if more frames of the video follow.

    `harness predict` writes them while it reads the video, and does not take them back.
    """
    post = case.fitted()
    if not hasattr(post, "settled"):
        raise Excused("it has no method settled, so rows of a video wait for its end")
    for video in case.videos():
        whole = post.apply(video).values
        for known in range(1, len(video.times) + 1):
            first = video.part(0, known)
            count = post.settled(first)
            if count is None:
                continue
            expect(0 <= count <= known, f"settled gives {count} of {known} frames")
            early = {name: rows[:count] for name, rows in post.apply(first).values.items()}
            late = {name: rows[:count] for name, rows in whole.items()}
            _expect_equal(late, early, f"settled gives {count} of {known} frames, which change later")


RULES = (
    offline,
    shape,
    probabilities,
    inputs_untouched,
    one_by_one,
    blind,
    state,
    options,
    repeatable,
    precisions,
    settled,
)
