"""Masked multi-head attention with rotary positions, and a transformer layer. Heads and fusions use both.

Scaled dot-product attention with several heads: Vaswani et al. 2017, arXiv:1706.03762. Rotary positions: Su et al.
2021, arXiv:2104.09864. Of the two layouts in use, dimension i is paired with i + half (not with i + 1), base 10,000. A
score depends only on the distance of two frames, so clips longer than those in training need nothing new.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.layers.validation import at_least, fraction

Positions = Tensor | tuple[Tensor, Tensor]


class Attention(nn.Module):
    """Multi-head attention: queries (B, Tq, dim) read a memory (B, Tk, key_dim) -> (B, Tq, dim).

    A query that may read no key gets zeros, without bias: added to a residual, it changes nothing. The values at masked
    keys never matter, even if they are NaN.

    Args:
        dim: Features of a query and of the output.
        heads: Number of heads.
        dropout: Dropout on the attention weights.
        rotary: Use rotary positions.
        key_dim: Features of the memory; None: ``dim``.
        free: Number of queries and keys at the end without a position in time (learned tokens). Their scores are not
            rotated, and ``causal`` and ``window`` do not apply to them.

    Raises:
        UserError: ``heads`` does not divide ``dim``, or heads have an odd width with rotary positions.

    Examples:
        >>> import torch
        >>> from zoo.layers.attention import Attention
        >>> attention = Attention(8, heads=2, key_dim=4)
        >>> queries, memory = torch.ones(2, 3, 8), torch.ones(2, 5, 4)
        >>> mask = torch.tensor([[True] * 5, [False] * 5])
        >>> out = attention(queries, memory, mask)
        >>> tuple(out.shape), out[1].abs().sum().item()  # the second clip may read no key
        ((2, 3, 8), 0.0)
    """

    def __init__(
        self, dim: int, heads: int, dropout: float = 0.0, rotary: bool = True, key_dim: int | None = None, free: int = 0
    ) -> None:
        super().__init__()
        at_least("attention", 1, dim=dim, heads=heads)
        fraction("attention", dropout=dropout)
        if dim % heads:
            raise UserError("attention-heads", heads=heads, dim=dim)
        if rotary and dim // heads % 2:
            raise UserError("attention-odd", heads=heads, dim=dim, value=dim // heads, value2=2 * heads)
        self.heads, self.rotary, self.free = heads, rotary, free
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(key_dim or dim, dim)
        self.value = nn.Linear(key_dim or dim, dim)
        self.output = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None,
        mask: Tensor,
        *,
        causal: bool = False,
        window: int | None = None,
        positions: Positions | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Attend.

        Args:
            x: (B, Tq, dim).
            memory: (B, Tk, key_dim); None: x itself.
            mask: (B, Tk) bool: the keys that may be read.
            causal: Read only keys at or before the query.
            window: Read only keys at most this many frames away.
            positions: Positions in frames: (Tq,) of queries and (Tk,) of keys, or one tensor for both; None: 0, 1, 2
                ...
            bias: Added to the scores before the softmax; broadcastable to (B, heads, Tq, Tk).

        Returns:
            (B, Tq, dim).
        """
        memory = x if memory is None else memory
        memory = torch.where(mask.unsqueeze(-1), memory, torch.zeros_like(memory))
        places = _places(x, memory, positions)
        admitted = mask[:, None, None, :] & self._reach(*places, causal, window)  # (B, 1, Tq, Tk)
        reads = admitted.any(-1, keepdim=True)  # (B, 1, Tq, 1)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, T, dim / heads)
            for part in (self.query(x), self.key(memory), self.value(memory))
        )
        scores = self._scores(query, key, *places)
        scores = scores if bias is None else scores + bias
        scores = scores.masked_fill(~(admitted | ~reads), -torch.inf)
        weights = self.dropout(scores.softmax(-1).to(value.dtype))
        out = self.output((weights @ value).transpose(1, 2).flatten(2))
        return torch.where(reads.squeeze(1), out, torch.zeros_like(out))

    def _scores(self, query: Tensor, key: Tensor, here: Tensor, there: Tensor) -> Tensor:
        """Return the scaled products of queries and keys, (B, heads, Tq, Tk), rotated if both have a position."""
        plain = query / query.shape[-1] ** 0.5
        if not self.rotary:
            return plain @ key.transpose(-1, -2)
        scores = rotate(plain, here) @ rotate(key, there).transpose(-1, -2)
        if self.free:
            placed_q, placed_k = scores.shape[-2] - self.free, scores.shape[-1] - self.free
            scores = torch.cat([scores[..., :placed_k], plain @ key[..., placed_k:, :].transpose(-1, -2)], -1)
            scores = torch.cat([scores[..., :placed_q, :], plain[..., placed_q:, :] @ key.transpose(-1, -2)], -2)
        return scores

    def _reach(self, here: Tensor, there: Tensor, causal: bool, window: int | None) -> Tensor:
        """Return the keys that each query may read by its position, (Tq, Tk) bool."""
        ahead = there - here.unsqueeze(-1)
        reach = torch.ones_like(ahead, dtype=torch.bool)
        if causal:
            reach &= ahead <= 0
        if window is not None:
            reach &= ahead.abs() <= window
        if self.free:
            reach[-self.free :] = True
            reach[:, -self.free :] = True
        return reach


