"""Mamba: selective state spaces, in plain PyTorch.

Gu & Dao 2023, arXiv:2312.00752; public code read: state-spaces/mamba, ``mamba_ssm/modules/mamba_simple.py``. As in that
code:

- A starts at -1 ... -state in each channel, D at 1, and the step bias so that its softplus is log-uniform in
  0.001 ... 0.1.
- The step has rank hidden / 16.
- The input matrix is discretised as step * B. (Formula 4 of the paper is the exact zero-order hold.)

Residual blocks are pre-norm (RMS norm of each frame separately), as in the paper's language model.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu, softplus

from plugins.heads.base import Head
from plugins.heads.scan import selective_scan


class Mamba(Head):
    """Mamba head: (B, T, dim) -> (B, T, hidden).

    It is causal unless ``bidirectional``. Then each layer has a second mixer with its own weights, which reads the
    clip's valid frames from last to first, and the outputs of both are added. Raises UserError if hidden, layers,
    state, kernel or expand is less than 1.
    """

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
        """Map x (B, T, dim) and valid (B, T) to (B, T, hidden), which is 0 on padding."""
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
    """One selective state space, causal: (B, T, hidden) -> (B, T, hidden).

    It has expand * hidden inner channels with a state of ``state`` numbers each. A depth-wise convolution over
    ``kernel`` frames precedes it, and a gate follows it.
    """

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
            self.step.bias.copy_(first + (-torch.expm1(-first)).log())  # the inverse softplus of ``first``

    def no_weight_decay(self) -> set[str]:
        """Exclude the log decay rates, as mamba_simple.py does: decay to 0 would pull the rates to 1."""
        return {"log_a"}

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, T, hidden) to (B, T, hidden)."""
        u, gate = self.enter(x).chunk(2, -1)  # (B, T, inner) each
        u = silu(self.conv(pad(u.transpose(1, 2), (self.conv.kernel_size[0] - 1, 0))).transpose(1, 2))
        rank, b, c = self.select(u).split(self.widths, -1)
        y = selective_scan(u, softplus(self.step(rank)), -self.log_a.exp(), b, c) + self.d * u
        out: Tensor = self.leave(y * silu(gate))
        return out


def reversal(valid: Tensor) -> Tensor:
    """Return the indices (B, T) that reverse each clip's valid frames (B, T) and leave padding in place."""
    frame = torch.arange(valid.shape[1], device=valid.device).expand_as(valid)
    return torch.where(valid, valid.sum(1, keepdim=True) - 1 - frame, frame)


def _turned(x: Tensor, turn: Tensor) -> Tensor:
    return x.gather(1, turn.unsqueeze(-1).expand_as(x))
