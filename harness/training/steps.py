"""Batches of an epoch; a small set is passed over several times an epoch, to take enough steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.batching.clips import ClipData
from harness.batching.training_windows import Weigher, count_windows, number_repetitions, training_windows
from harness.batching.windows import Window, batches
from harness.config.schema import Train


def passes_an_epoch(data: ClipData, settings: Train, seed: int) -> int:
    """Return the number of passes an epoch, so that ``train.min_steps`` are planned in all; 1 on a large set."""
    once = sum(count_batches(data, settings, seed, epoch, 1) for epoch in range(settings.epochs))
    return max(1, -(-settings.min_steps // max(1, once)))


def batches_of(
    data: ClipData, settings: Train, seed: int, epoch: int, passes: int, weigher: Weigher | None = None
) -> list[Sequence[Window]]:
    """Return the batches of an epoch, pass by pass; see ``training_windows``.

    With a weigher, a window is drawn many times, and its repetitions are numbered, so that each is augmented anew.
    """
    found = [
        training_windows(data, settings.clip, rng, overlap=settings.overlap, weigher=weigher)
        for rng in _generators(seed, epoch, passes)
    ]
    if weigher is not None:
        found = number_repetitions(found)
    return [batch for windows in found for batch in batches(windows, settings.batch)]


def count_batches(data: ClipData, settings: Train, seed: int, epoch: int, passes: int) -> int:
    """Return the number of batches of an epoch."""
    counts = [count_windows(data, settings.clip, rng, settings.overlap) for rng in _generators(seed, epoch, passes)]
    return sum(-(-count // settings.batch) for count in counts)


def _generators(seed: int, epoch: int, passes: int) -> list[np.random.Generator]:
    """Return a random generator for each pass of an epoch; the first does not depend on the number of passes."""
    return [np.random.default_rng([seed, epoch, *([number] if number else [])]) for number in range(passes)]
