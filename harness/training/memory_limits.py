"""After an out-of-memory error in training, search for a batch size or clip length that fits."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from harness.batching.clips import ClipData
from harness.batching.windows import Window
from harness.config.schema import Train
from harness.runtime import memory
from harness.runtime.distributed import World
from zoo.errors import UserError
from zoo.model.mixup import training_loss
from zoo.model.model import Batch, Model


@contextmanager
def room(error_of: Callable[[], UserError]) -> Iterator[None]:
    """On out-of-memory, free what the failed step held and raise the error that ``error_of()`` returns."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not memory.out_of_memory(error):
            raise
        # The traceback keeps the tensors of the failed step alive. Drop them, or no smaller batch would fit either.
        traceback.clear_frames(error.__traceback__)
        raise error_of() from None


def too_large(
    model: Model,
    data: ClipData,
    windows: Sequence[Window],
    settings: Train,
    optimizer: torch.optim.Optimizer,
    world: World,
) -> UserError:
    """Return the error for a training that had no memory for the batch of ``windows``.

    It names the largest ``train.batch`` and the longest ``train.clip`` (found by halving) that fit when tried with the
    same clips, or says that none does. The model's weights are not changed.
    """

    def batch(clips: int, length: int) -> Batch:
        part = windows[: -(-clips // settings.accumulate)]  # as many as are computed at once
        spans = [length * data.strides[window.video] for window in part]  # of which a clip has every Nth
        cut = [replace(w, stop=min(w.stop, w.start + span)) for w, span in zip(part, spans, strict=True)]
        return data.batch(cut, length).to(world.device)

    said = (
        f"no memory on {world.device} for a training step with train.batch={settings.batch}, train.clip={settings.clip}"
    )
    rest = "train.accumulate or train.grad_checkpoint=all, fewer --finetune slots, a smaller encoder or project.width"
    if world.size > 1:  # one process cannot try a step without the others taking part
        return UserError("training-no-memory-shared", said=said, size=world.size, rest=rest)
    size, clip = len(windows), settings.clip
    fewer = _largest(size, lambda n: _fits(model, batch(n, clip), settings, optimizer))
    shorter = _largest(clip, lambda n: _fits(model, batch(size, n), settings, optimizer))
    fits = [f"train.{name}={n}" for name, n in (("batch", fewer), ("clip", shorter)) if n]
    if fits:
        return UserError("training-no-memory-but", said=said, names=" or ".join(fits), rest=rest)
    return UserError("training-no-memory", said=said, rest=rest)


def _largest(tried: int, fits: Callable[[int], bool]) -> int:
    """Return the first of a half, a quarter, ... of ``tried`` that fits; 0 if none does."""
    while tried > 1:
        tried //= 2
        if fits(tried):
            return tried
    return 0


def _fits(model: Model, batch: Batch, settings: Train, optimizer: torch.optim.Optimizer) -> bool:
    """Return True if there is memory for a step: forward, backward and the optimizer's state for every weight."""
    optimizer.zero_grad(set_to_none=True)
    memory.release()
    try:
        loss, _ = training_loss(model, batch, settings.mixup)
        loss.backward()
        # The first step of the optimizer allocates two tensors per weight (Adam). Reserve them as well.
        weights = [p for group in optimizer.param_groups for p in group["params"]]
        kept = [torch.empty_like(p) for p in weights for _ in range(2)] if not optimizer.state else []
        del kept
    except (RuntimeError, MemoryError) as error:
        if not memory.out_of_memory(error):
            raise
        return False
    finally:
        optimizer.zero_grad(set_to_none=True)
    return True
