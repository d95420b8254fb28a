"""Standardisation and PCA against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from zoo.adapter import Adapter, Moments


@pytest.fixture
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(500, 4)) @ rng.normal(size=(4, 12)) + rng.normal(size=(500, 12)) * 0.1 + 100


def fitted(rows: np.ndarray, method: str, components: int) -> Adapter:
    adapter = Adapter(rows.shape[1], method, components, 5, 0.5, fitted=True).eval()
    moments = adapter.moments()
    for part in np.array_split(rows, 7):
        moments.add(torch.from_numpy(part))
    adapter.fit(moments)
    return adapter


def test_moments_do_not_depend_on_the_partition(rows: np.ndarray) -> None:
    moments = Moments(12)
    for part in np.array_split(rows, 13):
        moments.add(torch.from_numpy(part))
    np.testing.assert_allclose(moments.mean, rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.scatter / moments.n, np.cov(rows.T, bias=True), rtol=1e-9)
    np.testing.assert_allclose(moments.variance, rows.var(0), rtol=1e-9)
    alone = Moments(12, products=False)
    for part in np.array_split(rows, 13):
        alone.add(torch.from_numpy(part))
    np.testing.assert_allclose(alone.variance, moments.variance, rtol=1e-12)


def test_what_is_not_fitted_wants_no_moments() -> None:
    assert Adapter(12, "raw", 3, 5, 0.5, fitted=True).moments() is None
    assert Adapter(12, "pca", 3, 5, 0.5, fitted=False).moments() is None
    assert not Adapter(12, "none", 3, 5, 0.5, fitted=True).moments().products


def test_pca_is_scikit_learns(rows: np.ndarray) -> None:
    adapter = fitted(rows, "pca", 3)
    ours = (torch.from_numpy(rows).float() - adapter.mean) @ adapter.project
    theirs = PCA(3).fit_transform(StandardScaler().fit_transform(rows))
    for k in range(3):  # signs are free
        assert abs(np.corrcoef(ours[:, k], theirs[:, k])[0, 1]) > 0.9999
    np.testing.assert_allclose(ours.std(0, unbiased=False), theirs.std(0), rtol=1e-3)


def test_what_stands_at_absent_frames_does_not_matter(rows: np.ndarray) -> None:
    adapter = fitted(rows, "pca", 3)
    x = torch.from_numpy(rows[:6]).float().view(2, 3, 12).clone()
    present = torch.tensor([[True, False, True], [False, True, True]])
    before = adapter(x, present)
    x[~present] = torch.nan
    x.requires_grad_()
    after = adapter(x, present)
    torch.testing.assert_close(before, after)
    assert torch.equal(after[0, 1], after[1, 0])  # the slot's learned vector
    after.sum().backward()
    assert torch.equal(x.grad[~present], torch.zeros_like(x.grad[~present]))


def test_constant_features_stay_finite() -> None:
    adapter = fitted(np.ones((50, 4)), "pca", 3)
    assert torch.isfinite(adapter(torch.ones(1, 2, 4), torch.ones(1, 2, dtype=torch.bool))).all()
