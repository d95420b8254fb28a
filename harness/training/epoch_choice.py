"""Choose the epoch whose weights are kept, and stop early, by the validation score."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from harness.config.schema import Train

if TYPE_CHECKING:
    from harness.training.state import Progress, TrainingState


def selected_by_score(settings: Train) -> tuple[str, ...]:
    """Return the names of the choices that validation scores decide under these settings.

    If there are any, the validation videos no longer count as unseen.
    """
    return ("epoch",) * (settings.select == "best") + ("learning rate",) * (settings.schedule == "plateau")


def out_of_patience(progress: Progress, settings: Train) -> bool:
    """Return True if the score has not improved for ``train.patience`` epochs. Only an epoch with a score can tell."""
    if settings.select != "best" or not settings.patience or not progress.best_epoch:
        return False
    if progress.epoch % settings.validate_every:
        return False
    return progress.epoch - progress.best_epoch >= settings.patience


def take_score(state: TrainingState, score: float) -> None:
    """Record a validation score: it may lower the learning rate on a plateau, and it selects the epoch."""
    settings, progress = state.settings, state.progress
    if selected_by_score(settings):
        progress.selections += 1
    if state.schedule is not None and settings.schedule == "plateau":
        state.schedule.step(score)
    if settings.select != "best":
        return
    if score > progress.best:  # of two equal scores the earlier one is kept: it took less training
        progress.best, progress.best_epoch = score, progress.epoch + 1
        state.best_weights = copy.deepcopy(state.evaluated.state_dict())


def choose_epoch(state: TrainingState) -> int:
    """Load the chosen epoch's weights into the model and return that epoch."""
    if state.settings.select == "best" and state.progress.best_epoch:
        state.model.load_state_dict(state.best_weights)
        return state.progress.best_epoch
    if state.average is not None and state.average.n_averaged:
        state.model.load_state_dict(state.average.module.state_dict())
    return state.progress.epoch
