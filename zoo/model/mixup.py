"""Mixup of clips on the input of the fusion.

Zhang et al. 2018, arXiv:1710.09412; on hidden states Verma et al. 2019, arXiv:1806.05236.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from zoo.model.model import Batch, Model
from zoo.modules import FusionOut
from zoo.parallel import Share, gather_rows, local_rows, sharing

Features = Callable[[Batch], dict[str, Tensor]]
"""A function from a batch to the features (B, T, D) of every slot."""


class Objective(nn.Module):
    """The training loss of a model as a module, so that it can be wrapped; see ``training_loss``."""

    def __init__(self, model: Model, mixup: float = 0.0, features: Features | None = None) -> None:
        super().__init__()
        self.model, self.mixup, self.features = model, mixup, features

    def forward(self, batch: Batch, share: Share | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of the whole batch and its parts by name; ``share``: this process's clips, if not all."""
        with sharing(share):
            return training_loss(self.model, batch, self.mixup, self.features)


def training_loss(
    model: Model, batch: Batch, mixup: float = 0.0, features: Features | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of a batch and its parts by name. With ``mixup`` > 0 each clip is mixed with another one.

    ``features``: computes the inputs of the fusion from the batch, instead of ``model.features``.

    The features given to the fusion are mixed. One share s ~ Beta(mixup, mixup) is drawn per batch. Values (valence)
    are learned from the targets s a + (1 - s) b at frames where both clips have labels, because concordance is not a
    sum over frames. Classes and binary answers are learned from s times the loss on the first clip's labels plus 1 - s
    times the loss on the second's. A slot is present, and a frame valid, if it is so in either clip: where a slot is
    absent, its learned vector takes part.
    """
    batch = model.drop(batch)
    if not mixup or len(batch.valid) < 2:
        out = model(batch) if features is None else model.fuse(features(batch), batch.present, batch.valid)
        return model.loss(out, batch)
    share = float(torch.distributions.Beta(mixup, mixup).sample())
    order = torch.randperm(len(batch.valid), device=batch.valid.device)
    first, second = _partners(model, batch, order, share)
    # The partner may be a clip of another process.
    every = {name: gather_rows(x) for name, x in (features or model.features)(batch).items()}
    mixed = {name: local_rows(share * x + (1 - share) * x[order]) for name, x in every.items()}
    present = {name: first.present[name] | second.present[name] for name in model.slots}
    out = model.fuse(mixed, present, first.valid | second.valid)
    bare = FusionOut(out.raw, out.per_slot)  # a fusion's own losses count once
    (_, ours), (_, theirs) = model.loss(bare, first), model.loss(bare, second)
    parts = {name: share * ours[name] + (1 - share) * theirs[name] for name in ours} | out.aux
    return torch.stack([value.float() for value in parts.values()]).sum(), parts


def _partners(model: Model, batch: Batch, order: Tensor, share: float) -> tuple[Batch, Batch]:
    """Return the batch with its own labels and with its partners' labels; the targets of values are mixed in both."""
    other = replace(
        batch,
        target=batch.target[order],
        labelled=batch.labelled[order],
        valid=batch.valid[order],
        present={name: mask[order] for name, mask in batch.present.items()},
    )
    value = torch.tensor([answer.kind == "value" for answer in model.answers], device=batch.target.device)
    target = share * batch.target + (1 - share) * other.target
    labelled = batch.labelled & other.labelled
    return tuple(  # type: ignore[return-value]
        replace(b, target=torch.where(value, target, b.target), labelled=torch.where(value, labelled, b.labelled))
        for b in (batch, other)
    )
