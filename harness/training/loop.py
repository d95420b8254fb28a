"""The training loop, top to bottom.

Every random choice is drawn from (seed, epoch, step), never from what came before, so a run that is continued from any
checkpoint goes the same way, bit for bit, as one that was never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.batching.clips import ClipData
from harness.batching.loader import prefetch_batches
from harness.config.schema import Train
from harness.evaluation.choice_optimism import FoldSums, epoch_optimism
from harness.evaluation.prediction import shared_score
from harness.runtime.distributed import World
from harness.runtime.interrupts import stoppable
from harness.runtime.progress import Bar
from harness.training import placement
from harness.training.checkpoint import load_state
from harness.training.epoch_choice import choose_epoch, out_of_patience, take_score
from harness.training.forecast import Forecast, late_fall
from harness.training.history import write_history
from harness.training.loggers import Loggers
from harness.training.memory_limits import room, too_large
from harness.training.placement import Clock
from harness.training.score_parts import parts_text, shown_parts
from harness.training.state import EpochRow, TrainingState
from harness.training.steps import batches_of, count_batches, passes_an_epoch
from harness.training.validation import validation_loss
from leaderboards.blocks import EpochChoice
from zoo.api import TrackSpec
from zoo.errors import Stopped, UserError
from zoo.metrics.scores import Score
from zoo.model.mixup import Objective
from zoo.model.model import Batch, Model

SAVE_EVERY = 60.0  # seconds between checkpoints inside an epoch


@dataclass(frozen=True)
class Trained:
    """What training gives besides the model's weights."""

    epochs: int
    best_epoch: int
    selections: int  # validation scores that decided something (epoch_choice.selected_by_score); 0: none did
    steps: int
    frames_per_second: float | None = None  # of this process's part of the training, without validation
    late_fall: float | None = None  # share of the loss's fall that was late: forecast.late_fall
    optimism: EpochChoice | None = None  # of the score that chose the epoch: epoch_choice.epoch_optimism


def train(
    model: Model,
    data: ClipData,
    val: ClipData | None,
    track: TrackSpec,
    settings: Train,
    *,
    seed: int,
    world: World,
    folder: Path,
    progress: bool = True,
    stop: int | None = None,
    made: Mapping[str, str] | None = None,
    loggers: Callable[[int], Loggers] | None = None,
) -> Trained:
    """Train a model in place; leaves it with the chosen epoch's weights. Continues from folder/state.ckpt.

    ``stop``: end after so many epochs, with the learning rates that they have in a training of ``settings.epochs``.
    ``made``: what the training is made of, settings and digests of data by name: a checkpoint of another is refused.
    ``loggers``: opens what notes the course, given the steps that were taken before.
    In several processes each computes its share of every batch, and all do the same steps (zoo.parallel); the first
    one writes.
    """
    # The model goes to its device before the optimizer is made, which holds on to the parameters that it finds.
    placement.place(model, world, settings)

    # Learning rates are planned over all epochs, also where fewer are trained: phases of windows are drawn anew each
    # epoch, so the number of steps differs a little between epochs. A small set gets enough steps by more passes an
    # epoch, so that patience, validation and schedules, which count epochs, mean what they mean on a large one.
    passes = passes_an_epoch(data, settings, seed)
    steps = [count_batches(data, settings, seed, epoch, passes) for epoch in range(settings.epochs)]
    state = TrainingState(model, settings, sum(steps), made or {})

    # A run that was stopped goes on: the first process reads, the others are given what it read.
    checkpoint = folder / "state.ckpt"
    if saved := world.broadcast(load_state(checkpoint) if world.first and checkpoint.is_file() else None):
        state.restore(saved, checkpoint)

    # Fabric wraps loss and optimizer for the precision, and for several processes averages their gradients.
    fabric = placement.fabric(world, settings)
    objective, optimizer = fabric.setup(Objective(model, settings.mixup), state.optimizer)

    epochs = min(settings.epochs, stop or settings.epochs)
    bar = Bar(
        total=sum(steps[:epochs]),
        initial=state.progress.total,
        desc="training",
        unit="step",
        shown=progress and world.first,
    )
    board = loggers(state.progress.total) if world.first and loggers else Loggers((), folder, 0)
    loop = _Loop(
        data, val, track, settings, seed, passes, world, folder, state, fabric, objective, optimizer, board, bar, epochs
    )
    if progress and world.first:
        repeated = f", each {passes} times over the set," if passes > 1 else ""
        print(f"training: {epochs} epochs{repeated} and {sum(steps[:epochs])} optimiser steps at most", flush=True)
        loop.timed = Forecast(sum(steps[:epochs]) - state.progress.total)
    with bar, room(loop.what_fits), closing(board), stoppable() as loop.stopped:
        while state.progress.epoch < epochs and not out_of_patience(state.progress, settings):
            loop.train_epoch()
            loop.end_epoch(last=state.progress.epoch + 1 == epochs)
    chosen = choose_epoch(state)
    done = state.progress
    ended = done.epoch == epochs and epochs == settings.epochs  # otherwise the schedule was cut, and loss may fall
    fall = late_fall(done.history) if ended else None
    optimism = epoch_optimism(track, done.by_fold)
    return Trained(done.epoch, chosen, done.selections, done.total, loop.clock.rate, fall, optimism)


