"""Every rule for losses can fail: sound ones keep all rules, small wrong ones break the rule they are meant to."""

from __future__ import annotations

import socket

import pytest
import torch
from torch import nn

from tests.support.conformance import broken, unproved
from zoo import api, testing
from zoo.api import Option
from zoo.modules import Loss


class SquaredError(Loss):
    """A sound loss: additive, answers in range by a sigmoid."""

    additive = True

    def __init__(self, answers, counts, weight=1.0):
        super().__init__(answers, len(answers))
        self.weight = weight
        self.register_buffer("low", torch.tensor([a.low for a in answers]))
        self.register_buffer("high", torch.tensor([a.high for a in answers]))

    def each(self, raw, target, labelled):
        return (self.decode(raw) - torch.where(labelled, target, 0.0)).square() * labelled

    def forward(self, raw, target, labelled):
        return self.weight * self.each(raw, target, labelled).sum() / labelled.sum().clamp_min(1)

    def decode(self, raw):
        return self.low + (self.high - self.low) * raw.sigmoid()


class OnlineLoss(SquaredError):
    def __init__(self, answers, counts, weight=1.0):
        super().__init__(answers, counts, weight)
        socket.getaddrinfo("localhost", 80)


class NotScalar(SquaredError):
    def forward(self, raw, target, labelled):
        return self.weight * self.each(raw, target, labelled).mean((0, 1))


class OutOfRange(SquaredError):
    def decode(self, raw):
        return raw


class Poisoned(SquaredError):
    def each(self, raw, target, labelled):
        return (self.decode(raw) - target).square() * labelled


class PullsToZero(SquaredError):
    def forward(self, raw, target, labelled):
        return super().forward(raw, target, labelled) + 1e-3 * raw.square().mean()


class NoFrames(SquaredError):
    def forward(self, raw, target, labelled):
        return self.weight * self.each(raw, target, labelled).sum() / labelled.sum()


class Deviation(SquaredError):
    """Divided by the deviation of the labels, which may be 0."""

    additive = False

    def forward(self, raw, target, labelled):
        first = target[..., 0][labelled[..., 0]]
        value = super().forward(raw, target, labelled)
        return value / first.std(unbiased=False) if len(first) else value


class PerClip(SquaredError):
    """The mean over clips of clips' means is not the mean over frames."""

    def forward(self, raw, target, labelled):
        each = self.each(raw, target, labelled).sum((1, 2)) / labelled.sum((1, 2)).clamp_min(1)
        return self.weight * each.mean()


class Upwards(SquaredError):
    def forward(self, raw, target, labelled):
        return -super().forward(raw, target, labelled)


class Unused(SquaredError):
    def __init__(self, answers, counts, weight=1.0):
        super().__init__(answers, counts)


class ByHand(SquaredError):
    """Decodes number by number."""

    def decode(self, raw):
        decoded = super().decode(raw)
        return decoded.clamp(decoded.min().item(), decoded.max().item())


class Drifting(SquaredError):
    def __init__(self, answers, counts, weight=1.0):
        super().__init__(answers, counts, weight)
        self.scale = nn.Parameter(torch.zeros(()))
        self.steps = 0

    def forward(self, raw, target, labelled):
        if self.training:
            self.steps += 1
        return super().forward(raw, target, labelled) * (1 + self.steps + 0 * self.scale)


def loss(build, **spec):
    return api.LossSpec("l", build, options={"weight": Option(1.0, "a factor")}, kinds=("value",), **spec)


CASES = [
    (SquaredError, set()),
    (OnlineLoss, {"offline"}),
    (NotScalar, {"shape", "unlabelled", "nothing_labelled", "few_labels", "additive", "minimum", "saved"}),
    (OutOfRange, {"decode"}),
    (Poisoned, {"unlabelled", "nothing_labelled"}),
    (PullsToZero, {"unlabelled", "nothing_labelled"}),
    (NoFrames, {"nothing_labelled"}),
    (Deviation, {"few_labels"}),
    (PerClip, {"additive"}),
    (Upwards, {"minimum"}),
    (Unused, {"options"}),
    (ByHand, {"no_numbers"}),
    (Drifting, {"saved", "additive", "unlabelled"}),
]


@pytest.mark.parametrize(("build", "rules"), CASES)
def test_losses(build, rules):
    assert broken(testing.loss_checks(loss(build))) == rules


def test_every_rule_is_shown_to_fail():
    assert unproved(testing.losses, CASES) == set()


def test_the_first_rule_broken_is_raised():
    testing.check_loss(loss(SquaredError))
    with pytest.raises(testing.ConformanceError, match="minimum"):
        testing.check_loss(loss(Upwards))
