"""The networks behind the catalogue."""

import torch
from torch import nn

from zoo import api
from zoo.modules import FrameEncoder


class Patches(FrameEncoder):
    """(N, 3, 32, 32) -> (N, width)."""

    def __init__(self, stream, argument, width=8):
        super().__init__(dim=width, input=api.FrameInput(size=32, mean=(0.5,) * 3, std=(0.5,) * 3))
        self.net = nn.Sequential(nn.Conv2d(3, width, 4, 4), nn.ReLU(), nn.Conv2d(width, width, 3, 2, 1), nn.ReLU())

    def encode(self, images):
        return self.net(images).mean((2, 3))


class CausalMean(nn.Module):
    """(B, T, D), valid (B, T) -> (B, T, D): a linear map of the frame, plus one of the mean of the frames so far."""

    def __init__(self, dim):
        super().__init__()
        self.out_dim = dim
        self.now = nn.Linear(dim, dim)
        self.past = nn.Linear(dim, dim)

    def forward(self, x, valid):
        x = x * valid.unsqueeze(-1)
        so_far = torch.arange(1, x.shape[1] + 1, device=x.device).unsqueeze(-1)
        return self.now(x) + self.past(x.cumsum(1) / so_far)
