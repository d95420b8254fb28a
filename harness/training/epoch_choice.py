"""Which epoch's weights a training ends with, and when it stops early: what validation scores decide."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from harness.config.schema import Train

if TYPE_CHECKING:
    from harness.training.state import Progress, TrainingState


def selected_by_score(settings: Train) -> tuple[str, ...]:
    """What validation scores decide in a training with these settings: whatever it is, they are not unseen after it."""
    return ("epoch",) * (settings.select == "best") + ("learning rate",) * (settings.schedule == "plateau")


def out_of_patience(progress: Progress, settings: Train) -> bool:
    """Whether the score has not improved for ``train.patience`` epochs."""
    if settings.select != "best" or not settings.patience or not progress.best_epoch:
        return False
    return progress.epoch - progress.best_epoch >= settings.patience


def take_score(state: TrainingState, score: float) -> None:
    """Take note of a validation score: by it rates fall on a plateau, and the epoch is chosen."""
    settings, progress = state.settings, state.progress
    if selected_by_score(settings):
        progress.selections += 1
    if state.schedule is not None and settings.schedule == "plateau":
        state.schedule.step(score)
    if settings.select != "best":
        return
    if score > progress.best:  # of two equal ones the earlier, which was trained less
        progress.best, progress.best_epoch = score, progress.epoch + 1
        state.best_weights = copy.deepcopy(state.evaluated.state_dict())


def choose_epoch(state: TrainingState) -> int:
    """Leave the model with the chosen epoch's weights, and return that epoch."""
    if state.settings.select == "best" and state.progress.best_epoch:
        state.model.load_state_dict(state.best_weights)
        return state.progress.best_epoch
    if state.average is not None and state.average.n_averaged:
        state.model.load_state_dict(state.average.module.state_dict())
    return state.progress.epoch
