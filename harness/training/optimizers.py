"""Optimizer, learning-rate schedule and weight averaging."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel

from harness.config.schema import Train
from zoo.model.model import Model
from zoo.model.weight_decay import decayed_names


def make_optimizer(model: Model, settings: Train) -> torch.optim.Optimizer:
    """Return the optimizer that the settings name, over all trained weights.

    It is fused: it passes over the memory of a weight once.
    """
    groups = _groups(model, settings.weight_decay)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, fused=True)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=settings.lr, fused=True)


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
        return decay * old + (1 - decay) * new

    return AveragedModel(model, avg_fn=step, use_buffers=True)


def _groups(model: Model, weight_decay: float) -> list[dict[str, Any]]:
    """Return parameter groups: weight decay for weights that multiply features, none for the rest.

    zoo.model.weight_decay says which weights these are.
    """
    decayed = decayed_names(model)
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    return [
        {"params": [p for name, p in trained if name in decayed], "weight_decay": weight_decay},
        {"params": [p for name, p in trained if name not in decayed], "weight_decay": 0.0},
    ]


def make_schedule(optimizer: torch.optim.Optimizer, settings: Train, total: int) -> Any:
    """Return the learning-rate schedule for ``total`` steps; None for a constant rate."""
    lr = torch.optim.lr_scheduler
    if settings.schedule == "one_cycle":
        return lr.OneCycleLR(optimizer, settings.lr, total_steps=total + 1)
    if settings.schedule == "plateau":
        return lr.ReduceLROnPlateau(optimizer, mode="max", patience=settings.plateau, factor=settings.plateau_factor)
    if settings.schedule == "cosine":
        warm = max(1, round(settings.warmup * total))

        def factor(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            return 0.5 * (1 + float(np.cos(np.pi * min(1.0, (step - warm) / max(1, total - warm)))))

        return lr.LambdaLR(optimizer, factor)
    return None
