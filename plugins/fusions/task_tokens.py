"""Task tokens: each kind of answer has a learned token that reads the frames of all slots, and a predictor of its own.

Learned tokens as queries of attention: Carion et al. 2020, arXiv:2005.12872; one for each task: Ye & Xu 2023,
TaskPrompter, ICLR. CPRL, of ABAW 11, has such queries for action units on the patches of one picture (code read:
cprl-team/MTL-ABAW-11th). That the tokens read a sequence of frames, as here, is this project's form.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from zoo.layers.attention import Attention, TransformerLayer
from zoo.layers.validation import at_least
from zoo.modules import Build, Features, FusionOut, Masks, masked_mean


class TaskTokens(nn.Module):
    """A learned token for each task (kind of answer), which attends to the clip, and a predictor for each task.

    With h_s = P_s x_s (B, T, hidden) for each slot s, the tokens of frame t begin as e_k + the mean of h_s[t] over the
    slots present there. In each of ``layers`` layers

    - every token attends to the frames of all slots (normalised h_s, with rotary positions), followed by a perceptron;
    - the tokens of one frame attend to one another, so that tasks that are labelled together share what they read.

    A last norm follows, then each task's own head and output layer. Keys at absent frames and padding are masked. At a
    frame without any slot the tokens begin as e_k. ``window``: frames on each side that are read; 0: the whole clip.

    On a track with one kind of answers there is one token, and no exchange. Raises UserError if a size is less
    than 1 (window: 0) or heads does not divide hidden into even widths.
    """

    def __init__(
        self,
        dims: dict[str, int],
        build: Build,
        hidden: int = 64,
        layers: int = 1,
        heads: int = 4,
        window: int = 0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        at_least("fusion task_tokens", 1, hidden=hidden, layers=layers, heads=heads)
        at_least("fusion task_tokens", 0, window=window)
        self.slots = tuple(dims)
        self.window = window or None
        widths = build.tasks or (build.width,)
        self.projections = nn.ModuleList(nn.Linear(dim, hidden) for dim in dims.values())
        self.tokens = nn.Parameter(0.02 * torch.randn(len(widths), hidden))
        self.norm_memory = nn.LayerNorm(hidden)
        self.readers = nn.ModuleList(TransformerLayer(hidden, heads, dropout) for _ in range(layers))
        # One token alone reads itself whatever the weights of an exchange.
        exchanges = layers if len(widths) > 1 else 0
        self.exchanges = nn.ModuleList(Exchange(hidden, heads, dropout) for _ in range(exchanges))
        self.norm = nn.LayerNorm(hidden)
        self.predictors = nn.ModuleList(replace(build, width=width, tasks=()).predictor(hidden) for width in widths)

    def no_weight_decay(self) -> set[str]:
        """Exclude the learned tokens."""
        return {"tokens"}

    def forward(self, features: Features, present: Masks, valid: Tensor) -> FusionOut:
        """Return raw outputs (B, T, K) for features and masks by slot and valid (B, T)."""
        tasks = self.read(features, present, valid).unbind(2)
        raw = [predictor(task, valid) for predictor, task in zip(self.predictors, tasks, strict=True)]
        return FusionOut(torch.cat(raw, -1))

    def read(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """Return what the tokens have read, (B, T, tasks, hidden)."""
        states = [net(features[slot]) for slot, net in zip(self.slots, self.projections, strict=True)]
        masks = [present[slot] & valid for slot in self.slots]
        own = masked_mean(torch.stack(states), torch.stack(masks).unsqueeze(-1), 0)  # (B, T, hidden)
        memory, admitted = self.norm_memory(torch.cat(states, 1)), torch.cat(masks, 1)  # (B, slots * T, ...)
        frames, count = torch.arange(valid.shape[1], device=valid.device), len(self.tokens)
        positions = (frames.repeat_interleave(count), frames.repeat(len(states)))
        x = (own.unsqueeze(2) + self.tokens).flatten(1, 2)  # (B, T * tasks, hidden), a frame's tokens side by side
        for layer, reader in enumerate(self.readers):
            x = reader(x, memory, admitted, window=self.window, positions=positions)
            if self.exchanges:
                x = self.exchanges[layer](x.unflatten(1, (-1, count))).flatten(1, 2)
        out: Tensor = self.norm(x).unflatten(1, (-1, count))
        return out


class Exchange(nn.Module):
    """Attention among the tokens of one frame, residual, with a norm before it: (B, T, tasks, H) -> the same."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.attention = Attention(hidden, heads, dropout, rotary=False)
        # Without positions a bias adds the same to every score: its gradient would be nothing but rounding.
        self.attention.key = nn.Linear(hidden, hidden, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Let the tokens of each frame read one another."""
        each = self.norm(x).flatten(0, 1)  # (B * T, tasks, H)
        every = torch.ones(each.shape[:2], dtype=torch.bool, device=x.device)
        return x + self.dropout(self.attention(each, None, every).view_as(x))
