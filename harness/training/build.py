"""Build the network of a run and fit its adapters before training."""

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
from zoo.errors import UserError
from zoo.model.adapter import Adapter
from zoo.model.augmenter import Augmenter, build_chains
from zoo.model.model import AdapterOptions, Model, Regularisation, build_encoder, module_key
from zoo.model.shape_check import meta_or_real
from zoo.modules import Encoder
from zoo.registry.plan import Plan


def make_model(plan: Plan, dims: Mapping[str, int], counts: Sequence[Counts], config: RunConfig) -> Model:
    """Return the run's network, initialised with the run's seed."""
    torch.manual_seed(config.seed)
    return Model(plan, dims, counts, adapter_options(config), regularisation_options(config))


def raw_slots(plan: Plan, index: Index) -> dict[str, RawSlot]:
    """Return readers of raw input for the slots whose encoders are trained."""
    return {s.name: RawSlot(index, s, meta_or_real(partial(build_encoder, s))) for s in plan.slots if not s.frozen}


def make_augmenter(plan: Plan, model: Model, seed: int) -> Augmenter:
    """Return the augmentation of the input of a model's trained encoders."""
    inputs = {
        s.name: cast(Encoder, model.encoders[module_key(s.name)]).input
        for s in plan.slots
        if s.name in plan.augment and not s.frozen
    }
    chains = {slot: chain for slot, chain in build_chains(plan).items() if slot in inputs}
    return Augmenter(chains, inputs, seed)


def adapter_options(config: RunConfig) -> AdapterOptions:
    """Return the model's adapter options from the configuration."""
    return AdapterOptions(**config.project.model_dump())


def regularisation_options(config: RunConfig) -> Regularisation:
    """Return the model's regularisation options from the configuration."""
    train, distill = config.train, config.distill
    return Regularisation(
        train.modality_dropout,
        train.feature_noise,
        train.output_dropout,
        train.mtl == "uncertainty",
        distill.weight if distill.run is not None else 0.0,
        distill.temperature,
    )


def fit_adapters(model: Model, data: ClipData, store: FeatureStore) -> None:
    """Fit standardisation and projection of the frozen slots on the present frames of the training videos."""
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
                part = np.array(rows[start : start + 8192], np.float32)  # a copy: a file's rows cannot be written to
                moments.add(torch.from_numpy(part))
        adapter.fit(moments)


def shuffled(labels: list[np.ndarray], seed: int) -> list[np.ndarray]:
    """Return the labels with each training video given another one's (a control: nothing should be learned)."""
    n = len(labels)
    if n < 2:
        raise UserError("shuffle-too-few")
    shift = 1 + int(np.random.default_rng(seed).integers(max(1, n - 1)))
    return [np.resize(labels[(i + shift) % n], labels[i].shape) for i in range(n)]
