"""Every rule for post-processors can fail: sound ones keep them all, wrong ones break the one they are meant to."""

from __future__ import annotations

import socket

import numpy as np
import pytest

from tests.support.conformance import broken, unproved
from zoo import api, testing
from zoo.api import Option

RANDOM = iter(np.linspace(0.1, 0.9, 100))


class Scale:
    """A sound post-processor: values times a factor."""

    def __init__(self, answers, factor=None):
        self.names = [a.name for a in answers if a.kind == "value"]
        self.answers, self.fixed = answers, factor
        self.factor = 1.0 if factor is None else factor

    def fit(self, videos, score):
        if self.fixed is None:
            self.factor = 0.9

    def apply(self, video):
        scaled = {name: video.values[name] * self.factor for name in self.names}
        return api.VideoAnswers(
            video.video, video.group, {**video.values, **scaled}, video.targets, video.present, video.times
        )

    def state(self):
        return {"factor": self.factor}


class OnlinePost(Scale):
    def __init__(self, answers, factor=None):
        super().__init__(answers, factor)
        socket.getaddrinfo("localhost", 80)


class Shortens(Scale):
    def apply(self, video):
        done = super().apply(video)
        return api.VideoAnswers(
            done.video, done.group, {k: v[:-1] for k, v in done.values.items()}, done.targets, done.present, done.times
        )


class Improper(Scale):
    def __init__(self, answers, factor=None):
        super().__init__(answers, factor)
        self.names = [a.name for a in answers]


class InPlace(Scale):
    def apply(self, video):
        for name in self.names:
            video.values[name][...] *= self.factor
        return video


class Remembers(Scale):
    last = 0.0

    def apply(self, video):
        done = super().apply(video)
        shifted = {name: done.values[name] + self.last for name in self.names}
        self.last = float(len(video.times))
        return api.VideoAnswers(
            done.video, done.group, {**done.values, **shifted}, done.targets, done.present, done.times
        )


class Peeks(Scale):
    def apply(self, video):
        done = super().apply(video)
        seen = {name: np.where(np.isnan(v := video.targets[name]), done.values[name], v) for name in self.names}
        return api.VideoAnswers(done.video, done.group, {**done.values, **seen}, done.targets, done.present, done.times)


class Chancy(Scale):
    def fit(self, videos, score):
        self.factor = next(RANDOM)


class Coarse(Scale):
    """Exact for the bits of float64 alone."""

    def apply(self, video):
        done = super().apply(video)
        sign = {n: v * (1 if v.dtype == np.float64 else -1) for n, v in done.values.items()}
        return api.VideoAnswers(done.video, done.group, sign, done.targets, done.present, done.times)


class Secretive(Scale):
    def state(self):
        return {}


class Odd(Scale):
    def state(self):
        return {"factor": {self.factor}}


class Hasty(Scale):
    """Its result depends on the length of the video."""

    def apply(self, video):
        done = super().apply(video)
        moved = {n: v + 1e-6 * len(v) if n in ("valence", "pain") else v for n, v in done.values.items()}
        return api.VideoAnswers(done.video, done.group, moved, done.targets, done.present, done.times)

    def settled(self, video):
        return len(video.times)


class Fixed(Scale):
    def __init__(self, answers, factor=None):
        super().__init__(answers)


def post(build):
    return api.PostSpec("p", build, options={"factor": Option(None, "a factor", type=float)})


CASES = [
    (Scale, set()),
    (OnlinePost, {"offline"}),
    (Shortens, {"shape"}),
    (Improper, {"probabilities"}),
    (InPlace, {"inputs_untouched"}),
    (Remembers, {"one_by_one", "blind", "repeatable"}),
    (Peeks, {"blind"}),
    (Chancy, {"repeatable", "precisions"}),
    (Coarse, {"precisions"}),
    (Hasty, {"settled"}),
    (Secretive, {"state"}),
    (Odd, {"state"}),
    (Fixed, {"options", "state"}),
]


@pytest.mark.parametrize(("build", "rules"), CASES)
def test_postprocessors(build, rules):
    assert broken(testing.postprocessor_checks(post(build))) == rules


def test_every_rule_is_shown_to_fail():
    assert unproved(testing.postprocessors, CASES) == set()


def test_the_first_rule_broken_is_raised():
    testing.check_postprocessor(post(Scale))
    with pytest.raises(testing.ConformanceError, match="blind"):
        testing.check_postprocessor(post(Peeks))
