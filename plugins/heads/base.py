"""What the constructors of heads share."""

from __future__ import annotations

from torch import nn

from zoo.layers.validation import at_least, fraction


class Head(nn.Module):
    """A network of ``out_dim`` units a frame, named in messages as its class is.

    UserError for any of ``sizes`` (hidden, layers, ...) under 1, or a dropout outside [0, 1)."""

    def __init__(self, out_dim: int, *, dropout: float, **sizes: int) -> None:
        super().__init__()
        who = f"head {type(self).__name__.lower()}"
        at_least(who, 1, **sizes)
        fraction(who, dropout=dropout)
        self.out_dim = out_dim
