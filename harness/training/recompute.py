"""Gradient checkpointing: compute activations again in the backward pass instead of keeping them.

Chen et al. 2016, arXiv:1604.06174. The blocks of an encoder's or head's longest stack are checkpointed one by one, and
a network without a stack as a whole. timm and transformers have switches of their own, for their own networks. With
those, a block would draw other dropout masks the second time if processes share the batch, and batch norms would count
the batch twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from harness.config.schema import Train
from zoo.model.encoder_layers import blocks
from zoo.model.model import Model
from zoo.modules import Predictor
from zoo.parallel import current_share, sharing


def checkpoint_gradients(model: Model, settings: Train) -> None:
    """Checkpoint the trained encoders of a model, and with ``train.grad_checkpoint=all`` its heads.

    Parameters and state keep their names. In eval mode and without gradients nothing changes.
    """
    if settings.grad_checkpoint == "none":
        return
    nets = list(model.encoders.values())
    if settings.grad_checkpoint == "all":
        nets += [part.head for part in model.modules() if isinstance(part, Predictor)]
    for net in nets:
        for block in blocks(net):
            block.forward = partial(_checkpointed, block, block.forward)  # of this module only, not of its class


def _checkpointed(block: nn.Module, forward: Any, *args: Any, **named: Any) -> Any:
    # In an adapted block that is otherwise in eval mode, the adapters are in training mode.
    if not (torch.is_grad_enabled() and any(part.training for part in block.modules())):
        return forward(*args, **named)
    contexts = partial(_contexts, block)
    return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **named)


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """Return the contexts of the first and the second computation of a block."""
    return nullcontext(), _again(block, current_share())


@contextmanager
def _again(block: nn.Module, share: Any) -> Iterator[None]:
    """Compute a block as before: with the same rows of dropout masks, and without another step of batch statistics."""
    norms = [part for part in block.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, _, count in kept:
        norm.momentum, norm.num_batches_tracked = 0.0, None if count is None else count.clone()
    try:
        with sharing(share):
            yield
    finally:
        for norm, momentum, count in kept:
            norm.momentum, norm.num_batches_tracked = momentum, count
