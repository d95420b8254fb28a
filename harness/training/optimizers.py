"""Optimizer, learning-rate schedule and weight averaging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel

from harness.config.schema import Train
from harness.training.parameter_groups import Group
from zoo.model.model import Model


def make_optimizer(model: Model, settings: Train, groups: Sequence[Group]) -> torch.optim.Optimizer:
    """Return the optimizer that the settings name, over groups of trained weights.

    It is fused: it passes over the memory of a weight once.
    """
    tensors: list[dict[str, Any]] = [
        {"params": [model.get_parameter(name) for name in g.names], "lr": g.lr, "weight_decay": g.weight_decay}
        for g in groups
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(tensors, lr=settings.lr, momentum=settings.momentum, fused=True)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(tensors, lr=settings.lr, fused=True)


def running_average(model: Model, settings: Train) -> AveragedModel | None:
    """Return the running average of the weights that is evaluated and kept; None if the settings ask for none.

    ``ema`` is exponential over steps. At step n its decay is at most (1 + n) / (10 + n), so that the random initial
    weights are soon forgotten. ``swa`` is the plain mean over epochs (Izmailov et al. 2018, arXiv:1803.05407). Running
    statistics of batch norms are averaged too.
    """
    if settings.average == "none":
        return None

    def step(old: torch.Tensor, new: torch.Tensor, n: torch.Tensor | int) -> torch.Tensor:
        if settings.average == "swa":
            return old + (new - old) / (n + 1)
        decay = min(settings.ema_decay, (1 + int(n)) / (10 + int(n)))
        mean = decay * old + (1 - decay) * new
        # Rounding would change weights that do not move, and those under adapters are read from their own file again.
        return torch.where(old == new, new, mean) if model.adapted else mean

    return AveragedModel(model, avg_fn=step, use_buffers=True)


def make_schedule(optimizer: torch.optim.Optimizer, settings: Train, total: int, encoder: Sequence[bool] = ()) -> Any:
    """Return the learning-rate schedule for ``total`` steps; None for a constant rate.

    ``encoder``: for each parameter group, whether it belongs to a pretrained encoder. If ``train.encoder_warmup`` is
    set, the rates of these rise from the step on at which the encoders are unfrozen. one_cycle moves the momentum of
    SGD and the first beta of Adam too, from 0.95 down to 0.85 and back, as torch does by default.
    """
    lr = torch.optim.lr_scheduler
    if settings.schedule == "one_cycle":
        return lr.OneCycleLR(optimizer, [group["lr"] for group in optimizer.param_groups], total_steps=total + 1)
    if settings.schedule == "plateau":
        # Any higher score counts. torch's threshold is a share of the score, so of a negative one equal scores would.
        return lr.ReduceLROnPlateau(
            optimizer, mode="max", patience=settings.plateau, factor=settings.plateau_factor, threshold=0
        )
    warm = max(1, round(settings.warmup * total))

    def common(step: int) -> float:
        if settings.schedule == "constant":
            return 1.0
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + float(np.cos(np.pi * min(1.0, (step - warm) / max(1, total - warm)))))

    rise = max(1, round(settings.encoder_warmup * total))
    begin = round(total * settings.unfreeze / settings.epochs)

    def warmed(step: int) -> float:
        return common(step) * min(1.0, max(1, step - begin + 1) / rise)

    if settings.encoder_warmup:
        return lr.LambdaLR(optimizer, [warmed if own else common for own in encoder])
    return lr.LambdaLR(optimizer, common) if settings.schedule == "cosine" else None
