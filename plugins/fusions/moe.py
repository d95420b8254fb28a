"""Mixture of experts on the joined slots, weighted at each frame by a router."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.layers.validation import at_least, fraction
from zoo.modules import Build, FeatureFusion, Features, FusionOut, Masks, masked_mean
from zoo.parallel import gather_rows


class MixtureOfExperts(FeatureFusion):
    """Densely routed mixture of experts.

    Let z be the mean of W_s x_s over the slots present, or 0 if none is. The predictor's input (B, T, hidden) is
    sum_e p_e E_e(GELU(z)), with p = softmax(R z) over the experts. Each expert is a perceptron with one hidden layer.
    With one slot this is a mixture of experts on that slot, with one expert a perceptron.

    Routing is dense: each expert computes each frame (Jacobs et al. 1991, doi:10.1162/neco.1991.3.1.79). There is no
    capacity limit, with which a frame's prediction would depend on the rest of the batch.

    The auxiliary loss ``balance`` is the squared coefficient of variation of the experts' importance (Shazeer et al.
    2017, arXiv:1701.06538, without its noise and top-k), times the option ``balance``. An expert's importance is its
    mean p_e over the valid frames of the batch at which a slot is present. Without such a frame the loss is 0, with a
    graph.
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
        """Return raw outputs (B, T, K) and the auxiliary loss for features and masks by slot and valid (B, T)."""
        seen = torch.stack([present[slot] for slot in self.slots]) & valid
        mixed, routes = self.mix(features, seen)
        balance = imbalance(gather_rows(routes), gather_rows(seen.any(0)))  # of the whole batch, across processes
        return FusionOut(self.predictor(mixed, valid), aux={"balance": self.balance * balance})

    def fuse(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """Fuse features (B, T, D_slot) by slot into (B, T, hidden)."""
        return self.mix(features, torch.stack([present[slot] for slot in self.slots]) & valid)[0]

    def mix(self, features: Features, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Return the experts' weighted sum (B, T, hidden) and their weights (B, T, experts); ``seen`` (S, B, T)."""
        parts = [net(features[slot]) for slot, net in zip(self.slots, self.projections, strict=True)]
        joined = masked_mean(torch.stack(parts), seen.unsqueeze(-1), 0)
        routes = self.router(joined).softmax(-1)
        active = nn.functional.gelu(joined)
        each = torch.stack([expert(active) for expert in self.experts], -1)  # (B, T, hidden, experts)
        return (each * routes.unsqueeze(-2).to(each.dtype)).sum(-1), routes


def imbalance(routes: Tensor, counted: Tensor) -> Tensor:
    """Return the squared coefficient of variation (population) of the experts' mean weights, a scalar.

    The mean of routes (B, T, E) is over the frames in counted (B, T). Without any such frame the result is 0, with a
    graph.
    """
    importance = masked_mean(routes.float().flatten(0, 1), counted.flatten().unsqueeze(-1), 0)  # (E,), sums to 1 or 0
    count = routes.shape[-1]
    return count * (importance - importance.mean()).square().sum()
