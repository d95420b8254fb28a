"""Freeze pretrained encoders: at first, layer by layer, their lowest layers, their norms, or all but their adapters.

Gradual unfreezing from the last layer down is Howard & Ruder 2018, arXiv:1801.06146. The optimizer has all parameters
from the start: torch's optimizers skip a parameter without a gradient, so a frozen one neither moves nor decays.
"""

from __future__ import annotations

from torch import nn

from harness.config.schema import Train
from zoo.model.encoder_layers import layer_numbers
from zoo.model.lora import encoder_of, is_adapter
from zoo.model.model import Model, module_key

NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.instancenorm._InstanceNorm)
"""Norms of torch. `is_norm` also finds those of timm and transformers, which have classes of their own."""


class Freezing:
    """The parameters of pretrained encoders that are trained in each epoch.

    Create it before anything is frozen: a parameter that an encoder itself does not train is never unfrozen.
    """

    def __init__(self, model: Model, settings: Train) -> None:
        self.settings = settings
        self.encoders = [encoder_of(model, slot) for slot in model.pretrained]
        self.adapted = [encoder_of(model, slot) for slot in model.adapted]
        self.layers = [trainable_layers(encoder) for encoder in self.encoders]

    def apply(self, epoch: int) -> None:
        """Freeze and unfreeze for an epoch, counted from 0. Call it after ``model.train()``.

        An encoder without trained parameters is put in eval mode, so that it has no dropout and its batch norms keep
        their statistics; of the others, norms without trained parameters are. Everything of an encoder but its
        adapters is in eval mode.
        """
        for encoder, layers in zip(self.encoders, self.layers, strict=True):
            trained_now = trained_names(encoder, layers, self.settings, epoch)
            for name in layers:
                encoder.get_parameter(name).requires_grad_(name in trained_now)
            if not trained_now:
                encoder.eval()
            for norm in encoder.modules():
                if is_norm(norm) and _is_frozen(norm, self.settings):
                    norm.eval()
        for encoder in self.adapted:
            trained = encoder.training
            encoder.eval()
            for name, part in encoder.named_modules():
                if is_adapter(name):
                    part.train(trained)


def trainable_layers(encoder: nn.Module) -> dict[str, int]:
    """Return the layer of each parameter that an encoder trains by itself: with adapters, only of these."""
    return {name: n for name, n in layer_numbers(encoder).items() if encoder.get_parameter(name).requires_grad}


def trained_names(encoder: nn.Module, layers: dict[str, int], settings: Train, epoch: int) -> set[str]:
    """Return the names in ``layers``, those of ``trainable_layers``, that are trained in an epoch, counted from 0."""
    lowest = lowest_trained(settings, max(layers.values(), default=0), epoch)
    frozen = _norm_parameters(encoder) if settings.norms == "frozen" else set()
    return {name for name, layer in layers.items() if layer >= lowest and name not in frozen}


def last_trained(model: Model, settings: Train) -> set[str]:
    """Return the names of a model's parameters that are trained in the last epoch, in which most are."""
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    for slot in model.pretrained:
        encoder = encoder_of(model, slot)
        layers = trainable_layers(encoder)
        frozen = layers.keys() - trained_names(encoder, layers, settings, settings.epochs - 1)
        names -= {f"encoders.{module_key(slot)}.{name}" for name in frozen}
    return names


def lowest_trained(settings: Train, top: int, epoch: int) -> int:
    """Return the lowest layer that is trained in an epoch, counted from 0; ``top`` + 1 if none is."""
    if epoch < settings.unfreeze:
        return top + 1
    opened = 1 + (epoch - settings.unfreeze) // settings.unfreeze_every if settings.unfreeze_every else top + 1
    return max(settings.frozen_layers, top + 1 - opened)


def is_norm(part: nn.Module) -> bool:
    """Return True for norms of torch, and for other classes that are called norms and scale or shift by vectors.

    Blocks that have "norm" in their name too, such as a convolution with its norm, have parts with parameters, and
    normalised linear layers have a matrix.
    """
    if isinstance(part, NORMS):
        return True
    own = list(part.parameters(recurse=False))
    named = any("norm" in kind.__name__.lower() for kind in type(part).__mro__)
    whole = len(list(part.parameters())) == len(own)
    return named and whole and bool(own) and all(p.numel() == max(p.shape, default=1) for p in own)


def _norm_parameters(encoder: nn.Module) -> set[str]:
    return {
        f"{prefix}.{name}".lstrip(".")
        for prefix, part in encoder.named_modules()
        if is_norm(part)
        for name, _ in part.named_parameters(recurse=False)
    }


def _is_frozen(norm: nn.Module, settings: Train) -> bool:
    """Return True if none of a norm's own parameters is trained; one without any is frozen with all norms."""
    own = list(norm.parameters(recurse=False))
    return not any(p.requires_grad for p in own) if own else settings.norms == "frozen"
