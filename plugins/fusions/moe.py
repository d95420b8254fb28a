"""Mixture of experts: at every frame, a router weighs what several experts make of the joined slots."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.layers.validation import at_least, fraction
from zoo.modules import Build, FeatureFusion, Features, FusionOut, Masks, masked_mean
from zoo.parallel import gather_rows


class MixtureOfExperts(FeatureFusion):
    """z = the mean of W_s x_s over the slots present; the answer is predicted from sum_e p_e E_e(GELU(z)), with
    p = softmax(R z) over the experts, (B, T, hidden). Each expert is a perceptron with one hidden layer.

    Routing is dense: every expert sees every frame (Jacobs et al. 1991, doi:10.1162/neco.1991.3.1.79), and there is no
    capacity limit, which would let a frame's answer depend on the rest of the batch. The auxiliary loss ``balance`` is
    the squared coefficient of variation of the experts' importance (Shazeer et al. 2017, arXiv:1701.06538, without
    its noise and top-k), their mean p_e over the valid frames of the batch where some slot is present, times the option
    ``balance``; 0 with a graph where there is no such frame.

    No slot present: z = 0. One slot: a mixture of experts on that slot. One expert: a perceptron.
    """

    def __init__(
        self,
        dims: dict[str, int],
        build: Build,
        experts: int = 8,
        hidden: int = 32,
        balance: float = 0.01,
        dropout: float = 0.1,
    ) -> None:
        at_least("fusion moe", 1, experts=experts, hidden=hidden)
        at_least("fusion moe", 0, balance=balance)
        fraction("fusion moe", dropout=dropout)
        super().__init__(dims, build, hidden)
        self.balance = balance
        self.projections = nn.ModuleList(nn.Linear(dim, hidden) for dim in dims.values())
        self.router = nn.Linear(hidden, experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, hidden))
            for _ in range(experts)
        )

    def forward(self, features: Features, present: Masks, valid: Tensor) -> FusionOut:
        """Features and masks by slot, valid (B, T) -> raw (B, T, K), aux balance."""
        seen = torch.stack([present[slot] for slot in self.slots]) & valid
        mixed, routes = self.mix(features, seen)
        balance = imbalance(gather_rows(routes), gather_rows(seen.any(0)))  # of the batch, whoever computes its clips
        return FusionOut(self.predictor(mixed, valid), aux={"balance": self.balance * balance})

    def fuse(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """slot -> (B, T, D_slot) to (B, T, hidden)."""
        return self.mix(features, torch.stack([present[slot] for slot in self.slots]) & valid)[0]

    def mix(self, features: Features, seen: Tensor) -> tuple[Tensor, Tensor]:
        """seen (S, B, T) -> the experts' weighted sum (B, T, hidden) and their weights (B, T, experts)."""
        parts = [net(features[slot]) for slot, net in zip(self.slots, self.projections, strict=True)]
        joined = masked_mean(torch.stack(parts), seen.unsqueeze(-1), 0)
        routes = self.router(joined).softmax(-1)
        active = nn.functional.gelu(joined)
        each = torch.stack([expert(active) for expert in self.experts], -1)  # (B, T, hidden, experts)
        return (each * routes.unsqueeze(-2).to(each.dtype)).sum(-1), routes


def imbalance(routes: Tensor, counted: Tensor) -> Tensor:
    """Squared coefficient of variation (population) of the experts' mean weights over the counted frames: routes
    (B, T, E), counted (B, T) -> scalar; 0 with a graph where none is counted."""
    importance = masked_mean(routes.float().flatten(0, 1), counted.flatten().unsqueeze(-1), 0)  # (E,), sums to 1 or 0
    count = routes.shape[-1]
    return count * (importance - importance.mean()).square().sum()