@dataclass
class _Loop:
    """One training under way. ``stopped``: asks whether the user wants it to end."""

    data: ClipData
    val: ClipData | None
    track: TrackSpec
    settings: Train
    seed: int
    passes: int
    world: World
    folder: Path
    state: TrainingState
    fabric: Any
    objective: Any
    optimizer: Any
    board: Loggers
    bar: Bar
    epochs: int  # that are trained at most
    stopped: Callable[[], bool] = lambda: False
    clock: Clock = field(default_factory=Clock)
    saved_at: float = field(default_factory=time.monotonic)
    timed: Forecast | None = None

    def train_epoch(self) -> None:
        """Take the steps of an epoch that were not taken yet."""
        progress = self.state.progress
        windows = batches_of(self.data, self.settings, self.seed, progress.epoch, self.passes)
        self.state.model.train()
        placement.freeze(self.state.model, self.settings)
        self.bar.set_description(f"epoch {progress.epoch + 1} of {self.epochs}")
        self.bar.label = f"epoch {progress.epoch + 1} of {self.epochs}, in all"
        self.clock.start()
        left = windows[progress.step :]
        with closing(prefetch_batches(self.data, left, self.settings.clip, self.world)) as batches:
            for batch in batches:
                # Dropout is drawn from seed, epoch and step alone: a continued run draws what the whole one drew.
                torch.manual_seed((self.seed * 1_000_003 + progress.epoch) * 1_000_003 + progress.step)
                loss, parts = self.step(batch)
                self.state.after_step()
                progress.add_step(loss)
                self.clock.count(int(batch.valid.sum()))
                self.bar.update()
                if self.timed is not None and (said := self.timed.step()):
                    print(said, flush=True)
                self.log({f"loss/{name}": value for name, value in parts.items()})
                # All processes must agree to stop, or those that go on would wait for the others for ever.
                stopping = self.world.any(self.stopped())
                if stopping or time.monotonic() - self.saved_at > SAVE_EVERY:
                    self.save()
                if stopping:
                    raise Stopped

    def step(self, batch: Batch) -> tuple[float, dict[str, float]]:
        """Learn from a batch: its loss, and the parts of that."""
        loss, parts = self.objective(batch, self.world.share(len(batch.valid)))
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        most = self.settings.grad_clip or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.objective.parameters(), most)
        _check_finite(loss, norm, batch, self.state.progress.epoch)
        self.optimizer.step()
        return float(loss.detach()), {name: float(value.detach()) for name, value in parts.items()}

    def end_epoch(self, *, last: bool) -> None:
        """Average, validate, choose, note and save."""
        state, progress = self.state, self.state.progress
        state.after_epoch()
        due = last or (progress.epoch + 1) % self.settings.validate_every == 0
        found = self.validate() if due else None
        score = None if found is None else float(found.main)

        # The row's learning rate is that of the next step: a rate that fell on a plateau shows beside the score.
        if score is not None:
            take_score(state, score)
        row: EpochRow = {
            "epoch": progress.epoch + 1,
            "step": progress.total,
            "loss": progress.loss,
            "val": score,
            "lr": state.optimizer.param_groups[0]["lr"],
        }
        if found is not None and self.val is not None:
            row["val_loss"] = validation_loss(self.state.evaluated, self.val, self.settings, self.world)
            row["parts"] = {name: float(value) for name, value in found.parts.items()}
        progress.history.append(row)
        self.log(_curves(row))
        if score is not None:
            parts = {name: f"{value:.3f}" for name, value in shown_parts(row.get("parts") or {}).items()}
            self.bar.set_postfix({"loss": f"{row['loss']:.3f}", "val": f"{score:.3f}", **parts})
        if self.bar.plain:
            validated = "" if score is None else f", validation {score:.3f}{parts_text(row.get('parts') or {})}"
            print(f"epoch {progress.epoch + 1} of {self.epochs}: loss {row['loss']:.3f}{validated}", flush=True)

        # Saved only now: what is continued begins with the next epoch.
        progress.end_epoch()
        self.save()
        if self.world.first:
            write_history(self.folder / "history.csv", progress.history)
        if self.world.any(self.stopped()):
            raise Stopped

    def validate(self) -> Score | None:
        """The score of the validation videos; None where there are none or it is not finite."""
        if self.val is None or not self.val.videos:
            return None
        by_fold: FoldSums = {}
        score = shared_score(
            self.world,
            self.state.evaluated,
            self.val,
            self.track,
            length=self.settings.clip,
            batch=self.settings.batch * 2,
            full=self.settings.evaluation == "full",
            delay=self.settings.delay,
            precision=self.settings.precision,
            by_fold=by_fold,
        )
        if not np.isfinite(score.main):
            return None
        if self.settings.select == "best":
            self.state.progress.by_fold.append(by_fold)
        return score

    def what_fits(self) -> UserError:
        """The error to end with where there was no memory for the step under way."""
        progress = self.state.progress
        steps = batches_of(self.data, self.settings, self.seed, progress.epoch, self.passes)
        windows = steps[min(progress.step, len(steps) - 1)]  # after the last one it was validation
        return too_large(self.state.model, self.data, windows, self.settings, self.state.optimizer, self.world)

    def save(self) -> None:
        """Write a checkpoint, in the first process."""
        if self.world.first:
            self.state.save(self.folder / "state.ckpt")
        self.saved_at = time.monotonic()

    def log(self, values: dict[str, float]) -> None:
        """Note values at the step under way."""
        if values:
            self.board.scalars(values, self.state.progress.total)


def _curves(row: EpochRow) -> dict[str, float]:
    """An epoch's values by the names that loggers are given."""
    named = {"loss/epoch": row["loss"], "loss/val": row.get("val_loss"), "score/val": row["val"], "lr": row["lr"]}
    named |= {f"score/{name}": value for name, value in (row.get("parts") or {}).items()}
    return {name: float(value) for name, value in named.items() if value is not None}


def _check_finite(loss: torch.Tensor, norm: torch.Tensor, batch: Batch, epoch: int) -> None:
    """Stop where the loss or the gradient is not finite, naming what was in the batch."""
    if torch.isfinite(loss) and torch.isfinite(norm):
        return
    clips = ", ".join(f"{video} from frame {start + 1}" for video, start in batch.where[:8])
    what = "loss" if not torch.isfinite(loss) else "gradient"
    raise UserError("loss-not-finite", what=what, epoch=epoch + 1, clips=clips)
