"""Temporal convolutional network, then Mamba: near frames first, distant frames on top.

Mamba-VA, Liang et al. 2025, arXiv:2503.10104; public code read: FreedomPuppy77/Charon, ``VA/model`` and
``VA/config/config.yml``. That code has ``layers=4, state=8, expand=1, tcn_kernel=15, dropout=0.3,
bidirectional=false``, a TCN of widths 768, 512, 256 and a Mamba of width 256. Not taken from it: instance norm over
time between the two (padding and later frames would change predictions), norms after the sum instead of before it, and
its initialisation. All layers here have one width.
"""

from __future__ import annotations

from torch import Tensor, nn

from plugins.heads.mamba import Mamba
from plugins.heads.tcn import tcn_below


class TcnMamba(nn.Module):
    """TCN and Mamba head: (B, T, dim) -> (B, T, hidden); both parts are causal unless ``bidirectional``.

    Raises UserError under the same conditions as its parts.
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
        tcn_layers: int = 3,
        tcn_kernel: int = 3,
    ) -> None:
        super().__init__()
        self.tcn = tcn_below("tcn_mamba", dim, hidden, tcn_layers, tcn_kernel, dropout, causal=not bidirectional)
        self.mamba = Mamba(hidden, hidden, layers, dropout, state, kernel, expand, bidirectional)
        self.out_dim = hidden

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Map x (B, T, dim) and valid (B, T) to (B, T, hidden), which is 0 on padding."""
        out: Tensor = self.mamba(self.tcn(x, valid), valid)
        return out
