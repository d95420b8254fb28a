"""Recurrent heads: GRU and LSTM, unidirectional or bidirectional."""

from __future__ import annotations

from torch import Tensor, nn

from plugins.heads.base import Head
from zoo.modules import recur


class _Recurrent(Head):
    """Recurrent head: (B, T, dim) -> (B, T, out_dim), out_dim = hidden * directions; padding is never read.

    Raises UserError if hidden or layers is less than 1, or dropout is outside [0, 1).
    """

    cell: type[nn.GRU] | type[nn.LSTM]

    def __init__(
        self, dim: int, hidden: int = 64, layers: int = 1, dropout: float = 0.1, bidirectional: bool = True
    ) -> None:
        out_dim = hidden * (2 if bidirectional else 1)
        super().__init__(out_dim, dropout=dropout, hidden=hidden, layers=layers)
        self.dropout = nn.Dropout(dropout)  # before every layer, even if there is only one
        widths = [dim, *[out_dim] * (layers - 1)]
        # One module per layer instead of PyTorch's stack: the stack's own dropout cannot know which of the batch's
        # clips it is given.
        nets = [self.cell(width, hidden, batch_first=True, bidirectional=bidirectional) for width in widths]
        self.rnn, self.above = nets[0], nn.ModuleList(nets[1:])

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Map x (B, T, dim) and valid (B, T) to (B, T, out_dim)."""
        for rnn in (self.rnn, *self.above):
            x = recur(rnn, self.dropout(x), valid)
        return x


class Gru(_Recurrent):
    """Gated recurrent unit head."""

    cell = nn.GRU


class Lstm(_Recurrent):
    """Long short-term memory head."""

    cell = nn.LSTM
