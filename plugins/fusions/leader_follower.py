"""Leader-follower attention: one slot leads, what the slots say to each other is added beside it.

Zhang et al. 2021, arXiv:2107.01175; public code read: sucv/ABAW3 (a later form with several heads) and the copy of the
first form in praveena2j/RJCMA. A temporal net a slot (build.head; the paper's TCN), then at every frame by itself
attention between the slots, then one linear layer on the leader beside what was attended; no second temporal net.

What was open, and what was taken: as in the code every slot, the leader too, is among the slots that
attend, and all of their results stand beside the leader. The code normalises all results of a frame together and has no
masks; here each slot's result is normalised by itself, so that a slot that is absent does not change the others' scale.
``heads`` are the later form's, 1 the first form's; that form's second linear layer on all results is left out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.layers.validation import at_least
from zoo.modules import Build, Features, FusionOut, Masks


class LeaderFollower(nn.Module):
    """The leader's temporal net beside all slots' attended features, a linear layer on them.

    At a frame, with the slots' queries q, keys k, values v of width ``hidden`` = heads x d: slot i gives
    norm(sum over slots j of softmax_j(q_i . k_j / sqrt(d)) v_j + v_i). A slot that is absent at the frame gets weight 0
    and gives 0. Where the leader is absent it has weight 0 like any other, and in the leader's own place stands what
    its temporal net made of the learned vector and of the frames around. With one slot: its temporal net, beside a
    normalised linear map of it.

    ``lead``: the leading slot's name; the first slot without it. Raises UserError for a name that is no slot and for
    heads that do not divide hidden.
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
            raise UserError(f"fusion leader_follower: lead {lead!r} is no slot; the slots are {', '.join(dims)}")
        self.slots = tuple(dims)
        self.lead = self.slots.index(lead) if lead is not None else 0
        self.split = (heads, hidden // heads)
        self.heads = nn.ModuleList(build.head(dim) for dim in dims.values())
        widths = [int(head.out_dim) for head in self.heads]  # type: ignore[arg-type]
        self.query = nn.ModuleList(nn.Linear(width, hidden) for width in widths)
        self.key = nn.ModuleList(nn.Linear(width, hidden) for width in widths)
        self.value = nn.ModuleList(nn.Linear(width, hidden) for width in widths)
        self.norm = nn.ModuleList(nn.LayerNorm(hidden) for _ in dims)
        # A linear layer on the leader beside all followers, written as the sum of a layer each.
        self.leader = build.output(widths[self.lead])
        self.followers = nn.ModuleList(build.output(hidden) for _ in dims)

    def forward(self, features: Features, present: Masks, valid: Tensor) -> FusionOut:
        """Features and masks by slot, valid (B, T) -> raw (B, T, K)."""
        x = [head(features[slot], valid) for slot, head in zip(self.slots, self.heads, strict=True)]
        admitted = torch.stack([present[slot] for slot in self.slots], dim=-1)  # (B, T, S)
        attended = self._attend(x, admitted)
        parts = [self.leader(x[self.lead])]
        for i, (norm, output) in enumerate(zip(self.norm, self.followers, strict=True)):
            follower = norm(attended[..., i, :]).masked_fill(~admitted[..., i : i + 1], 0.0)
            parts.append(output(follower))
        return FusionOut(torch.stack(parts).sum(0))

    def _attend(self, x: list[Tensor], admitted: Tensor) -> Tensor:
        """x: a (B, T, width) a slot, admitted (B, T, S) -> attended values plus the slots' own, (B, T, S, hidden)."""
        query, key, value = (
            torch.stack([net(part) for net, part in zip(nets, x, strict=True)], dim=-2).unflatten(-1, self.split)
            for nets in (self.query, self.key, self.value)
        )  # (B, T, S, heads, d)
        scores = torch.einsum("btihd,btjhd->bthij", query, key) / math.sqrt(self.split[1])
        # Where no slot is present all are read, so that the softmax is finite; forward drops the result.
        read = admitted | ~admitted.any(-1, keepdim=True)
        weights = scores.masked_fill(~read[:, :, None, None, :], -torch.inf).softmax(-1)
        return (torch.einsum("bthij,btjhd->btihd", weights, value) + value).flatten(-2)
