"""Between a slot's features and the fusion: standardise, project, one linear layer; a learned vector where absent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CONSTANT = 1e-6
"""Columns with a smaller standard deviation over the training frames count as constant."""


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


def leading_directions(correlation: Tensor, most: int) -> Tensor:
    """Return the eigenvectors (n, k) of a symmetric matrix (n, n) to its k = min(n, ``most``) largest eigenvalues, the
    largest first; of each, the entry with the largest magnitude is positive."""
    most = min(most, len(correlation))
    try:
        basis = torch.linalg.eigh(correlation)[1].flip(1)[:, :most]
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # LAPACK may fail to converge
        basis = _by_iteration(correlation, most)
    return basis * basis.gather(0, basis.abs().argmax(0, keepdim=True)).sign() if basis.numel() else basis


def _by_iteration(matrix: Tensor, most: int, rounds: int = 500) -> Tensor:
    """The same by orthogonal iteration (Golub and Van Loan, Matrix Computations, section 8.2.4): slower, and nothing in
    it can fail to converge; directions of nearly equal eigenvalues come out mixed, which PCA does not mind."""
    basis = torch.linalg.qr(torch.randn(len(matrix), most, generator=torch.Generator().manual_seed(0)).to(matrix))[0]
    for _ in range(rounds):
        basis = torch.linalg.qr(matrix @ basis)[0]
    return basis


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
        """Set standardisation (and PCA's directions, by falling variance, signs fixed) from training frames.

        A column that is constant there carries nothing and gets the factor 0: one over its deviation would blow up
        whatever else it shows later, and a correlation matrix full of such columns stops LAPACK's eigensolver.
        """
        if moments.n == 0:
            return
        deviation = moments.variance.clamp_min(0).sqrt()
        varies = deviation > CONSTANT
        scale = deviation[varies]
        self.mean.copy_(moments.mean)
        self.project.zero_()
        if self.method == "pca":
            correlation = moments.scatter[varies][:, varies] / moments.n / torch.outer(scale, scale)
            basis = leading_directions(correlation, self.project.shape[1])
            self.project[varies, : basis.shape[1]] = (basis / scale.unsqueeze(1)).to(self.project.dtype)
        else:
            self.project[varies] = (1 / scale).to(self.project.dtype)

    def standardise(self, x: Tensor) -> Tensor:
        """Return (..., D) standardised and projected as ``fit`` has set it: what of a fitted adapter is not learned.
        Method ``raw``: as they are."""
        if self.method == "raw":
            return x
        z = x - self.mean
        return z @ self.project if self.method == "pca" else z * self.project

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """x (B, T, D), present (B, T). What stands in x at absent frames does not matter, nor does it get gradient."""
        x = torch.where(present.unsqueeze(-1), x, torch.zeros_like(x))
        if self.method == "raw":
            return torch.where(present.unsqueeze(-1), self.dropout(x), self.absent.to(x.dtype))
        z = self.norm(x) if self.method == "norm" else self.standardise(x)
        z = nn.functional.gelu(self.linear(self.dropout(z)))
        return torch.where(present.unsqueeze(-1), z, self.absent.to(z.dtype))
