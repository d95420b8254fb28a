"""Every rule for encoders can fail: sound ones keep all rules, small wrong ones break the rule they are meant to."""

from __future__ import annotations

import socket

import pytest
import torch
from torch import nn

from tests.support.conformance import broken, unproved
from zoo import api, testing
from zoo.api import AudioInput, FrameInput, Option, VectorInput
from zoo.modules import Encoder, FrameEncoder

HALF = (0.5, 0.5, 0.5)


class Images(FrameEncoder):
    """A sound encoder of frames."""

    def __init__(self, stream, argument, width=4):
        super().__init__(dim=width, input=FrameInput(8, HALF, HALF))
        self.net = nn.Conv2d(3, width, 4, 4)

    def encode(self, images):
        return self.net(images).tanh().mean((2, 3))


class Downloads(Images):
    def __init__(self, stream, argument, width=4):
        super().__init__(stream, argument, width)
        socket.getaddrinfo("localhost", 80)


class Wide(Images):
    def __init__(self, stream, argument, width=4):
        super().__init__(stream, argument, width)
        self.dim += 1


class Blind(Images):
    def encode(self, images):
        return super().encode(images * 0)


class BatchNormed(Images):
    def encode(self, images):
        x = super().encode(images)
        return x - x.mean(0)


class Temporal(Images):
    def forward(self, frames):
        x = super().forward(frames)
        return x - x.mean(1, keepdim=True) / 2


class Frozen(Images):
    def encode(self, images):
        return super().encode(images).detach().requires_grad_()


class NoOption(Images):
    def __init__(self, stream, argument, width=4):
        super().__init__(stream, argument)


class Running(Images):
    def __init__(self, stream, argument, width=4):
        super().__init__(stream, argument, width)
        self.scale = 1.0

    def encode(self, images):
        self.scale += self.training
        return super().encode(images) * self.scale


class Around(Encoder):
    """A sound encoder with a context frame on each side."""

    def __init__(self, stream, argument, width=4):
        super().__init__(dim=width, input=FrameInput(8, HALF, HALF, context=1))
        self.net = nn.Linear(9, width)

    def forward(self, frames, present):
        x = torch.where(present.unsqueeze(-1), frames.mean((3, 4)) + frames[..., 0, 0], 0.0)
        return self.net(torch.cat([x[:, :-2], x[:, 1:-1], x[:, 2:]], -1)).tanh()


class SeesAbsent(Around):
    def forward(self, frames, present):
        return super().forward(frames, torch.ones_like(present))


class Sound(Encoder):
    """A sound encoder of sound: the loudness of the 10 ms around each frame's hop."""

    margin, grid = 0.1, 160

    def __init__(self, stream, argument, width=4):
        super().__init__(dim=width, input=AudioInput(16_000, self.margin, self.grid))
        self.net = nn.Conv1d(1, width, 160, 160)

    def hops(self, samples, samples_valid):
        x = torch.where(samples_valid, samples, 0.0)
        return self.net(nn.functional.pad(x, (0, -x.shape[1] % 160 + 32_000)).unsqueeze(1)).transpose(1, 2).square()

    def read(self, x, times):
        index = (times * 100).round().clamp(0, x.shape[1] - 1).long()
        return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))

    def forward(self, samples, samples_valid, times):
        return self.read(self.hops(samples, samples_valid), times)


class HearsPadding(Sound):
    def forward(self, samples, samples_valid, times):
        return super().forward(samples, torch.ones_like(samples_valid), times)


class Normalised(Sound):
    """By the clip's loudest hop: depends on where the clip starts."""

    def forward(self, samples, samples_valid, times):
        x = self.hops(samples, samples_valid)
        return self.read(x / x.amax(1, keepdim=True), times)


class NoTimes(Sound):
    def forward(self, samples, samples_valid, times):
        x = self.hops(samples, samples_valid)
        return x[:, 10 : 10 + 4 * times.shape[1] : 4]


class NaNOutside(Sound):
    def forward(self, samples, samples_valid, times):
        inside = (times >= 0) & (times * 16_000 < samples.shape[1])
        return torch.where(inside.unsqueeze(-1), super().forward(samples, samples_valid, times), torch.nan)


class Vectors(Encoder):
    """A sound encoder of vectors, without parameters."""

    def __init__(self, stream, argument, width=4):
        super().__init__(dim=width, input=VectorInput(width))

    def forward(self, vectors):
        return vectors.tanh()


class Cumulative(Vectors):
    def forward(self, vectors):
        return vectors.flip(1).cumsum(1).flip(1)


class ByValue(Images):
    """Leaves dark pictures out: without numbers it cannot tell which."""

    def encode(self, images):
        return super().encode(images[images.flatten(1).abs().sum(1) >= 0])


def encoder(build, **spec):
    return api.EncoderSpec("e", build, options={"width": Option(4, "features")}, **spec)


CASES = [
    *((build, set()) for build in (Images, Around, Sound, Vectors)),
    (Downloads, {"offline"}),
    (Wide, {"shape", "no_numbers"}),
    (Blind, {"reacts"}),
    (BatchNormed, {"batch_mates", "single_frames"}),
    (Temporal, {"single_frames"}),
    (Frozen, {"gradient"}),
    (NoOption, {"options"}),
    (Running, {"saved"}),
    (SeesAbsent, {"context_frames"}),
    (HearsPadding, {"padding"}),
    (Normalised, {"clip_start", "padding"}),
    (NoTimes, {"times", "clip_start"}),
    (NaNOutside, {"times"}),
    (Cumulative, {"single_frames"}),
]


@pytest.mark.parametrize(("build", "rules"), CASES)
def test_encoders(build, rules):
    found = broken(testing.encoder_checks(encoder(build)))
    assert found - ({"padding"} if build is Normalised else set()) == rules - (
        {"padding"} if build is Normalised else set()
    )


def test_an_option_of_the_passport_alone_counts():
    def passport(stream, argument, width=4):
        return api.ModelCard(f"net{width}", None, "MIT", "", url="https://example.org/net.pth")

    assert broken(testing.encoder_checks(encoder(NoOption, passport=passport))) == set()


def test_a_passport_that_asks_the_network_is_found():
    def passport(stream, argument, width=4):
        socket.getaddrinfo("localhost", 443)

    assert "offline" in broken(testing.encoder_checks(encoder(Images, passport=passport)))


def test_every_rule_is_shown_to_fail():
    assert unproved(testing.encoders, CASES) == set()


def test_the_first_rule_broken_is_raised():
    testing.check_encoder(encoder(Images))
    with pytest.raises(testing.ConformanceError, match="reacts"):
        testing.check_encoder(encoder(Blind))
