"""Loss of the validation clips, for the history only: nothing is chosen by it."""

from __future__ import annotations

from contextlib import closing

import torch

from harness.batching.clips import ClipData
from harness.batching.loader import prefetch_batches
from harness.config.schema import Train
from harness.runtime import memory
from harness.runtime.distributed import World
from harness.runtime.precision import autocast
from harness.training.steps import batches_of
from zoo.model.model import Model
from zoo.parallel import sharing


def validation_loss(model: Model, val: ClipData, settings: Train, world: World) -> float | None:
    """Return the mean loss of the validation clips, cut like training clips but always at the same places.

    Neither dropout nor mixup is applied, and labels are moved by ``train.delay`` as in training. Returns None if a
    batch of training's size does not fit in memory. The batch is not halved, because the loss of clips together (CCC)
    is not the mean of their losses. The run goes on, because the loss is only a number in the history.
    """
    try:
        return _mean_loss(model, val, settings, world)
    except (RuntimeError, MemoryError) as error:
        # Processes wait for one another in every batch, so one of several must not return alone.
        if world.size > 1 or not memory.out_of_memory(error):
            raise
    memory.release()
    return None


def _mean_loss(model: Model, val: ClipData, settings: Train, world: World) -> float:
    model.eval()
    val = val.delayed(settings.delay) if settings.delay else val
    every, total = batches_of(val, settings, 0, 0, 1), 0.0
    with torch.no_grad(), closing(prefetch_batches(val, every, settings.clip, world)) as ready:
        for batch in ready:
            with sharing(world.share(len(batch.valid))), autocast(world.device, settings.precision):
                loss, _ = model.loss(model(batch), batch)
            total += float(loss)
    return total / len(every) if every else float("nan")
