"""Recurrent heads: GRU and LSTM, in one or both directions."""

from __future__ import annotations

from torch import Tensor, nn

from plugins.heads.base import Head
from zoo.modules import recur


class _Recurrent(Head):
    """(B, T, dim) -> (B, T, out_dim), out_dim = hidden times directions; padding is never read.

    UserError for fewer than 1 unit or layer, or a dropout outside [0, 1)."""

    cell: type[nn.GRU] | type[nn.LSTM]

    def __init__(
        self, dim: int, hidden: int = 64, layers: int = 1, dropout: float = 0.1, bidirectional: bool = True
    ) -> None:
        out_dim = hidden * (2 if bidirectional else 1)
        super().__init__(out_dim, dropout=dropout, hidden=hidden, layers=layers)
        self.dropout = nn.Dropout(dropout)  # before every layer, also a single one
        widths = [dim, *[out_dim] * (layers - 1)]
        # A layer each and not torch's stack, whose own dropout cannot be told which clips of a batch it sees.
        nets = [self.cell(width, hidden, batch_first=True, bidirectional=bidirectional) for width in widths]
        self.rnn, self.above = nets[0], nn.ModuleList(nets[1:])

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x (B, T, dim), valid (B, T) -> (B, T, out_dim)."""
        for rnn in (self.rnn, *self.above):
            x = recur(rnn, self.dropout(x), valid)
        return x


class Gru(_Recurrent):
    """Gated recurrent units."""

    cell = nn.GRU


class Lstm(_Recurrent):
    """Long short-term memory."""

    cell = nn.LSTM
