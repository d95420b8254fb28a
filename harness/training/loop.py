"""The training loop, top to bottom.

Every random choice is drawn from (seed, epoch, step), never from what came before, so a run that is continued from any
checkpoint goes the same way, bit for bit, as one that was never stopped.
"""

from __future__ import annotations

import copy
import csv
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from harness.batching.clips import ClipData
from harness.batching.loader import loaded
from harness.batching.sampling import count_windows, training_windows
from harness.batching.windows import Window, batches
from harness.config.schema import Train
from harness.evaluation.prediction import shared_score
from harness.io.atomic import atomic
from harness.runtime.distributed import World
from harness.training import placement as devices
from harness.training.checkpoint import load_state, save_state
from harness.training.memory_limits import room, too_large
from harness.training.optimizers import averaged, make_optimizer, make_schedule
from harness.training.placement import Clock
from zoo.api import TrackSpec
from zoo.errors import Stopped, UserError
from zoo.model.mixup import Objective
from zoo.model.model import Batch, Model
from zoo.parallel import Share

SAVE_EVERY = 60.0  # seconds between checkpoints inside an epoch


@dataclass(frozen=True)
class Trained:
    """What training gives besides the model's weights."""

    epochs: int
    best_epoch: int
    selections: int  # validation scores that the epoch was chosen among; 0: the last was taken unseen
    steps: int
    frames_per_second: float | None = None  # of this process's part of the training, without validation


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
) -> Trained:
    """Train a model in place; leaves it with the chosen epoch's weights. Continues from folder/state.ckpt.

    ``stop``: end after so many epochs, with the learning rates that they have in a training of ``settings.epochs``.
    In several processes each computes its share of every batch, and all do the same steps (zoo.parallel); the first
    one writes.
    """
    devices.fit(model, world, settings)
    optimizer = make_optimizer(model, settings)
    epochs = min(settings.epochs, stop or settings.epochs)
    steps = [_steps(data, settings, seed, epoch) for epoch in range(settings.epochs)]
    schedule = make_schedule(optimizer, settings, sum(steps))
    average = averaged(model, settings)
    state: dict[str, Any] = {
        "epoch": 0,
        "step": 0,
        "total": 0,
        "best": -np.inf,
        "best_epoch": 0,
        "sum": 0.0,
        "count": 0,
        "history": [],
        "selections": 0,
    }
    best = copy.deepcopy(model.state_dict())
    ckpt = folder / "state.ckpt"
    if saved := world.same(load_state(ckpt) if world.first and ckpt.is_file() else None):
        state, best = saved["loop"], saved["best"]
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        if average is not None:
            average.load_state_dict(saved["average"])
        if schedule is not None:
            schedule.load_state_dict(saved["schedule"])

    def save() -> None:
        parts = {"loop": state, "model": model.state_dict(), "best": best, "optimizer": optimizer.state_dict()}
        parts["average"] = average.state_dict() if average is not None else {}
        if world.first:
            save_state(ckpt, {**parts, "schedule": schedule.state_dict() if schedule is not None else {}})

    fabric = devices.fabric(world, settings)
    objective, stepper = fabric.setup(Objective(model, settings.mixup), optimizer)
    board = _board(folder, int(state["total"])) if world.first else None
    bar = tqdm(
        total=sum(steps[:epochs]),
        initial=int(state["total"]),
        desc="training",
        unit="step",
        disable=None if progress and world.first else True,
        leave=False,
    )
    clock, saved_at = Clock(), time.monotonic()
    with (
        bar,
        room(
            lambda: too_large(
                model, data, _epoch(data, settings, seed, state["epoch"])[state["step"]], settings, optimizer, world
            )
        ),
        _stoppable() as stopped,
    ):
        while state["epoch"] < epochs and not _patience_spent(state, settings):
            epoch = state["epoch"]
            windows = _epoch(data, settings, seed, epoch)
            model.train()
            devices.freeze(model, settings)
            clock.start()
            with closing(loaded(data, windows[state["step"] :], settings.clip, world)) as batches:
                for batch in batches:
                    torch.manual_seed((seed * 1_000_003 + epoch) * 1_000_003 + state["step"])  # dropout
                    loss, parts = _step(
                        fabric, objective, stepper, batch, world.share(len(batch.valid)), settings, epoch
                    )
                    if average is not None and settings.average == "ema":
                        average.update_parameters(model)
                    if schedule is not None and settings.schedule != "plateau":
                        schedule.step()
                    state["step"], state["total"] = state["step"] + 1, state["total"] + 1
                    state["sum"], state["count"] = state["sum"] + loss, state["count"] + 1
                    clock.count(int(batch.valid.sum()))
                    bar.update()
                    _log(board, {f"loss/{name}": value for name, value in parts.items()}, state)
                    stopping = world.any(stopped())
                    if stopping or time.monotonic() - saved_at > SAVE_EVERY:
                        save()
                        saved_at = time.monotonic()
                    if stopping:
                        raise Stopped
            if average is not None and settings.average == "swa" and epoch + 1 > settings.swa_start * settings.epochs:
                average.update_parameters(model)
            due = (epoch + 1) % settings.validate_every == 0 or epoch + 1 == epochs
            kept: Any = model if average is None or not average.n_averaged else average.module
            score = _validate(kept, val, track, settings, world) if due else None
            if score is not None and settings.schedule == "plateau" and schedule is not None:
                schedule.step(score)
            row = {
                "epoch": epoch + 1,
                "step": state["total"],
                "loss": state["sum"] / max(1, state["count"]),
                "val": score,
                "lr": optimizer.param_groups[0]["lr"],
            }
            state["history"].append(row)
            _log(board, {"loss/epoch": row["loss"]} | ({} if score is None else {"score/val": score}), state)
            if score is not None:
                bar.set_postfix(loss=f"{row['loss']:.3f}", val=f"{score:.3f}")
            if settings.select == "best" and score is not None:
                state["selections"] += 1
                if score > state["best"]:
                    state["best"], state["best_epoch"] = score, epoch + 1
                    best = copy.deepcopy(kept.state_dict())
            state.update(epoch=epoch + 1, step=0, sum=0.0, count=0)
            save()
            saved_at = time.monotonic()
            if world.first:
                _write_history(folder / "history.csv", state["history"])
            if world.any(stopped()):
                raise Stopped
    if board is not None:
        board.close()
    if settings.select == "best" and state["best_epoch"]:
        model.load_state_dict(best)
    elif average is not None and average.n_averaged:
        model.load_state_dict(average.module.state_dict())
    chosen = state["best_epoch"] if settings.select == "best" and state["best_epoch"] else state["epoch"]
    return Trained(state["epoch"], chosen, state["selections"], state["total"], clock.rate)


