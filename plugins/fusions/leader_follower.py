"""Leader-follower attention: one slot leads; its features are joined with the result of attention between all slots.

Zhang et al. 2021, arXiv:2107.01175; public code read: sucv/ABAW3 (a later form with several heads) and the copy of the
first form in praveena2j/RJCMA. Each slot has one temporal network (build.head; the paper's TCN). Attention between the
slots follows, at each frame separately, then one linear layer on the leader's features concatenated with the attended
features. There is no second temporal network.

Open questions and choices: as in the code, all slots including the leader attend, and all of their results are
concatenated with the leader. The code normalises all results of a frame together and has no masks. Here each slot's
result is normalised separately, so that an absent slot does not change the scale of the others. Several ``heads`` are
the later form's, 1 is the first form. The later form's second linear layer on all results is left out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.layers.validation import at_least
from zoo.modules import Build, Features, FusionOut, Masks


class LeaderFollower(nn.Module):
    """A linear layer on the leader's temporal network, concatenated with the attended features of all slots.

    At a frame, the slots have queries q, keys k and values v of width ``hidden`` = heads x d. Slot i contributes
    norm(sum over slots j of softmax_j(q_i . k_j / sqrt(d)) v_j + v_i). A slot that is absent at the frame has weight 0
    and contributes 0. If the leader is absent, it has weight 0 like any other slot, and its own place holds the output
    of its temporal network for the learned vector and the frames around. With one slot, the layer's input is the
    output of its temporal network and a normalised linear map of that output.

    ``lead``: name of the leading slot; None: the first slot. Raises UserError if the name is not a slot or heads does
    not divide hidden.
    """

    def __init__(
        self, dims: dict[str, int], build: Build, lead: str | None = None, hidden: int = 32, heads: int = 1
    ) -> None:
        super().__init__()
        at_least("fusion leader_follower", 1, hidden=hidden, heads=heads)
        if hidden % heads:
            raise UserError(
                f"fusion leader_follower: {heads} heads do not divide hidden {hidden}; give a multiple of heads"
            )
        if lead is not None and lead not in dims:
            raise UserError(f"fusion leader_follower: lead {lead!r} is not a slot; choose one of {', '.join(dims)}")
        self.slots = tuple(dims)
        self.lead = self.slots.index(lead) if lead is not None else 0
        self.split = (heads, hidden // heads)
        self.heads = nn.ModuleList(build.head(dim) for dim in dims.values())
        widths = [int(head.out_dim) for head in self.heads]  # type: ignore[arg-type]
        self.query = nn.ModuleList(nn.Linear(width, hidden) for width in widths)
        self.key = nn.ModuleList(nn.Linear(width, hidden) for width in widths)
        self.value = nn.ModuleList(nn.Linear(width, hidden) for width in widths)
        self.norm = nn.ModuleList(nn.LayerNorm(hidden) for _ in dims)
        # A linear layer on the concatenated leader and followers, written as a sum of one layer each.
        self.leader = build.output(widths[self.lead])
        self.followers = nn.ModuleList(build.output(hidden) for _ in dims)

    def forward(self, features: Features, present: Masks, valid: Tensor) -> FusionOut:
        """Return raw outputs (B, T, K) for features and masks by slot and valid (B, T)."""
        x = [head(features[slot], valid) for slot, head in zip(self.slots, self.heads, strict=True)]
        admitted = torch.stack([present[slot] for slot in self.slots], dim=-1)  # (B, T, S)
        attended = self._attend(x, admitted)
        parts = [self.leader(x[self.lead])]
        for i, (norm, output) in enumerate(zip(self.norm, self.followers, strict=True)):
            follower = norm(attended[..., i, :]).masked_fill(~admitted[..., i : i + 1], 0.0)
            parts.append(output(follower))
        return FusionOut(torch.stack(parts).sum(0))

    def _attend(self, x: list[Tensor], admitted: Tensor) -> Tensor:
        """Return the attended values plus the slots' own values, (B, T, S, hidden).

        ``x``: one (B, T, width) per slot. ``admitted``: (B, T, S).
        """
        query, key, value = (
            torch.stack([net(part) for net, part in zip(nets, x, strict=True)], dim=-2).unflatten(-1, self.split)
            for nets in (self.query, self.key, self.value)
        )  # (B, T, S, heads, d)
        scores = torch.einsum("btihd,btjhd->bthij", query, key) / math.sqrt(self.split[1])
        # If no slot is present, all are attended to, so that the softmax is finite; forward discards the result.
        read = admitted | ~admitted.any(-1, keepdim=True)
        weights = scores.masked_fill(~read[:, :, None, None, :], -torch.inf).softmax(-1)
        return (torch.einsum("bthij,btjhd->btihd", weights, value) + value).flatten(-2)
