"""Between a slot's features and the fusion: standardise, project, one linear layer; a learned vector where absent."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Moments:
    """Running count, mean and scatter of feature rows in float64, for videos given one after the other.

    ``scatter``: (D, D) sums of products, n times the covariance; without ``products`` its diagonal (D,) alone, a
    tenth of the time (2.7 million rows of 1,280: 20 s for 107)."""

    def __init__(self, dim: int, products: bool = True) -> None:
        self.n, self.products = 0, products
        self.mean = torch.zeros(dim, dtype=torch.float64)
        self.scatter = torch.zeros((dim, dim) if products else dim, dtype=torch.float64)

    @property
    def variance(self) -> Tensor:
        """(D,)."""
        return (self.scatter.diagonal() if self.products else self.scatter) / self.n

    def add(self, x: Tensor) -> None:
        """Take in rows (N, D) (Chan's parallel update, exact for any partition of the rows)."""
        if not len(x):
            return
        x = x.double()
        n, mean = len(x), x.mean(0)
        centred = x - mean
        delta = mean - self.mean
        total = self.n + n
        share = self.n * n / total
        if self.products:
            self.scatter += centred.T @ centred + torch.outer(delta, delta) * share
        else:
            self.scatter += (centred * centred).sum(0) + delta * delta * share
        self.mean += delta * (n / total)
        self.n = total


class Adapter(nn.Module):
    """(B, T, D) -> (B, T, width). ``fitted``: standardisation and PCA are fixed buffers, computed once by ``fit`` from
    training frames (features of a frozen encoder); a trained encoder's features move, so they get a LayerNorm.
    Method ``raw`` leaves features as they are, ``width`` does not count: (B, T, D) -> (B, T, D)."""

    def __init__(self, dim: int, method: str, components: int, width: int, dropout: float, fitted: bool) -> None:
        super().__init__()
        self.method = method if fitted or method == "raw" else "norm"
        self.out_dim = dim if method == "raw" else width
        self.absent = nn.Parameter(torch.zeros(self.out_dim))
        self.dropout = nn.Dropout(dropout)
        if self.method == "raw":
            return
        rank = min(components, dim) if self.method == "pca" else dim
        if self.method == "norm":
            self.norm = nn.LayerNorm(dim)
        else:
            self.mean: Tensor = nn.Buffer(torch.zeros(dim))
            self.project: Tensor = nn.Buffer(torch.eye(dim, rank) if self.method == "pca" else torch.ones(dim))
        self.linear = nn.Linear(rank, width)

    def moments(self) -> Moments | None:
        """What ``fit`` wants to be told of the training frames; None where nothing is fitted."""
        if self.method in ("norm", "raw"):
            return None
        return Moments(len(self.mean), products=self.method == "pca")

    def fit(self, moments: Moments) -> None:
        """Set standardisation (and PCA's directions, by falling variance, signs fixed) from training frames."""
        if moments.n == 0:
            return
        scale = moments.variance.sqrt().clamp_min(1e-6)
        if self.method == "pca":
            correlation = moments.scatter / moments.n / torch.outer(scale, scale)
            basis = torch.linalg.eigh(correlation)[1].flip(1)[:, : self.project.shape[1]]
            basis = basis * basis.gather(0, basis.abs().argmax(0, keepdim=True)).sign()
            project = basis / scale.unsqueeze(1)
        else:
            project = 1 / scale
        self.mean.copy_(moments.mean)
        self.project.copy_(project)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """x (B, T, D), present (B, T). What stands in x at absent frames does not matter, nor does it get gradient."""
        x = torch.where(present.unsqueeze(-1), x, torch.zeros_like(x))
        if self.method == "raw":
            return torch.where(present.unsqueeze(-1), self.dropout(x), self.absent.to(x.dtype))
        if self.method == "norm":
            z = self.norm(x)
        else:
            z = x - self.mean
            z = z @ self.project if self.method == "pca" else z * self.project
        z = nn.functional.gelu(self.linear(self.dropout(z)))
        return torch.where(present.unsqueeze(-1), z, self.absent.to(z.dtype))
