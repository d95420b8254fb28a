"""Every rule for heads can fail: sound ones keep all rules, small wrong ones break the rule they are meant to."""

from __future__ import annotations

import socket

import pytest
import torch
from torch import nn

from tests.support.conformance import broken, checks_but_learning, unproved
from zoo import api, testing
from zoo.api import Option
from zoo.modules import recur


class Head(nn.Module):
    """A sound head."""

    def __init__(self, dim, hidden=12, bidirectional=True):
        super().__init__()
        self.rnn = nn.GRU(dim, hidden, batch_first=True, bidirectional=bidirectional)
        self.out_dim = hidden * (1 + bidirectional)

    def forward(self, x, valid):
        return recur(self.rnn, x, valid)


class Online(Head):
    def __init__(self, dim, **options):
        super().__init__(dim, **options)
        socket.getaddrinfo("localhost", 80)


class Lying(Head):
    def __init__(self, dim, **options):
        super().__init__(dim, **options)
        self.out_dim += 1


class Moody(Head):
    """Another answer at every call."""

    calls = 0

    def forward(self, x, valid):
        self.calls += 1
        return super().forward(x, valid) + self.calls / 10


class NeedsTwoFrames(Head):
    def forward(self, x, valid):
        return super().forward(x, valid) * (torch.nan if x.shape[1] == 1 else 1)


class ReadsPadding(Head):
    def forward(self, x, valid):
        return self.rnn(x)[0]


class Compares(Head):
    def forward(self, x, valid):
        return super().forward(x - x[:, :1].mean(0), valid)


class Detached(Head):
    def forward(self, x, valid):
        return super().forward(
            torch.where(torch.arange(x.shape[1], device=x.device)[:, None] > 2, x, x.detach() * 0 + 1), valid
        )


class Idle(Head):
    def __init__(self, dim, hidden=12, bidirectional=True):
        super().__init__(dim, 12, bidirectional)


class Linear(nn.Module):
    """Sees other frames, but cannot multiply."""

    def __init__(self, dim, hidden=12):
        super().__init__()
        self.now, self.near = nn.Linear(dim, hidden), nn.Linear(dim, hidden)
        self.out_dim = hidden

    def forward(self, x, valid):
        x = x * valid.unsqueeze(-1)
        pad = nn.functional.pad(x, (0, 0, 1, 1))
        return self.now(x) + self.near(pad[:, :-2] + pad[:, 2:])


class Forgets(Head):
    """Its scale is learned, in a way, and not saved."""

    def __init__(self, dim, **options):
        super().__init__(dim, **options)
        self.seen = 0

    def forward(self, x, valid):
        self.seen += self.training
        return super().forward(x, valid) * (1 + self.seen)


class FrameWise(nn.Linear):
    def __init__(self, dim, hidden=12):
        super().__init__(dim, hidden)
        self.out_dim = hidden

    def forward(self, x, valid):
        return super().forward(x).tanh()


HIDDEN = {"hidden": Option(12, "units")}
BOTH = {**HIDDEN, "bidirectional": Option(True, "directions")}


def head(build, causal=lambda bidirectional, **_: not bidirectional, **spec):
    return api.HeadSpec("h", build, options=spec.pop("options", BOTH), causal=causal, **spec)


CASES = [
    (head(Head), set()),
    (head(FrameWise, False, frame_wise=True, options=HIDDEN), set()),
    (head(Online), {"offline"}),
    (head(Lying), {"shape", "single_frame", "learns"}),
    (head(Moody), {"shape", "batch_mates", "padding", "other_frames", "saved", "repeatable", "precisions"}),
    (head(NeedsTwoFrames), {"single_frame"}),
    (head(ReadsPadding), {"padding", "batch_mates", "gradient"}),
    (head(Compares), {"batch_mates"}),
    (head(Head, False), {"other_frames"}),  # causal with bidirectional=False, and does not say so
    (head(Head, True), {"other_frames"}),  # says that it is causal, and is not
    (head(FrameWise, False, options=HIDDEN), {"other_frames", "learns"}),  # frame-wise, and does not say so
    (head(Head, frame_wise=True), {"other_frames"}),
    (head(Detached), {"gradient"}),
    (head(Idle), {"options"}),
    (head(Linear, False, options=HIDDEN), {"learns"}),
    (head(Forgets), {"saved"}),
]


@pytest.mark.parametrize(
    ("spec", "rules"), CASES, ids=lambda value: getattr(getattr(value, "build", None), "__name__", None)
)
def test_heads(spec, rules):
    assert broken(checks_but_learning(testing.head_checks(spec), rules)) == rules


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "rules"), CASES)
def test_heads_that_are_trained_too(spec, rules):
    assert broken(testing.head_checks(spec)) == rules


def test_every_rule_is_shown_to_fail():
    assert unproved(testing.heads, CASES) == set()


def test_the_first_rule_broken_is_raised():
    testing.check_head(head(Head))
    with pytest.raises(testing.ConformanceError, match="batch_mates"):
        testing.check_head(head(Compares))
