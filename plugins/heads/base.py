"""Base class of the built-in heads."""

from __future__ import annotations

from torch import nn

from zoo.layers.validation import at_least, fraction


class Head(nn.Module):
    """A network with ``out_dim`` features per frame. Error messages name it by its class.

    Raises UserError if any of ``sizes`` (hidden, layers, ...) is less than 1 or dropout is outside [0, 1).
    """

    def __init__(self, out_dim: int, *, dropout: float, **sizes: int) -> None:
        super().__init__()
        who = f"head {type(self).__name__.lower()}"
        at_least(who, 1, **sizes)
        fraction(who, dropout=dropout)
        self.out_dim = out_dim
