"""Adapters between a slot's features and the fusion: standardise, project, one linear layer; a vector if absent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CONSTANT = 1e-6
"""Columns with a smaller standard deviation over the training frames count as constant."""


class Moments:
    """Running count, mean and scatter of feature rows in float64, for videos that arrive one after the other.

    ``scatter`` is (D, D), the sums of products, n times the covariance. Without ``products`` it is only the diagonal
    (D,), which is far faster (2.7 million rows of 1,280: 20 s instead of 107 s).
    """

    def __init__(self, dim: int, products: bool = True) -> None:
        self.n, self.products = 0, products
        self.mean = torch.zeros(dim, dtype=torch.float64)
        self.scatter = torch.zeros((dim, dim) if products else dim, dtype=torch.float64)

    @property
    def variance(self) -> Tensor:
        """The variance of each column, (D,)."""
        return (self.scatter.diagonal() if self.products else self.scatter) / self.n

    def add(self, x: Tensor) -> None:
        """Add rows (N, D) (Chan's parallel update, exact for any partition of the rows)."""
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
    """Return the eigenvectors (n, k) of a symmetric matrix (n, n) for its k = min(n, ``most``) largest eigenvalues.

    The largest comes first. In each eigenvector the entry with the largest magnitude is positive.
    """
    most = min(most, len(correlation))
    try:
        basis = torch.linalg.eigh(correlation)[1].flip(1)[:, :most]
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # LAPACK may fail to converge
        basis = _by_iteration(correlation, most)
    return basis * basis.gather(0, basis.abs().argmax(0, keepdim=True)).sign() if basis.numel() else basis


def _by_iteration(matrix: Tensor, most: int, rounds: int = 500) -> Tensor:
    """Return the leading eigenvectors by orthogonal iteration (Golub and Van Loan, Matrix Computations, section 8.2.4).

    It is slower than LAPACK, but cannot fail to converge. Directions of nearly equal eigenvalues are mixed, which does
    not matter for PCA.
    """
    basis = torch.linalg.qr(torch.randn(len(matrix), most, generator=torch.Generator().manual_seed(0)).to(matrix))[0]
    for _ in range(rounds):
        basis = torch.linalg.qr(matrix @ basis)[0]
    return basis


class Adapter(nn.Module):
    """The adapter of one slot: (B, T, D) -> (B, T, width).

    ``fitted``: standardisation and PCA are fixed buffers, which ``fit`` computes once from training frames (features of
    a frozen encoder). The features of a trained encoder change, so they get a LayerNorm instead. Method ``raw`` leaves
    the features as they are and ignores ``width``: (B, T, D) -> (B, T, D).
    """

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
        """Return the moments of the training frames for ``fit`` to fill; None if nothing is fitted."""
        if self.method in ("norm", "raw"):
            return None
        return Moments(len(self.mean), products=self.method == "pca")

    def fit(self, moments: Moments) -> None:
        """Set standardisation from training frames, and PCA's directions, by falling variance and with fixed signs.

        A column that is constant there carries no information and gets the factor 0. One over its deviation would
        amplify any other value that occurs later, and a correlation matrix full of such columns stops LAPACK's
        eigensolver.
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
        """Apply the part of a fitted adapter that is not learned: standardisation and projection, as set by ``fit``.

        x is (..., D). Method ``raw`` returns x unchanged.
        """
        if self.method == "raw":
            return x
        z = x - self.mean
        return z @ self.project if self.method == "pca" else z * self.project

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Adapt x (B, T, D); present (B, T). The values of x at absent frames do not matter and get no gradient."""
        x = torch.where(present.unsqueeze(-1), x, torch.zeros_like(x))
        if self.method == "raw":
            return torch.where(present.unsqueeze(-1), self.dropout(x), self.absent.to(x.dtype))
        z = self.norm(x) if self.method == "norm" else self.standardise(x)
        z = nn.functional.gelu(self.linear(self.dropout(z)))
        return torch.where(present.unsqueeze(-1), z, self.absent.to(z.dtype))
