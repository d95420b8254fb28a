"""Temporal convolutional network, then a transformer encoder: near frames first, distant frames on top.

CtyunAI: Zhou et al. 2023, arXiv:2303.08356, and its successor of 2024, arXiv:2403.11440; public code read:
upczww/abaw5, ``VA/model``. In that code each feature has its own causal TCN, with PReLU and decreasing widths, and the
transformer reads their concatenation. Here the two heads of this package follow each other at one width. So the TCN has
ReLU, positions are relative, and either both parts are causal or neither is.
"""

from __future__ import annotations

from torch import Tensor, nn

from plugins.heads.tcn import tcn_below
from plugins.heads.transformer import Transformer


class TcnTransformer(nn.Module):
    """TCN and transformer head: (B, T, dim) -> (B, T, hidden); ``causal`` applies to both parts.

    Raises UserError under the same conditions as its parts.
    """

    def __init__(
        self,
        dim: int,
        hidden: int = 64,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
        tcn_layers: int = 3,
        tcn_kernel: int = 3,
        positions: str = "rotary",
        window: int = 0,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.tcn = tcn_below("tcn_transformer", dim, hidden, tcn_layers, tcn_kernel, dropout, causal)
        self.transformer = Transformer(hidden, hidden, layers, heads, dropout, positions, window, causal)
        self.out_dim = hidden

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Map x (B, T, dim) and valid (B, T) to (B, T, hidden), which is 0 on padding."""
        out: Tensor = self.transformer(self.tcn(x, valid), valid)
        return out
