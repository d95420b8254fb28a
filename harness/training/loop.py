"""The training loop, to be read from top to bottom.

Every random choice is drawn from (seed, epoch, step) and never from a generator that runs on. So a run continued from
any checkpoint gives the same result, bit for bit, as a run that was never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.batching.clips import ClipData
from harness.batching.loader import prefetch_batches
from harness.batching.training_windows import LabelBalance
from harness.batching.windows import Window
from harness.config.schema import Train
from harness.evaluation.choice_optimism import FoldSums, epoch_optimism
from harness.evaluation.shared_prediction import shared_score
from harness.runtime.distributed import World
from harness.runtime.interrupts import stoppable
from harness.runtime.progress import Bar
from harness.training import placement
from harness.training.accumulation import Gradient, gradient_of, objective_of
from harness.training.checkpoint import load_state
from harness.training.epoch_choice import choose_epoch, out_of_patience, take_score
from harness.training.forecast import Forecast, late_fall
from harness.training.freezing import Freezing
from harness.training.history import write_history
from harness.training.loggers import Loggers
from harness.training.memory_limits import room, too_large
from harness.training.parameter_groups import describe
from harness.training.placement import Clock
from harness.training.score_parts import parts_text, shown_parts
from harness.training.state import EpochRow, TrainingState
from harness.training.steps import batches_of, count_batches, passes_an_epoch
from harness.training.validation import validation_loss
from leaderboards.blocks import EpochChoice, ParameterGroup
from zoo.api import TrackSpec
from zoo.errors import Stopped, UserError
from zoo.metrics.scores import Score
from zoo.model.model import Batch, Model

SAVE_EVERY = 60.0  # seconds between checkpoints inside an epoch


def unchanged(batch: Batch, epoch: int, rows: slice) -> Batch:
    """Return the batch: no augmentation."""
    return batch


@dataclass(frozen=True)
class Trained:
    """The outcome of training, apart from the model's weights."""

    epochs: int
    best_epoch: int
    selections: int  # number of validation scores that decided something (epoch_choice.selected_by_score)
    steps: int
    frames_per_second: float | None = None  # of this process's share of the training, without validation
    late_fall: float | None = None  # share of the loss's fall that came late (forecast.late_fall)
    optimism: EpochChoice | None = None  # of the score that chose the epoch (choice_optimism.epoch_optimism)
    groups: Sequence[ParameterGroup] = ()  # parameter groups with their rates and weight decay


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
    augment: Callable[[Batch, int, slice], Batch] = unchanged,
    balanced: Sequence[str] | None = None,
) -> Trained:
    """Train a model in place and leave it with the chosen epoch's weights.

    Training continues from folder/state.ckpt if it exists. In several processes each computes its share of every batch,
    and all take the same steps (zoo.parallel). The first process writes the files.

    Args:
        model: the network; it is moved to the device.
        data: the training clips.
        val: the validation clips, if there are any.
        track: gives the metric that validation is scored by.
        settings: the ``train`` table of the configuration.
        seed: of every random choice.
        world: this process's device and its place among the others.
        folder: the run's folder, for checkpoint, history and events.
        progress: show a progress bar.
        stop: end after this many epochs, with the learning rates of a training of ``settings.epochs``.
        made: settings and digests of data by name. A checkpoint that was made with others is refused.
        loggers: opens the loggers of the run, given the number of steps that were taken before.
        augment: changes the raw input of a batch, given the epoch and the clips that this process computes.
        balanced: the answers whose labels ``train.balance`` balances; None: all.

    Raises:
        UserError: the checkpoint belongs to another training, memory is too small, or the loss, the gradient or a
            prediction of validation is not finite.
        Stopped: the user asked to stop; the checkpoint is written.
    """
    # Move the model before the optimizer is made: the optimizer keeps references to the parameters that it is given.
    placement.place(model, world, settings)

    # Plan the learning rates over all epochs, even if fewer are trained. The steps are counted epoch by epoch, because
    # the phases of the windows are drawn anew each epoch and their number differs a little. A small set gets enough
    # steps by several passes an epoch, not by more epochs: patience, validation and schedules count epochs and so keep
    # the meaning that they have on a large set.
    passes = passes_an_epoch(data, settings, seed)
    steps = [count_batches(data, settings, seed, epoch, passes) for epoch in range(settings.epochs)]
    state = TrainingState(model, settings, sum(steps), made or {})
    freezing = Freezing(model, settings)
    weigher = LabelBalance(data, track, balanced) if settings.balance == "labels" else None

    # Continue a run that was stopped. The first process reads the checkpoint and broadcasts it, so that all processes
    # start from the same state.
    checkpoint = folder / "state.ckpt"
    if saved := world.broadcast(load_state(checkpoint) if world.first and checkpoint.is_file() else None):
        state.restore(saved, checkpoint)

    # Fabric wraps the loss and the optimizer: it sets the precision and averages the gradients of the processes.
    fabric = placement.fabric(world, settings)
    objective, optimizer = fabric.setup(objective_of(model, settings), state.optimizer)
    gradient = gradient_of(fabric, objective, model, settings, world)

    epochs = min(settings.epochs, stop or settings.epochs)
    bar = Bar(
        total=sum(steps[:epochs]),
        initial=state.progress.total,
        desc="training",
        unit="step",
        shown=progress and world.first,
    )
    board = loggers(state.progress.total) if world.first and loggers else Loggers((), folder, 0)
    plan = _Plan(seed, passes, epochs, weigher)
    parts = (data, val, track, settings, plan, world, folder, state, freezing, gradient, optimizer, board, bar)
    loop = _Loop(*parts, augment=augment)
    if progress and world.first:
        if model.pretrained:
            print("\n".join(["parameter groups:", *describe(state.groups)]), flush=True)
        repeated = f", each {passes} times over the set," if passes > 1 else ""
        print(f"training: {epochs} epochs{repeated} and {sum(steps[:epochs])} optimiser steps at most", flush=True)
        loop.timed = Forecast(sum(steps[:epochs]) - state.progress.total)

    # Train until the last epoch or until patience ends. ``room`` turns a lack of memory into an error that names what
    # would fit; ``stoppable`` turns Ctrl-C into a flag, so that the loop can save before it ends.
    with bar, room(loop.what_fits), closing(board), stoppable() as loop.stopped:
        while state.progress.epoch < epochs and not out_of_patience(state.progress, settings):
            loop.train_epoch()
            loop.end_epoch(last=state.progress.epoch + 1 == epochs)

    # Leave the model with the chosen weights, and report if training was long enough and by how much the choice of the
    # epoch flatters the score. A training that ended early says nothing about its length: its schedule was cut, so the
    # loss may still have been falling.
    chosen = choose_epoch(state)
    done = state.progress
    ended = done.epoch == epochs and epochs == settings.epochs
    fall = late_fall(done.history) if ended else None
    optimism = epoch_optimism(track, done.by_fold)
    return Trained(done.epoch, chosen, done.selections, done.total, loop.clock.rate, fall, optimism, state.groups)


