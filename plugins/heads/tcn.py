"""Temporal convolutional network: residual pairs of convolutions whose dilation doubles with each layer.

Bai, Kolter & Koltun 2018, arXiv:1803.01271; public code read: locuslab/TCN, ``TCN/tcn.py``. As in that code: weight
normalisation (no batch norm, which would mix clips and padding), ReLU, dropout, a 1 x 1 convolution on the shortcut if
the widths differ, ReLU after the sum. Weights have PyTorch's default initialisation: in that code, weight normalisation
overwrites the paper's N(0, 0.01). ``causal=False`` pads both sides equally. The paper does not; here predictions need
not be live.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.parametrizations import weight_norm

from plugins.heads.base import Head
from zoo.layers.validation import at_least


class Tcn(Head):
    """Temporal convolutional head: (B, T, dim) -> (B, T, hidden).

    ``reach`` is the receptive field as (frames back, frames ahead). Together with the frame itself it has
    1 + 2 (kernel - 1) (2^layers - 1) frames. Raises UserError if hidden or layers is less than 1, or kernel is less
    than 2.
    """

    def __init__(
        self, dim: int, hidden: int = 64, layers: int = 4, kernel: int = 3, dropout: float = 0.1, causal: bool = False
    ) -> None:
        super().__init__(hidden, dropout=dropout, hidden=hidden, layers=layers)
        at_least("head tcn", 2, kernel=kernel)
        self.blocks = nn.ModuleList()
        back = ahead = 0
        for layer in range(layers):
            block = _Block(dim if layer == 0 else hidden, hidden, kernel, 2**layer, dropout, causal)
            self.blocks.append(block)
            back, ahead = back + 2 * block.sides[0], ahead + 2 * block.sides[1]
        self.reach = (back, ahead)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Map x (B, T, dim) and valid (B, T) to (B, T, hidden), which is 0 on padding."""
        mask = valid.unsqueeze(1)
        x = x.transpose(1, 2)  # (B, dim, T)
        for block in self.blocks:
            x = block(x, mask)
        return x.masked_fill(~mask, 0).transpose(1, 2)


def tcn_below(head: str, dim: int, hidden: int, layers: int, kernel: int, dropout: float, causal: bool) -> Tcn:
    """Return the TCN whose output another head reads; raise UserError with that head's option names."""
    at_least(f"head {head}", 1, tcn_layers=layers)
    at_least(f"head {head}", 2, tcn_kernel=kernel)
    return Tcn(dim, hidden, layers, kernel, dropout, causal)


class _Block(nn.Module):
    """Two dilated convolutions and a shortcut: (B, inputs, T), mask (B, 1, T) -> (B, outputs, T).

    An even kernel has no middle. Without ``causal`` it reaches further back than ahead if the padding cannot be equal.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int, dropout: float, causal: bool) -> None:
        super().__init__()
        ahead = 0 if causal else (kernel - 1) * dilation // 2
        self.sides = ((kernel - 1) * dilation - ahead, ahead)
        self.first = weight_norm(nn.Conv1d(inputs, outputs, kernel, dilation=dilation))
        self.second = weight_norm(nn.Conv1d(outputs, outputs, kernel, dilation=dilation))
        self.shortcut = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map x (B, inputs, T) and mask (B, 1, T) to (B, outputs, T).

        Padding is zeroed before each convolution, like frames outside the clip.
        """
        x = x.masked_fill(~mask, 0)
        y = self.drop(self.first(pad(x, self.sides)).relu())
        y = self.drop(self.second(pad(y.masked_fill(~mask, 0), self.sides)).relu())
        out: Tensor = (y + self.shortcut(x)).relu()
        return out
