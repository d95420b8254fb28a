"""The network of a run, and what it is fitted to before training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

import numpy as np
import torch

from harness.batching.clips import ClipData
from harness.config.schema import RunConfig
from harness.data.index.index import Index
from harness.data.streams.raw_inputs import RawSlot
from harness.features.store import FeatureStore
from zoo.api import Counts
from zoo.model.adapter import Adapter
from zoo.model.model import AdapterOptions, Model, Regularisation, build_encoder, module_key
from zoo.model.shape_check import meta_or_real
from zoo.registry.plan import Plan


def make_model(plan: Plan, dims: Mapping[str, int], counts: Sequence[Counts], config: RunConfig) -> Model:
    """The run's network with its seed's random weights."""
    torch.manual_seed(config.seed)
    return Model(plan, dims, counts, adapter_options(config), regularisation_options(config))


def raw_slots(plan: Plan, index: Index) -> dict[str, RawSlot]:
    """Readers of raw input for the slots that are trained."""
    return {s.name: RawSlot(index, s, meta_or_real(partial(build_encoder, s))) for s in plan.slots if not s.frozen}


def adapter_options(config: RunConfig) -> AdapterOptions:
    """The model's part of the configuration."""
    return AdapterOptions(**config.project.model_dump())


def regularisation_options(config: RunConfig) -> Regularisation:
    """What makes training harder, for the model."""
    train = config.train
    return Regularisation(train.modality_dropout, train.feature_noise, train.output_dropout, train.mtl == "uncertainty")


def fit_adapters(model: Model, data: ClipData, store: FeatureStore) -> None:
    """Standardisation and projection of frozen slots, from the training videos' present frames."""
    data = data.of("train")
    for name in model.slots:
        if name in data.raw:
            continue
        adapter = cast(Adapter, model.adapters[module_key(name)])
        moments = adapter.moments()
        if moments is None:
            continue
        for video in data.videos:
            rows = store.rows(name, video.name)
            for start in range(0, len(rows), 8192):
                moments.add(torch.from_numpy(np.asarray(rows[start : start + 8192], np.float32)))
        adapter.fit(moments)


def shuffled(labels: list[np.ndarray], seed: int) -> list[np.ndarray]:
    """Every training video with another one's labels (a control: nothing must be learned)."""
    n = len(labels)
    shift = 1 + int(np.random.default_rng(seed).integers(max(1, n - 1)))
    return [np.resize(labels[(i + shift) % n], labels[i].shape) for i in range(n)]
