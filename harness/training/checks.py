"""Find settings that do not fit the combination, before a pixel is read."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from harness.config.schema import RunConfig, Train
from harness.config.training_options import FineTuning
from harness.evaluation.looks import reads_neighbours
from harness.training.build import adapter_options, regularisation_options
from harness.training.freezing import trainable_layers, trained_names
from zoo.errors import UserError
from zoo.model.encoder_layers import layer_numbers
from zoo.model.lora import attach, check_adapters
from zoo.model.model import build_encoder
from zoo.model.shape_check import check, meta_or_real
from zoo.modules import Encoder
from zoo.registry.plan import Plan, SlotPlan

TUNING = ("encoder_lr", "layer_decay", "encoder_warmup", "unfreeze", "unfreeze_every", "frozen_layers", "norms")
"""Settings of pretrained encoders that are trained."""


def check_training(plan: Plan, config: RunConfig) -> None:
    """Raise UserError if the combination cannot be trained with these settings."""
    settings = config.train
    usual = settings.momentum == Train.model_fields["momentum"].default
    if settings.optimizer == "sgd" and settings.schedule == "one_cycle" and not usual:
        raise UserError("momentum-one-cycle", momentum=settings.momentum)
    if settings.compile and settings.grad_checkpoint != "none":
        # torch traces no checkpoint with contexts (harness.training.recompute): these parts would stay as they are.
        raise UserError("compile-grad-checkpoint", value=settings.grad_checkpoint)
    check_adapters(plan)
    trained = {s.name: meta_or_real(lambda s=s: build_encoder(s)) for s in plan.slots if not s.frozen}
    pretrained = {s.name: trained[s.name] for s in plan.slots if s.name in trained and s.passport is not None}
    for name, encoder in trained.items():
        if (settings.stride > 1 or settings.fps) and reads_neighbours(encoder):
            raise UserError("stride-with-context", slot=name)
    _check_tuning(pretrained, settings)
    values = any(answer.kind == "value" for answer in plan.answers)
    if settings.accumulate > 1 and settings.accumulation == "sum" and config.distill.run is not None and values:
        raise UserError("accumulate-not-additive", what="the CCC with a teacher's values needs the whole batch")
    if settings.accumulate > 1:
        shapes = check(plan, adapter_options(config), regularisation_options(config))
        frozen = set(pretrained) if settings.norms == "frozen" else {s.name for s in plan.slots if s.lora}
        _check_accumulation(trained, frozen, settings, shapes["whole_batch"])
    for slot in plan.slots:
        if slot.name in pretrained:
            _check_learns(slot, pretrained[slot.name], settings)


def _check_tuning(pretrained: dict[str, Encoder], settings: Train) -> None:
    """Check rates and freezing, which need pretrained encoders that consist of layers."""
    given = [name for name in TUNING if getattr(settings, name) != FineTuning.model_fields[name].default]
    if given and not pretrained:
        raise UserError("finetune-setting-unused", setting=given[0])
    by_layer = [name for name in given if name in ("layer_decay", "unfreeze_every", "frozen_layers")]
    for slot, encoder in pretrained.items() if by_layer else ():
        count = 1 + max(layer_numbers(encoder).values(), default=0)
        if count == 1:
            raise UserError("layers-unknown", setting=by_layer[0], slot=slot)
        if settings.frozen_layers >= count:
            raise UserError("frozen-layers-all", slot=slot, count=count, frozen=settings.frozen_layers)
        last = settings.unfreeze + (count - 1 - settings.frozen_layers) * settings.unfreeze_every
        if last >= settings.epochs:
            raise UserError(
                "unfreeze-every-never",
                slot=slot,
                count=count,
                every=settings.unfreeze_every,
                epoch=last + 1,
                epochs=settings.epochs,
            )


def _check_learns(slot: SlotPlan, encoder: Encoder, settings: Train) -> None:
    """Raise UserError if nothing of a pretrained encoder is trained in the last epoch, in which most is.

    The encoder gets its adapters.
    """
    attach(encoder, slot)
    if not trained_names(encoder, trainable_layers(encoder), settings, settings.epochs - 1):
        part = "of its adapters" if slot.lora else "of its parameters"
        raise UserError(
            "trains-nothing", slot=slot.name, part=part, frozen=settings.frozen_layers, norms=settings.norms
        )


def _check_accumulation(
    trained: dict[str, Encoder], frozen_norms: set[str], settings: Train, whole_batch: Sequence[str]
) -> None:
    """Check that parts of a batch give the gradient of the batch; ``frozen_norms``: slots whose norms are frozen."""
    for slot, encoder in trained.items():
        norms = [part for part in encoder.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
        if norms and settings.batch_norm != "frozen" and slot not in frozen_norms:
            raise UserError("accumulate-batch-norm", parts=settings.accumulate, slot=slot)
    if settings.accumulation == "exact" and not trained:
        raise UserError("accumulate-exact-nothing")
    if settings.accumulation == "sum" and whole_batch:
        raise UserError("accumulate-not-additive", what=f"{whole_batch[0]} needs the whole batch")
