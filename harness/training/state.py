"""The state of a training: weights, optimizer, learning rates, weight average and counters."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import numpy as np
from torch.optim.swa_utils import AveragedModel

from harness.config.schema import Train
from harness.evaluation.choice_optimism import FoldSums
from harness.training.checkpoint import SavedState, save_state
from harness.training.optimizers import make_optimizer, make_schedule, running_average
from harness.training.parameter_groups import group_rows, parameter_groups
from zoo.errors import UserError
from zoo.model.model import Model

SHOWN = 5  # differences named in the error


class EpochRow(TypedDict):
    """A row of history.csv.

    ``val``: the validation score, None in epochs without validation; ``val_loss``: the loss of the validation clips;
    ``parts``: the parts of the score, such as the CCC of each answer.
    """

    epoch: int
    step: int
    loss: float
    val: float | None
    lr: float
    val_loss: NotRequired[float | None]
    parts: NotRequired[dict[str, float]]


@dataclass
class Progress:
    """The counters of a training, stored in a checkpoint under these names.

    ``epoch``: finished epochs; ``step``: steps taken in the current epoch; ``total``: steps taken in all. ``best`` and
    ``best_epoch``: the highest validation score and its epoch (from 1; 0 if there is none yet). ``selections``: the
    number of scores that the epoch or a learning rate was chosen by; ``by_fold``: for each score that chose the epoch,
    the sums it was computed from. ``sum`` and ``count``: losses of the current epoch.
    """

    epoch: int = 0
    step: int = 0
    total: int = 0
    best: float = -np.inf
    best_epoch: int = 0
    sum: float = 0.0
    count: int = 0
    history: list[EpochRow] = field(default_factory=list)
    selections: int = 0
    by_fold: list[FoldSums] = field(default_factory=list)

    @property
    def loss(self) -> float:
        """Mean loss of the current epoch."""
        return self.sum / max(1, self.count)

    def add_step(self, loss: float) -> None:
        """Count a step."""
        self.step, self.total = self.step + 1, self.total + 1
        self.sum, self.count = self.sum + loss, self.count + 1

    def end_epoch(self) -> None:
        """Begin the next epoch."""
        self.epoch, self.step, self.sum, self.count = self.epoch + 1, 0, 0.0, 0


def changes(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Describe the differences between two trainings: values of settings, names of data whose digest changed."""
    keys = sorted(key for key in {**then, **now} if then.get(key) != now.get(key))
    return [f"{key} was {_said(then.get(key))}, is {_said(now.get(key))}" for key in keys]


def _said(value: str | None) -> str:
    return "absent" if value is None else value if len(value) < 24 else f"{value[:12]}..."


class TrainingState:
    """The part of a training that a checkpoint holds; a restored training continues bit for bit."""

    def __init__(self, model: Model, settings: Train, steps: int, made: Mapping[str, str]) -> None:
        self.model, self.settings, self.made = model, settings, dict(made)
        groups = parameter_groups(model, settings)
        self.groups = group_rows(model, groups, settings)
        self.optimizer = make_optimizer(model, settings, groups)
        self.schedule = make_schedule(self.optimizer, settings, steps, [group.encoder for group in groups])
        self.average: AveragedModel | None = running_average(model, settings)
        self.best_weights = copy.deepcopy(model.state_dict())
        self.progress = Progress()

    def save(self, path: Path) -> None:
        """Write a checkpoint; the file is replaced whole or not at all."""
        save_state(
            path,
            {
                "made": self.made,
                "loop": asdict(self.progress),
                "model": self.model.state_dict(),
                "best": self.best_weights,
                "optimizer": self.optimizer.state_dict(),
                "average": self.average.state_dict() if self.average is not None else {},
                "schedule": self.schedule.state_dict() if self.schedule is not None else {},
            },
        )

    def restore(self, saved: SavedState, path: Path) -> None:
        """Continue from a checkpoint; raise UserError if it was made with other settings or other data."""
        if changed := changes(saved.get("made", self.made), self.made):  # version 0.1 recorded none
            more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
            raise UserError("checkpoint-other-training", file=path, changed="; ".join(changed[:SHOWN]) + more)
        self.progress, self.best_weights = Progress(**saved["loop"]), saved["best"]
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])
        if self.schedule is not None:
            self.schedule.load_state_dict(saved["schedule"])

    @property
    def evaluated(self) -> Model:
        """The network to be scored: the running average once it has begun, else the model itself."""
        if self.average is None or not self.average.n_averaged:
            return self.model
        return cast(Model, self.average.module)

    def after_step(self) -> None:
        """Update the exponential average and the learning rates, which change with every step."""
        if self.average is not None and self.settings.average == "ema":
            self.average.update_parameters(self.model)
        if self.schedule is not None and self.settings.schedule != "plateau":
            self.schedule.step()

    def after_epoch(self) -> None:
        """Add the weights to the plain average, in late epochs."""
        late = self.progress.epoch + 1 > self.settings.swa_start * self.settings.epochs
        if self.average is not None and self.settings.average == "swa" and late:
            self.average.update_parameters(self.model)