def _step(
    fabric: Any, objective: Any, stepper: Any, batch: Batch, share: Share | None, settings: Train, epoch: int
) -> tuple[float, dict[str, float]]:
    """Learn from a batch: its loss, and the parts of that."""
    loss, parts = objective(batch, share)
    stepper.zero_grad(set_to_none=True)
    fabric.backward(loss)
    norm = torch.nn.utils.clip_grad_norm_(objective.parameters(), settings.grad_clip or float("inf"))
    _guard(loss, norm, batch, epoch)
    stepper.step()
    return float(loss.detach()), {name: float(value.detach()) for name, value in parts.items()}


def _epoch(data: ClipData, settings: Train, seed: int, epoch: int) -> list[Sequence[Window]]:
    """The batches of an epoch."""
    rng = np.random.default_rng([seed, epoch])
    return list(batches(training_windows(data, settings.clip, rng), settings.batch))


def _steps(data: ClipData, settings: Train, seed: int, epoch: int) -> int:
    """How many batches an epoch has."""
    return -(-count_windows(data, settings.clip, np.random.default_rng([seed, epoch])) // settings.batch)


def _patience_spent(state: dict[str, Any], settings: Train) -> bool:
    since = state["epoch"] - state["best_epoch"]
    return (
        settings.select == "best"
        and bool(settings.patience)
        and bool(state["best_epoch"])
        and since >= settings.patience
    )


def _validate(model: Model, val: ClipData | None, track: TrackSpec, settings: Train, world: World) -> float | None:
    if val is None or not val.videos:
        return None
    score = shared_score(
        world,
        model,
        val,
        track,
        length=settings.clip,
        batch=settings.batch * 2,
        full=settings.evaluation == "full",
        delay=settings.delay,
        precision=settings.precision,
    )
    return score if np.isfinite(score) else None


def _guard(loss: torch.Tensor, norm: torch.Tensor, batch: Batch, epoch: int) -> None:
    """Stop where the loss or the gradient is not finite, naming what was in the batch."""
    if torch.isfinite(loss) and torch.isfinite(norm):
        return
    clips = ", ".join(f"{video} from frame {start + 1}" for video, start in batch.where[:8])
    what = "loss" if not torch.isfinite(loss) else "gradient"
    raise UserError(
        f"the {what} is not finite in epoch {epoch + 1}; the batch: {clips}; "
        "try a lower --set train.lr, or look at these clips"
    )


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM ask the loop to stop after the step under way; a second one ends the program."""
    asked: list[int] = []

    def handler(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    try:
        before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: nobody can send signals here
        before = {}
    try:
        yield lambda: bool(asked)
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    def write(part: Path) -> None:
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    atomic(path, write)


def _board(folder: Path, step: int) -> Any:
    """TensorBoard events; those after ``step`` are dropped when a run is continued."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "events"), purge_step=step or None, flush_secs=30)


def _log(board: Any, values: dict[str, float], state: dict[str, Any]) -> None:
    for name, value in values.items() if board is not None else ():
        board.add_scalar(name, value, state["total"])