class TransformerLayer(nn.Module):
    """Attention, then a perceptron on each frame: (B, T, dim) -> (B, T, dim).

    Both are residual with a norm before them (pre-norm, as in Vision Transformers, because it trains without a
    warm-up).

    Args:
        dim: Features per frame.
        heads: Number of heads.
        dropout: Dropout on attention weights, hidden layer and both residuals.
        expand: Width of the perceptron's hidden layer, in units of ``dim``.
        rotary: Use rotary positions.
        free: See Attention.

    Examples:
        >>> import torch
        >>> from zoo.layers.attention import TransformerLayer
        >>> layer, x = TransformerLayer(8, heads=2), torch.ones(1, 3, 8)
        >>> mask = torch.tensor([[True, True, False]])
        >>> noisy = x.masked_fill(~mask.unsqueeze(-1), torch.nan)  # a masked frame does not matter to the others
        >>> out = layer(noisy, None, mask)
        >>> tuple(out.shape), bool(out[:, :2].isfinite().all())
        ((1, 3, 8), True)
    """

    def __init__(
        self, dim: int, heads: int, dropout: float = 0.0, expand: int = 2, rotary: bool = True, free: int = 0
    ) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, dropout, rotary, free=free)
        self.before_perceptron = nn.LayerNorm(dim)
        self.perceptron = nn.Sequential(
            nn.Linear(dim, expand * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(expand * dim, dim)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None,
        mask: Tensor,
        *,
        causal: bool = False,
        window: int | None = None,
        positions: Positions | None = None,
    ) -> Tensor:
        """Attend to x, or to a memory, and apply the perceptron.

        Args:
            x: (B, T, dim).
            memory: (B, Tk, dim), read as it is, without a norm; None: x itself.
            mask: (B, Tk) bool: the keys that may be read.
            causal: See Attention.forward.
            window: See Attention.forward.
            positions: See Attention.forward.

        Returns:
            (B, T, dim).
        """
        read = self.attention(self.before_attention(x), memory, mask, causal=causal, window=window, positions=positions)
        x = x + self.dropout(read)
        out: Tensor = x + self.dropout(self.perceptron(self.before_perceptron(x)))
        return out


def rotate(x: Tensor, places: Tensor) -> Tensor:
    """Rotate each pair of dimensions (i, i + D/2) by positions * 10000^(-2i/D) radians.

    Args:
        x: (..., T, D).
        places: (T,) positions in frames.

    Returns:
        (..., T, D).

    Examples:
        >>> import torch
        >>> from zoo.layers.attention import rotate
        >>> x = torch.ones(2, 3, 8)
        >>> out = rotate(x, torch.arange(3))
        >>> tuple(out.shape), bool((out[:, 0] == x[:, 0]).all())  # position 0 is not rotated
        ((2, 3, 8), True)
    """
    half = x.shape[-1] // 2
    speed = 10_000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = places.to(torch.float32).unsqueeze(-1) * speed  # (T, D / 2)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1)


def _places(x: Tensor, memory: Tensor, positions: Positions | None) -> tuple[Tensor, Tensor]:
    """Return the positions of queries (Tq,) and keys (Tk,)."""
    if positions is None:
        longest = torch.arange(max(x.shape[1], memory.shape[1]), device=x.device)
        return longest[: x.shape[1]], longest[: memory.shape[1]]
    return positions if isinstance(positions, tuple) else (positions, positions)
