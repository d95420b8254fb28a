"""Which batches an epoch has: a small set is gone over several times, so that enough steps are taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.batching.clips import ClipData
from harness.batching.sampling import count_windows, training_windows
from harness.batching.windows import Window, batches
from harness.config.schema import Train


def passes_an_epoch(data: ClipData, settings: Train, seed: int) -> int:
    """Return how often an epoch goes over the set, so that ``train.min_steps`` are planned in all; 1 on a large set."""
    once = sum(count_batches(data, settings, seed, epoch, 1) for epoch in range(settings.epochs))
    return max(1, -(-settings.min_steps // max(1, once)))


def batches_of(data: ClipData, settings: Train, seed: int, epoch: int, passes: int) -> list[Sequence[Window]]:
    """The batches of an epoch, pass by pass: each labelled frame stands in one window of every pass."""
    return [
        batch
        for rng in _generators(seed, epoch, passes)
        for batch in batches(training_windows(data, settings.clip, rng), settings.batch)
    ]


def count_batches(data: ClipData, settings: Train, seed: int, epoch: int, passes: int) -> int:
    """How many batches an epoch has."""
    counts = [count_windows(data, settings.clip, rng) for rng in _generators(seed, epoch, passes)]
    return sum(-(-count // settings.batch) for count in counts)


def _generators(seed: int, epoch: int, passes: int) -> list[np.random.Generator]:
    """The random numbers of each pass of an epoch; those of the first do not depend on how many there are."""
    return [np.random.default_rng([seed, epoch, *([number] if number else [])]) for number in range(passes)]
