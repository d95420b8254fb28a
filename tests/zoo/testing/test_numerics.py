"""The rules that networks of every kind keep can fail: repeatable, any precision, without numbers, any device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.conformance import broken
from zoo import api, testing
from zoo.testing import encoders, fusions, heads, losses, numerics

RULES = {rule.__name__ for rule in numerics.RULES}


class Plain(nn.Linear):
    """A sound head of single frames."""

    def __init__(self, dim):
        super().__init__(dim, 12)
        self.out_dim = 12

    def forward(self, x, valid):
        return super().forward(x).tanh()


class OwnDice(Plain):
    """Starts from NumPy's generator, which no seed of a run reaches."""

    def __init__(self, dim):
        super().__init__(dim)
        self.bias.data = torch.from_numpy(np.random.default_rng().normal(size=12).astype(np.float32))


class AlwaysDrops(Plain):
    def forward(self, x, valid):
        return nn.functional.dropout(super().forward(x, valid), 0.1)


class OwnDropout(Plain):
    """Leaves out by NumPy's generator in training."""

    def forward(self, x, valid):
        keep = np.random.default_rng().random(12) > 0.5 if self.training else np.ones(12)
        return super().forward(x, valid) * torch.from_numpy(keep).to(x)


class Single(Plain):
    """Mixes its input with a tensor that is always float32."""

    def forward(self, x, valid):
        return super().forward(x @ torch.eye(x.shape[-1], device=x.device), valid)


class Underflow(Plain):
    """Divides by a number that half the bits round to 0."""

    def forward(self, x, valid):
        y = self.weight.sum() * x.new_zeros(())
        small = torch.tensor(1e-9, dtype=torch.float16 if torch.is_autocast_enabled("cpu") else torch.float32)
        return super().forward(x, valid) + (y / small.to(x))


class Rough(Plain):
    """Rounds to single precision on the way, and makes much of it."""

    def forward(self, x, valid):
        y = super().forward(x, valid)
        return y + 1e7 * (y.double() - y.float().double()).abs().mean().to(y.dtype)


class ByValue(Plain):
    def forward(self, x, valid):
        out = x.new_zeros(*x.shape[:2], 12)
        out[valid] = super().forward(x[valid], None).to(out)
        return out


class Item(Plain):
    def forward(self, x, valid):
        return super().forward(x, valid) * (2.0 if valid.sum().item() < 0 else 1.0)


class Forgotten(Plain):
    """Keeps a tensor that moves with nothing."""

    def __init__(self, dim):
        super().__init__(dim)
        self.scale = torch.ones(12)

    def forward(self, x, valid):
        return super().forward(x, valid) * self.scale


CASES = [
    (Plain, set()),
    (OwnDice, {"repeatable"}),
    (AlwaysDrops, {"repeatable", "precisions"}),
    (OwnDropout, {"repeatable"}),
    (Single, {"precisions"}),
    (Underflow, {"precisions"}),
    (Rough, {"precisions"}),
    (ByValue, {"no_numbers"}),
    (Item, {"no_numbers"}),
    (Forgotten, {"devices"} if torch.cuda.is_available() else set()),
]


@pytest.mark.parametrize(("build", "rules"), CASES)
def test_networks(build, rules):
    checks = [c for c in testing.head_checks(api.HeadSpec("h", build, frame_wise=True)) if c.rule in RULES]
    assert len(checks) == len(RULES)
    assert broken(checks) - ({"no_numbers"} if build is OwnDice else set()) == rules  # its bias is never without


def test_every_rule_but_that_of_devices_is_shown_to_fail_without_one():
    assert set().union(*(rules for _, rules in CASES)) >= RULES - {"devices"}


def test_networks_of_every_kind_are_asked():
    for module in (encoders, fusions, heads, losses):
        assert {rule.__name__ for rule in module.RULES} >= RULES


def test_without_a_device_its_rule_is_excused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (check,) = [c for c in testing.head_checks(api.HeadSpec("h", Plain, frame_wise=True)) if c.rule == "devices"]
    assert check.judge().state == "excused"
