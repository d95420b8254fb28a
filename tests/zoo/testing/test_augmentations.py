"""Every rule for augmentations can fail: a sound one keeps all, small wrong ones break the one they are meant to."""

from __future__ import annotations

import random
import socket

import pytest
import torch
from torchvision.transforms import v2

from tests.support.conformance import broken, unproved
from zoo import api, testing
from zoo.api import Option
from zoo.testing import augmentations


class Shift:
    """A sound augmentation: pictures moved to the right by a random number of pixels."""

    def __init__(self, most=6):
        self.most = most

    def __call__(self, *given):
        self.by = int(torch.randint(self.most + 1, ()))
        return v2.functional.affine(given[0], 0, [self.by, 0], 1.0, [0.0]) if len(given) == 1 else self.both(*given)

    def both(self, images, points):
        return tuple(v2.functional.affine(each, 0, [self.by, 0], 1.0, [0.0]) for each in (images, points))


class OnlineShift(Shift):
    def __call__(self, *given):
        socket.getaddrinfo("localhost", 80)
        return super().__call__(*given)


class Smaller(Shift):
    def __call__(self, *given):
        out = super().__call__(*given)
        return out[..., 1:, :] if len(given) == 1 else out


class Still(Shift):
    def __init__(self, most=6):
        super().__init__(0)


class OwnGenerator(Shift):
    def __call__(self, *given):
        torch.manual_seed(random.randrange(10**6))
        return super().__call__(*given)


class Trembles(Shift):
    def __call__(self, *given):
        out = super().__call__(*given)
        return out if len(given) == 2 else out + torch.arange(len(out), dtype=torch.uint8).view(-1, 1, 1, 1)


class InPlace(Shift):
    def __call__(self, *given):
        out = super().__call__(*given)
        given[0][:, :, :1] = 0
        return out


class LosesPoints(Shift):
    def both(self, images, points):
        return super().both(images, points)[0], points


class Idle(Shift):
    def __init__(self, most=6):
        super().__init__(6)


def augmentation(build, **declared):
    return api.AugmentationSpec("a", build, options={"most": Option(6, "pixels")}, **{"points": True, **declared})


CASES = [
    (Shift, set()),
    (OnlineShift, {"offline"}),
    (Smaller, {"shape"}),
    (Still, {"changes", "options"}),
    (OwnGenerator, {"seeded"}),
    (Trembles, {"coherent"}),
    (InPlace, {"given_untouched"}),
    (LosesPoints, {"points_follow"}),
    (Idle, {"options"}),
]


@pytest.mark.parametrize(("build", "rules"), CASES)
def test_augmentations(build, rules, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [])
    assert broken(testing.augmentation_checks(augmentation(build))) == rules


def test_every_rule_is_shown_to_fail():
    assert unproved(augmentations, CASES) == set()


def test_what_does_not_apply_is_said():
    spec = augmentation(Trembles, points=False, coherent=False)
    states = {check.rule: check.judge().state for check in testing.augmentation_checks(spec)}
    assert (states["points_follow"], states["coherent"]) == ("excused", "excused")
    testing.check_augmentation(spec)
