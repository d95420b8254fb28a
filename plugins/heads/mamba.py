"""Mamba: selective state spaces, in plain torch.

Gu & Dao 2023, arXiv:2312.00752; public code read: state-spaces/mamba, ``mamba_ssm/modules/mamba_simple.py``. From
there: the start of A (-1 ... -state in each channel), of the step (softplus of its bias log-uniform in 0.001 ... 0.1),
of D (1), a step of rank hidden / 16, and the input matrix discretised as step * B (the paper's formula 4 is the exact
hold; its code uses this). Residual blocks normalise first (RMS, each frame by itself), as the paper's language model.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu, softplus

from plugins.heads.base import Head
from plugins.heads.scan import selective_scan


class Mamba(Head):
    """(B, T, dim) -> (B, T, hidden); causal unless ``bidirectional``: then each layer has a second mixer with weights
    of its own, which reads the clip's valid frames from the last to the first, and the two are added.
    UserError for fewer than 1 unit, layer, state, frame of the kernel or width."""

    def __init__(
        self,
        dim: int,
        hidden: int = 64,
        layers: int = 2,
        dropout: float = 0.1,
        state: int = 16,
        kernel: int = 4,
        expand: int = 2,
        bidirectional: bool = True,
    ) -> None:
        sizes = {"hidden": hidden, "layers": layers, "state": state, "kernel": kernel, "expand": expand}
        super().__init__(hidden, dropout=dropout, **sizes)
        self.drop = nn.Dropout(dropout)
        self.enter = nn.Linear(dim, hidden)
        self.norms = nn.ModuleList(nn.RMSNorm(hidden) for _ in range(layers))
        self.ahead = nn.ModuleList(Mixer(hidden, state, kernel, expand) for _ in range(layers))
        back = layers if bidirectional else 0
        self.back = nn.ModuleList(Mixer(hidden, state, kernel, expand) for _ in range(back))
        self.norm = nn.RMSNorm(hidden)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x (B, T, dim), valid (B, T) -> (B, T, hidden), 0 on padding."""
        padding = ~valid.unsqueeze(-1)
        x = self.enter(self.drop(x.masked_fill(padding, 0)))
        turn = reversal(valid)
        for layer, norm in enumerate(self.norms):
            y = norm(x)
            z = self.ahead[layer](y)
            if self.back:
                z = z + _turned(self.back[layer](_turned(y, turn)), turn)
            x = x + self.drop(z)
        out: Tensor = self.norm(x).masked_fill(padding, 0)
        return out


class Mixer(nn.Module):
    """One selective state space: (B, T, hidden) -> (B, T, hidden), causal. ``inner`` = expand * hidden channels, each
    with ``state`` numbers of memory; a depth-wise convolution over ``kernel`` frames before it, a gate after it."""

    def __init__(self, hidden: int, state: int, kernel: int, expand: int) -> None:
        super().__init__()
        inner, rank = expand * hidden, math.ceil(hidden / 16)
        self.widths = (rank, state, state)
        self.enter = nn.Linear(hidden, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, kernel, groups=inner)
        self.select = nn.Linear(inner, sum(self.widths), bias=False)
        self.step = nn.Linear(rank, inner)
        self.log_a = nn.Parameter(torch.arange(1.0, state + 1).log().repeat(inner, 1))
        self.d = nn.Parameter(torch.ones(inner))
        self.leave = nn.Linear(inner, hidden, bias=False)
        nn.init.uniform_(self.step.weight, -(rank**-0.5), rank**-0.5)
        with torch.no_grad():
            first = torch.empty(inner).uniform_(math.log(0.001), math.log(0.1)).exp()
            self.step.bias.copy_(first + (-torch.expm1(-first)).log())  # what softplus turns into ``first``

    def no_weight_decay(self) -> set[str]:
        """Logarithms of rates: towards 0 is towards a rate of 1 (so in mamba_simple.py)."""
        return {"log_a"}

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, hidden) -> (B, T, hidden)."""
        u, gate = self.enter(x).chunk(2, -1)  # (B, T, inner) each
        u = silu(self.conv(pad(u.transpose(1, 2), (self.conv.kernel_size[0] - 1, 0))).transpose(1, 2))
        rank, b, c = self.select(u).split(self.widths, -1)
        y = selective_scan(u, softplus(self.step(rank)), -self.log_a.exp(), b, c) + self.d * u
        out: Tensor = self.leave(y * silu(gate))
        return out


def reversal(valid: Tensor) -> Tensor:
    """Where each frame goes when a clip's valid frames are turned round, padding staying: (B, T) -> (B, T) indices."""
    frame = torch.arange(valid.shape[1], device=valid.device).expand_as(valid)
    return torch.where(valid, valid.sum(1, keepdim=True) - 1 - frame, frame)


def _turned(x: Tensor, turn: Tensor) -> Tensor:
    return x.gather(1, turn.unsqueeze(-1).expand_as(x))
