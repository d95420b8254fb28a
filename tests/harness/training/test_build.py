"""What is fitted before training, is fitted to the training videos alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from harness.batching.clips import ClipData
from harness.batching.training_windows import training_counts
from harness.config.schema import RunConfig
from harness.data.index.index import Index, Video
from harness.evaluation.plain_reference import plain_reference
from harness.runs import features as feature_module
from harness.runs import preparation
from harness.runs import run as run_module
from harness.runs.job import Job, make_job
from harness.training.build import fit_adapters, shuffled
from tests.harness.batching.test_clips import Store, video
from tests.harness.evaluation.test_plain_reference import VA
from tests.support.refusals import refused
from zoo.model.adapter import Adapter


class Rows(Store):
    """Features that are given."""

    def __init__(self, rows: dict[str, np.ndarray]) -> None:
        super().__init__({name: np.ones(len(own), bool) for name, own in rows.items()})
        for name, own in rows.items():
            self._maps["face", name] = own


class Adapted(nn.Module):
    """What of a model is fitted."""

    slots = ("face",)

    def __init__(self, method: str) -> None:
        super().__init__()
        self.adapters = nn.ModuleDict({"face": Adapter(4, method, 2, 3, 0.0, fitted=True)})


@pytest.mark.parametrize("method", ["pca", "none"])
def test_adapters_are_fitted_to_the_training_videos_alone(method: str) -> None:
    """Against numpy on their rows; those of the validation videos lie far away and along other directions."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(4, 4))
    rows = {name: (rng.normal(size=(50, 4)) @ mixing).astype(np.float32) for name in ("a", "b")}
    rows |= {name: (100 + 30 * rng.normal(size=(50, 4))).astype(np.float32) for name in ("val", "test")}
    videos = [video(name, np.zeros((50, 2))) for name in rows]
    index = Index(Path("data"), None, None, "", tuple(videos), None, ())  # type: ignore[arg-type]
    store, net = Rows(rows), Adapted(method)
    fit_adapters(net, ClipData(index, videos[:2], ["face"], store, {}), store)  # type: ignore[arg-type]
    own = np.concatenate([rows["a"], rows["b"]]).astype(np.float64)
    adapter = net.adapters["face"]
    np.testing.assert_allclose(adapter.mean, own.mean(0), rtol=1e-5, atol=1e-6)  # type: ignore[union-attr]
    found = (own - own.mean(0)) @ _matrix(adapter.project).numpy()  # type: ignore[union-attr, arg-type]
    if method == "none":
        np.testing.assert_allclose(found, (own - own.mean(0)) / own.std(0), rtol=1e-4, atol=1e-5)
        return
    # PCA's projections have the leading eigenvalues of the training correlation as their variances, and no covariance.
    values = np.linalg.eigvalsh(np.corrcoef(own.T))[::-1][:2]
    np.testing.assert_allclose(found.T @ found / len(found), np.diag(values), rtol=1e-4, atol=1e-5)


def _matrix(project: torch.Tensor) -> torch.Tensor:
    return (project if project.ndim == 2 else project.diag()).double()


def test_rows_of_files_are_copied_into_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``features.store=float32`` they need no conversion, and torch warns once of what it cannot write to."""
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32))
    store, net = Rows({"a": np.load(tmp_path / "rows.npy", mmap_mode="r")}), Adapted("none")
    given: list[bool] = []
    plain = torch.from_numpy

    def note(array: np.ndarray) -> torch.Tensor:
        given.append(array.flags.writeable)
        return plain(array)

    monkeypatch.setattr(torch, "from_numpy", note)
    fit_adapters(net, ClipData(None, [video("a", np.zeros((50, 2)))], ["face"], store, {}), store)  # type: ignore[arg-type]
    assert given == [True]


@pytest.mark.parametrize("other", ["val", "test", "select"])
@pytest.mark.parametrize("fit", ["projection", "loss", "reference"])
def test_every_fit_before_training_refuses_rows_of_another_split(fit: str, other: str) -> None:
    """One video of another split among those that train: nothing of it is read, neither features nor labels."""

    class Untouched(Store):
        def rows(self, slot: str, video: str) -> np.ndarray:
            assert video != "stranger"
            return super().rows(slot, video)

    labels = np.full((6, 2), 0.5, np.float32)
    videos = [video("a", labels), replace(video("stranger", labels), split=other)]  # type: ignore[arg-type]
    data = ClipData(None, videos, ["face"], Untouched({v.name: np.ones(6, bool) for v in videos}), {})  # type: ignore[arg-type]
    adapter = Adapter(2, "none", 2, 3, 0.0, fitted=True)
    net = SimpleNamespace(slots=("face",), adapters={"face": adapter})
    fits = {
        "projection": lambda: fit_adapters(net, data, data.store),  # type: ignore[arg-type]
        "loss": lambda: training_counts(VA, data),
        "reference": lambda: plain_reference(VA, {"face": adapter}, data, data),
    }
    with pytest.raises(ValueError, match="other splits: stranger"):
        fits[fit]()


class Seen(Exception):
    """Ends a preparation where the adapters would be fitted."""


def test_a_run_fits_its_adapters_to_the_split_that_trains(program, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[Video]] = []

    def note(model: object, data: ClipData, store: object) -> None:
        given.append(data.videos)
        raise Seen

    def features(index: Index, frozen: object, **how: object) -> tuple[Store, list[str]]:
        return Store({v.name: np.ones(v.n_frames, bool) for v in index.videos}), []

    monkeypatch.setattr(preparation, "fit_adapters", note)
    monkeypatch.setattr(feature_module, "extract", features)
    monkeypatch.setattr(preparation, "frozen_slots", lambda *given: [])
    monkeypatch.setattr(preparation, "check", lambda *given: {"dims": {"face": 2}})
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    job = make_job(RunConfig(data_dir=str(program.demo), encoders="face", device="cpu"), progress=False)
    with pytest.raises(Seen):
        preparation.prepare(job, progress=False)
    (videos,) = given
    assert [v.name for v in videos] == [v.name for v in job.index.split("train")]
    assert {v.split for v in videos} == {"train"}


@pytest.mark.parametrize(("folds", "chooses"), [(0, "val"), (3, "select")])
def test_the_epoch_is_chosen_on_the_split_that_is_there_for_it(
    program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folds: int, chooses: str
) -> None:
    """Of folds the next one, never the one that is reported; else val, which the record says."""
    given: list[object] = []

    def note(model: object, data: object, val: object, *args: object, **how: object) -> None:
        given.extend([data, val])
        raise Seen

    def prepared(job: Job, **how: object) -> SimpleNamespace:
        splits = {split: split for split in ("train", "select", "val", "test") if job.index.split(split)}  # type: ignore[arg-type]
        return SimpleNamespace(model=None, splits=splits, store=SimpleNamespace(write=lambda path: None), cards=[])

    monkeypatch.setattr(run_module, "prepare", prepared)
    monkeypatch.setattr(run_module, "made_of", lambda *given: {})
    monkeypatch.setattr(run_module, "train", note)
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    config = RunConfig(data_dir=str(program.demo), encoders="face", device="cpu", folds=folds, fold=1 if folds else -1)
    with pytest.raises(Seen):
        run_module.run(make_job(config, progress=False), tmp_path, progress=False)
    assert given == ["train", chooses]


def test_labels_of_one_video_cannot_be_shuffled() -> None:
    own = [np.zeros((3, 1)), np.ones((2, 1))]
    assert [labels.mean() for labels in shuffled(own, 0)] == [1, 0]
    with refused("shuffle-too-few"):
        shuffled(own[:1], 0)
