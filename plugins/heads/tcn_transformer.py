"""A temporal convolutional network, then a transformer encoder: near frames first, far ones on top.

CtyunAI: Zhou et al. 2023, arXiv:2303.08356, and its successor of 2024, arXiv:2403.11440; public code read:
upczww/abaw5, ``VA/model``. There each feature has a causal TCN of its own, with PReLU and shrinking widths, and the
transformer reads all of them side by side. Taken here: the two heads of this package one after the other, at one
width, so ReLU, places told by distances, and both parts causal or neither.
"""

from __future__ import annotations

from torch import Tensor, nn

from plugins.heads.tcn import Tcn
from plugins.heads.transformer import Transformer
from zoo.layers.validation import at_least


class TcnTransformer(nn.Module):
    """(B, T, dim) -> (B, T, hidden); ``causal`` holds for both parts. Errors as of the parts."""

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
        at_least("head tcn_transformer", 1, tcn_layers=tcn_layers)
        at_least("head tcn_transformer", 2, tcn_kernel=tcn_kernel)
        self.tcn = Tcn(dim, hidden, tcn_layers, tcn_kernel, dropout, causal)
        self.transformer = Transformer(hidden, hidden, layers, heads, dropout, positions, window, causal)
        self.out_dim = hidden

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x (B, T, dim), valid (B, T) -> (B, T, hidden), 0 on padding."""
        out: Tensor = self.transformer(self.tcn(x, valid), valid)
        return out
