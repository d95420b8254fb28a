"""Select the parameters for weight decay: those that multiply features, and nothing else.

A module excludes parameters with a method ``no_weight_decay()``, which returns their names relative to the module.
This is timm's convention, so timm's networks do the same. A parameter excludes itself with an attribute
``_no_weight_decay`` that is true, the convention of Mamba (state-spaces/mamba, mamba_simple.py).
"""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrizations import _WeightNorm

_OF_LAYERS = ("weight", "weight_v", "original1")
"""Ends of the names of layers' weights, also under weight normalisation, old and new."""


def decayed_names(model: nn.Module) -> set[str]:
    """Return the names of the parameters to decay: trained ones with two or more axes, with exceptions.

    Fewer axes exclude biases, norms and learned vectors; a vector may have further axes of one element, unless it is
    the weight of a layer with a single output. The exceptions are parameters that declare it themselves or
    that a module declares, the rows of embeddings (a vector each, looked up by a number) and the gains of weight
    normalisation (a length each: the direction is the matrix).
    """
    spared = {name for prefix, part in model.named_modules() for name in _spared(prefix, part)}
    trained = ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)
    return {name for name, parameter in trained if _is_matrix(name, parameter)} - spared


def _is_matrix(name: str, parameter: nn.Parameter) -> bool:
    wide = sum(size > 1 for size in parameter.shape) >= 2
    return parameter.ndim >= 2 and (wide or name.endswith(_OF_LAYERS))


def _spared(prefix: str, part: nn.Module) -> set[str]:
    """Return the names, relative to the model, of a module's parameters that must not be decayed."""
    names: set[str] = set()
    if callable(declared := getattr(part, "no_weight_decay", None)):
        names |= set(declared())
    if isinstance(part, nn.Embedding):
        names.add("weight")
    if isinstance(part, nn.utils.parametrize.ParametrizationList) and isinstance(part[0], _WeightNorm):
        names.add("original0")
    own = dict(part.named_parameters(recurse=False))
    names |= {name for name in own if name.endswith("_g") and _old_norm(part, name)}
    names |= {name for name, parameter in own.items() if getattr(parameter, "_no_weight_decay", False)}
    return {f"{prefix}.{name}".lstrip(".") for name in names}


def _old_norm(part: nn.Module, name: str) -> bool:
    """Return True if a parameter is the gain of torch.nn.utils.weight_norm, which published networks still use."""
    return f"{name.removesuffix('_g')}_v" in dict(part.named_parameters(recurse=False))