@dataclass(frozen=True)
class _Plan:
    """The plan of the windows: ``passes`` over the set in an epoch, and ``epochs`` at most."""

    seed: int
    passes: int
    epochs: int
    weigher: LabelBalance | None

    def windows(self, data: ClipData, settings: Train, epoch: int) -> list[Sequence[Window]]:
        """Return the batches of windows of an epoch."""
        return batches_of(data, settings, self.seed, epoch, self.passes, self.weigher)


@dataclass
class _Loop:
    """A training in progress; ``stopped()`` returns True once the user asks to stop."""

    data: ClipData
    val: ClipData | None
    track: TrackSpec
    settings: Train
    plan: _Plan
    world: World
    folder: Path
    state: TrainingState
    freezing: Freezing
    gradient: Gradient
    optimizer: Any
    board: Loggers
    bar: Bar
    stopped: Callable[[], bool] = lambda: False
    clock: Clock = field(default_factory=Clock)
    saved_at: float = field(default_factory=time.monotonic)
    timed: Forecast | None = None
    augment: Callable[[Batch, int, slice], Batch] = unchanged

    def train_epoch(self) -> None:
        """Take the steps of the epoch that were not taken yet."""
        progress = self.state.progress

        # The windows of an epoch follow from seed and epoch alone, so a continued run draws the same ones and skips
        # the steps that were taken. ``train()`` puts every module in training mode, so frozen batch norms are set to
        # eval mode after it.
        windows = self.plan.windows(self.data, self.settings, progress.epoch)
        self.state.model.train()
        placement.freeze(self.state.model, self.settings)
        self.freezing.apply(progress.epoch)
        self.bar.set_description(f"epoch {progress.epoch + 1} of {self.plan.epochs}")
        self.bar.label = f"epoch {progress.epoch + 1} of {self.plan.epochs}, in all"
        self.clock.start()

        self.data.begin_epoch(progress.epoch)

        # Batches are prefetched by threads. ``closing`` ends these threads, also if a step raises.
        left = windows[progress.step :]
        with closing(prefetch_batches(self.data, left, self.settings.clip, self.world)) as batches:
            for batch in batches:
                # Seed dropout by seed, epoch and step alone: a continued run draws the same masks as an unbroken one.
                number = (self.plan.seed * 1_000_003 + progress.epoch) * 1_000_003 + progress.step
                torch.manual_seed(number % 2**64)
                loss, parts = self.step(batch)
                self.state.after_step()
                progress.add_step(loss)
                self.clock.count(int(batch.valid.sum()))
                self.bar.update()
                if self.timed is not None and (said := self.timed.step()):
                    print(said, flush=True)
                self.log({f"loss/{name}": value for name, value in parts.items()})
                # All processes must stop at the same step: one that went on would wait for the others for ever.
                stopping = self.world.any(self.stopped())
                if stopping or time.monotonic() - self.saved_at > SAVE_EVERY:
                    self.save()
                if stopping:
                    raise Stopped

    def step(self, batch: Batch) -> tuple[float, dict[str, float]]:
        """Learn from a batch; return its loss and the parts of the loss by name."""
        share = self.world.share(len(batch.valid))
        batch = self.augment(batch, self.state.progress.epoch, share.rows if share else slice(None))

        # The loss is that of the whole batch in every process; the gradient may be computed part by part.
        self.optimizer.zero_grad(set_to_none=True)
        loss, parts = self.gradient(batch)

        # Clipping also gives the norm of the gradient. With no limit it only measures. Check before the step, so that
        # weights are never updated with a gradient that is not finite.
        most = self.settings.grad_clip or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.state.model.parameters(), most)
        _check_finite(loss, norm, batch, self.state.progress.epoch)
        self.optimizer.step()
        return float(loss.detach()), {name: float(value.detach()) for name, value in parts.items()}

    def end_epoch(self, *, last: bool) -> None:
        """Average, validate, choose, record and save."""
        state, progress = self.state, self.state.progress
        state.after_epoch()

        # Validate every ``validate_every`` epochs, and always after the last one.
        due = last or (progress.epoch + 1) % self.settings.validate_every == 0
        found = self.validate() if due else None
        score = None if found is None else float(found.main)

        # Take the score before the row is made. The row's learning rate is that of the next step, so a rate that falls
        # on a plateau is shown next to the score that caused it.
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
            parts = {name: f"{value:.3f}" for name, value in shown_parts(row.get("parts") or {}, score).items()}
            self.bar.set_postfix({"loss": f"{row['loss']:.3f}", "val": f"{score:.3f}", **parts})
        if self.bar.plain:
            validated = "" if score is None else f", validation {score:.3f}{parts_text(row.get('parts') or {}, score)}"
            print(f"epoch {progress.epoch + 1} of {self.plan.epochs}: loss {row['loss']:.3f}{validated}", flush=True)

        # Save only after the epoch is counted, so that a continued run begins with the next one.
        progress.end_epoch()
        self.save()
        if self.world.first:
            write_history(self.folder / "history.csv", progress.history)
        if self.world.any(self.stopped()):
            raise Stopped

    def validate(self) -> Score | None:
        """Return the score of the validation videos; None if there are none or the score is not finite.

        Raise UserError if a prediction is not finite: the training has diverged.
        """
        if self.val is None or not self.val.videos:
            return None
        by_fold: FoldSums = {}
        score = shared_score(
            self.world,
            self.state.evaluated,
            self.val,
            self.track,
            epoch=self.state.progress.epoch + 1,
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
        """Return the error to end with if there was no memory for the current step."""
        progress = self.state.progress
        steps = self.plan.windows(self.data, self.settings, progress.epoch)
        windows = steps[min(progress.step, len(steps) - 1)]  # after the last step, it was validation that failed
        return too_large(self.state.model, self.data, windows, self.settings, self.state.optimizer, self.world)

    def save(self) -> None:
        """Write a checkpoint, in the first process only."""
        if self.world.first:
            self.state.save(self.folder / "state.ckpt")
        self.saved_at = time.monotonic()

    def log(self, values: dict[str, float]) -> None:
        """Give values to the loggers at the current step."""
        if values:
            self.board.scalars(values, self.state.progress.total)


def _curves(row: EpochRow) -> dict[str, float]:
    """Return the values of an epoch by the names that loggers get."""
    named = {"loss/epoch": row["loss"], "loss/val": row.get("val_loss"), "score/val": row["val"], "lr": row["lr"]}
    named |= {f"score/{name}": value for name, value in (row.get("parts") or {}).items()}
    return {name: float(value) for name, value in named.items() if value is not None}


def _check_finite(loss: torch.Tensor, norm: torch.Tensor, batch: Batch, epoch: int) -> None:
    """Raise UserError if the loss or the gradient is not finite; the error names the clips of the batch."""
    if torch.isfinite(loss) and torch.isfinite(norm):
        return
    clips = ", ".join(f"{video} from frame {start + 1}" for video, start, _ in batch.where[:8])
    what = "loss" if not torch.isfinite(loss) else "gradient"
    raise UserError("loss-not-finite", what=what, epoch=epoch + 1, clips=clips)
