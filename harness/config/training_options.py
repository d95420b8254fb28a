"""Settings of the training that are off by default: fine-tuning of pretrained encoders, memory, sampling of clips.

Records leave them out if they have their default, so that a run's ``result_sha256`` is the one it had before they
existed (``NEWER``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from harness.config.section import Section
from zoo.errors import UserError

if TYPE_CHECKING:
    from harness.config.schema import Train


class FineTuning(Section):
    """Rates, freezing and memory of a training. *Pretrained* are the encoders of ``--finetune``."""

    encoder_lr: float | None = Field(
        None, gt=0, le=1, description="highest learning rate of pretrained encoders; left out: train.lr"
    )
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="factor of the learning rate from a layer of a pretrained encoder to the one below"
    )
    encoder_warmup: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the steps, from unfreezing on, with a rising rate for pretrained encoders; "
        "for cosine and constant",
    )
    unfreeze: int = Field(0, ge=0, description="epochs for which pretrained encoders stay frozen at first")
    unfreeze_every: int = Field(
        0, ge=0, description="then unfreeze one more layer every N epochs, from the top; 0: all at once"
    )
    frozen_layers: int = Field(0, ge=0, description="lowest layers of pretrained encoders that are never trained")
    norms: Literal["train", "frozen"] = Field(
        "train", description="train the norm layers of pretrained encoders, or keep their weights and statistics"
    )
    accumulate: int = Field(
        1, ge=1, description="compute each batch in N parts, one after the other: the memory of a part"
    )
    accumulation: Literal["sum", "exact"] = Field(
        "sum",
        description="sum: for losses that add up over clips, such as ce; exact: for all, by encoding each part twice",
    )
    grad_checkpoint: Literal["none", "encoders", "all"] = Field(
        "none",
        description="gradient checkpointing of encoders, or also of heads: compute activations again instead of "
        "keeping them",
    )
    compile: bool = Field(False, description="compile trained encoders, fusion and losses with torch.compile")


class Sampling(Section):
    """The choice of frames and clips to train on."""

    stride: int = Field(
        1, ge=1, description="take every Nth frame; predictions are interpolated to the frames in between"
    )
    fps: float = Field(
        0.0, ge=0, description="take about N frames per second of every video instead of a stride; 0: all frames"
    )
    overlap: float = Field(0.0, ge=0, lt=1, description="share of a training clip that the next one repeats")
    balance: Literal["none", "labels"] = Field(
        "none", description="draw clips at random, those with rare labels more often"
    )


NEWER: dict[str, Any] = {
    name: field.default for kind in (FineTuning, Sampling) for name, field in kind.model_fields.items()
}
"""Settings of ``train`` that records leave out if they have this value."""


def check_agreement(train: Train) -> None:
    """Raise UserError if settings of the training contradict each other."""
    if train.stride > 1 and train.fps:
        raise UserError("stride-and-fps", stride=train.stride, fps=train.fps)
    if train.stride > train.clip:
        raise UserError("stride-over-clip", key="train.stride", stride=train.stride, clip=train.clip)
    if train.unfreeze >= train.epochs:
        raise UserError("unfreeze-never", unfreeze=train.unfreeze, epochs=train.epochs)
    if train.encoder_warmup and train.schedule not in ("cosine", "constant"):
        raise UserError("encoder-warmup-schedule", schedule=train.schedule)
    if train.mixup and train.accumulate > 1 and train.accumulation != "exact":
        raise UserError("accumulate-not-additive", what="train.mixup mixes clips of different parts")
