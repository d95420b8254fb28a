"""A whole plugin in one file, for ``--plugin``: an encoder and a head."""

import torch
from torch import nn

from zoo import api
from zoo.modules import FrameEncoder


class Colours(FrameEncoder):
    """(N, 3, 16, 16) -> (N, width), from the mean colours of 4 x 4 fields."""

    def __init__(self, stream, argument, width=12):
        super().__init__(dim=width, input=api.FrameInput(size=16, mean=(0.5,) * 3, std=(0.5,) * 3))
        self.net = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(48, width))

    def encode(self, images):
        return self.net(images)


class Smooth(nn.Module):
    """(B, T, D), valid (B, T) -> (B, T, D): each frame with the mean of the clip."""

    def __init__(self, dim):
        super().__init__()
        self.out_dim = dim
        self.net = nn.Linear(2 * dim, dim)

    def forward(self, x, valid):
        weight = valid.unsqueeze(-1).to(x.dtype)
        mean = (x * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1)
        return self.net(torch.cat([x, mean.expand_as(x)], -1))


@api.hookimpl
def encoders():
    return [
        api.EncoderSpec(
            "colours",
            Colours,
            streams=("face", "body", "context"),
            summary="Mean colours.",
            options={"width": api.Option(12, "features")},
        )
    ]


@api.hookimpl
def heads():
    return [api.HeadSpec("smooth_head", Smooth, summary="A frame and the mean of its clip.")]
