"""Standardisation and PCA against scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from torch import nn

from zoo.model.adapter import Adapter, Moments, leading_directions


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


@pytest.mark.parametrize("method", ["pca", "none", "norm", "raw"])
def test_an_absent_frame_is_the_learned_vector_and_a_present_one_is_not(rows: np.ndarray, method: str) -> None:
    adapter = Adapter(rows.shape[1], method, 4, 6, 0.0, fitted=method in ("pca", "none")).eval()
    if (moments := adapter.moments()) is not None:
        moments.add(torch.from_numpy(rows))
        adapter.fit(moments)
    nn.init.uniform_(adapter.absent, 5.0, 6.0)
    present = torch.tensor([[True, False, True, False]])
    x = torch.from_numpy(rows[:4]).float().unsqueeze(0)
    with torch.no_grad():
        got = adapter(x, present)[0]
    assert torch.equal(got[1], adapter.absent.detach())
    assert torch.equal(got[3], adapter.absent.detach())
    assert not torch.isclose(got[[0, 2]], adapter.absent.detach()).any()


def test_constant_features_stay_finite() -> None:
    adapter = fitted(np.ones((50, 4)), "pca", 3)
    assert torch.isfinite(adapter(torch.ones(1, 2, 4), torch.ones(1, 2, dtype=torch.bool))).all()


# --- columns that are constant in training, as a fixed camera gives -----------------------------------------------------


def fixed_camera(seed: int, varying: int = 157, dim: int = 1280) -> tuple[np.ndarray, np.ndarray]:
    """Features of which few columns vary, as of a video with a still background (1,123 of 1,280 were constant); and
    which do. Values are those that float16 can hold, as the cache stores them."""
    rng = np.random.default_rng(seed)
    rows = np.broadcast_to(rng.uniform(0, 2, dim), (400, dim)).copy()
    columns = np.sort(rng.permutation(dim)[:varying])
    rows[:, columns] = np.maximum(rng.normal(size=(400, varying)), 0)
    return rows.astype(np.float16).astype(np.float64), columns


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("seed", range(3))
def test_constant_columns_are_left_out_of_the_decomposition(seed: int) -> None:
    rows, columns = fixed_camera(seed)
    adapter = fitted(rows, "pca", 8)
    ours = (torch.from_numpy(rows).float() - adapter.mean) @ adapter.project
    theirs = PCA(8).fit_transform(StandardScaler().fit_transform(rows[:, columns]))
    np.testing.assert_allclose(ours.abs(), np.abs(theirs), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", ["pca", "none"])
def test_a_column_that_was_constant_in_training_has_no_say_later(method: str) -> None:
    """One over its deviation would make of a change of 0.01 an input of 10,000."""
    rows, columns = fixed_camera(0, varying=5, dim=12)
    adapter = fitted(rows, method, 3)
    others = np.setdiff1d(np.arange(12), columns)
    x = torch.from_numpy(rows[:2]).float().view(1, 2, 12)
    present = torch.ones(1, 2, dtype=torch.bool)
    before = adapter(x, present)
    x[..., others] += 0.01
    torch.testing.assert_close(adapter(x, present), before, rtol=0, atol=0)


def test_fewer_varying_columns_than_components_leave_the_rest_at_zero() -> None:
    rows, _ = fixed_camera(0, varying=2, dim=12)
    project = fitted(rows, "pca", 5).project
    assert torch.equal(project[:, 2:], torch.zeros(12, 3))
    assert (project[:, :2] != 0).any(0).all()


def test_where_lapack_fails_the_directions_are_found_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 40)) + rng.normal(size=(300, 40)) * 0.3
    correlation = torch.from_numpy(np.corrcoef(rows.T))
    exact = leading_directions(correlation, 6)

    def fails(_: torch.Tensor) -> None:
        raise torch.linalg.LinAlgError("linalg.eigh: The algorithm failed to converge")

    monkeypatch.setattr(torch.linalg, "eigh", fails)
    torch.testing.assert_close(leading_directions(correlation, 6), exact, rtol=0, atol=1e-9)
    for hopeless in (torch.zeros(5, 5), torch.ones(5, 5), torch.eye(5) * 1e-300):  # of any rank, at any scale
        found = leading_directions(hopeless.double(), 3)
        torch.testing.assert_close(found.T @ found, torch.eye(3, dtype=torch.float64))
