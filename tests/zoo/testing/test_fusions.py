"""Every rule for fusions can fail: sound ones keep all rules, small wrong ones break the rule they are meant to."""

from __future__ import annotations

import socket

import pytest
import torch
from torch import nn

from tests.support.conformance import broken, checks_but_learning, unproved
from zoo import api, testing
from zoo.api import Option
from zoo.modules import DecisionFusion, FeatureFusion, FusionOut


class Concat(FeatureFusion):
    """A sound fusion."""

    def __init__(self, dims, build, scale=1.0):
        super().__init__(dims, build, sum(dims.values()))
        self.scale = scale

    def fuse(self, features, present, valid):
        return self.scale * torch.cat([features[slot] for slot in self.slots], -1)


class OnlineFusion(Concat):
    def __init__(self, dims, build, scale=1.0):
        super().__init__(dims, build, scale)
        socket.getaddrinfo("localhost", 80)


class Bare(Concat):
    def forward(self, features, present, valid):
        return super().forward(features, present, valid).raw


class ForeignSlot(Concat):
    def forward(self, features, present, valid):
        raw = super().forward(features, present, valid).raw
        return FusionOut(raw, per_slot={"nose": raw})


class TwoFrames(Concat):
    def fuse(self, features, present, valid):
        return super().fuse(features, present, valid) * (torch.nan if len(valid[0]) == 1 else 1)


class Pairs(Concat):
    """Looks at slots only where there are two."""

    def fuse(self, features, present, valid):
        return super().fuse(features, present, valid) * (len(self.slots) > 1)


class Mean(DecisionFusion):
    """Late fusion that divides by the number of slots present, also where that is 0."""

    def __init__(self, dims, build, scale=1.0):
        super().__init__(dims, build)
        self.scale = scale

    def combine(self, raw, present):
        seen = present.unsqueeze(-1).float()
        return self.scale * (raw * seen).sum(0) / seen.sum(0)


class SafeMean(Mean):
    """A sound decision fusion."""

    def combine(self, raw, present):
        seen = (present | ~present.any(0)).unsqueeze(-1).float()
        return self.scale * (raw * seen).sum(0) / seen.sum(0)


class Deaf(Concat):
    def fuse(self, features, present, valid):
        quiet = {**features, self.slots[-1]: features[self.slots[-1]] * 0} if len(self.slots) > 2 else features
        return super().fuse(quiet, present, valid)


class ClipMean(Concat):
    def fuse(self, features, present, valid):
        x = super().fuse(features, present, valid)
        return x - x.mean(1, keepdim=True)


class Mates(Concat):
    def fuse(self, features, present, valid):
        x = super().fuse(features, present, valid)
        return x - x[:, :1].mean(0)


class Still(nn.Module):
    """Without a head."""

    def __init__(self, dims, build, scale=1.0):
        super().__init__()
        self.slots, self.scale = tuple(dims), scale
        self.net = nn.Sequential(nn.Linear(sum(dims.values()), 16), nn.Tanh(), build.output(16))

    def forward(self, features, present, valid):
        return FusionOut(self.scale * self.net(torch.cat([features[slot] for slot in self.slots], -1)))


class NoGradient(Concat):
    def fuse(self, features, present, valid):
        return super().fuse({slot: x.detach() if slot == "face" else x for slot, x in features.items()}, present, valid)


class AsItComes(Concat):
    def fuse(self, features, present, valid):
        return self.scale * torch.cat(list(features.values()), -1)


class ByPlace(Concat):
    def fuse(self, features, present, valid):
        return super().fuse({s: features[s] * (i + 1) for i, s in enumerate(self.slots)}, present, valid)


class Dead(Concat):
    def __init__(self, dims, build, scale=1.0):
        super().__init__(dims, build)


class OneFrame(Concat):
    """Other frames change an answer, but by too little to learn from."""

    def __init__(self, dims, build, scale=1.0):
        super().__init__(dims, build, scale)
        self.net = build.output(sum(dims.values()))

    def forward(self, features, present, valid):
        out = super().forward(features, present, valid)
        return FusionOut(self.net(self.fuse(features, present, valid)) + 0.001 * out.raw.detach().tanh())


class Counts(Concat):
    def __init__(self, dims, build, scale=1.0):
        super().__init__(dims, build, scale)
        self.steps = 0

    def fuse(self, features, present, valid):
        self.steps += self.training
        return super().fuse(features, present, valid) * (1 + 0.1 * min(self.steps, 3))


def fusion(build, **spec):
    return api.FusionSpec("f", build, options={"scale": Option(1.0, "a factor")}, **spec)


CASES = [
    (fusion(Concat), set()),
    (fusion(SafeMean), set()),
    (fusion(Still, frame_wise=True), set()),
    (fusion(OnlineFusion), {"offline"}),
    (fusion(ForeignSlot), {"shape"}),
    (fusion(TwoFrames), {"single_frame"}),
    (fusion(Pairs), {"one_slot"}),
    (fusion(Mean), {"no_slot", "one_slot"}),
    (fusion(Deaf), {"slots", "gradient", "permuted"}),
    (fusion(ClipMean), {"padding", "batch_mates", "gradient"}),
    (fusion(Mates), {"batch_mates", "no_slot"}),
    (fusion(Still), {"other_frames", "learns"}),
    (fusion(NoGradient), {"gradient"}),
    (fusion(AsItComes), {"named_slots", "permuted"}),
    (fusion(ByPlace), {"permuted"}),
    (fusion(Dead), {"options"}),
    (fusion(OneFrame), {"learns"}),
    (fusion(Counts), {"saved"}),
]


@pytest.mark.parametrize(
    ("spec", "rules"), CASES, ids=lambda value: getattr(getattr(value, "build", None), "__name__", None)
)
def test_fusions(spec, rules):
    assert broken(checks_but_learning(testing.fusion_checks(spec), rules)) == rules


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "rules"), CASES)
def test_fusions_that_are_trained_too(spec, rules):
    assert broken(testing.fusion_checks(spec)) == rules


def test_a_fusion_that_returns_a_tensor_breaks_every_rule_but_building():
    assert "shape" in broken(testing.fusion_checks(fusion(Bare)))


def test_a_fusion_with_weights_laid_out_in_its_own_way_brings_its_own_permutation():
    class Reversed(Concat):
        """Side by side from the last slot to the first: as general as any, only told apart by its author."""

        def fuse(self, features, present, valid):
            return self.scale * torch.cat([features[slot] for slot in reversed(self.slots)], -1)

    def permute(module, dims, order):
        back = dict(reversed(dims.items()))
        return testing.fusions.permute_state(module, back, tuple(reversed(order)))

    assert broken(testing.fusion_checks(fusion(Reversed))) == {"permuted"}
    assert broken(testing.fusion_checks(fusion(Reversed), permute=permute)) == set()


def test_every_rule_is_shown_to_fail():
    assert unproved(testing.fusions, CASES) == set()


def test_the_first_rule_broken_is_raised():
    testing.check_fusion(fusion(Concat))
    with pytest.raises(testing.ConformanceError, match="named_slots"):
        testing.check_fusion(fusion(AsItComes))
