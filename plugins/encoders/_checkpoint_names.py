"""Names of tensors in a user's file: the prefix to remove, and its classifier."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from zoo.errors import UserError

PREFIXES = (
    "module.",
    "model.",
    "backbone.",
    "encoder.",
    "net.",
    "network.",
    "base.",
    "base_model.",
    "features_extractor.",
    "feature_extractor.",
    "_orig_mod.",
)


def classifier_of(head: Mapping[str, Tensor], classes: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the last layer of the file if the user named its classes and it is unambiguous, else an empty dict.

    A missing bias is replaced by zeros.
    """
    if not classes:
        return {}
    names = [name for name, tensor in head.items() if name.endswith("weight") and tensor.ndim == 2]
    if not names or len(names) > 1:  # with several layers, the operations between them are unknown
        return {}
    weight = head[names[0]]
    bias = head.get(names[0].removesuffix("weight") + "bias", torch.zeros(len(weight)))
    return {"classifier.weight": weight, "classifier.bias": bias}


def use_of(classes: tuple[str, ...], found: Mapping[str, Tensor]) -> str:
    return "kept for what it predicts itself" if classes and found else "left out"


def best_prefix(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """Return the prefix whose removal makes most names match the network's; "" if none helps."""
    prefixes = {""}
    for name in state:
        prefix = ""
        while part := next((p for p in PREFIXES if name.startswith(prefix + p)), ""):
            prefix += part
            prefixes.add(prefix)
    return max(sorted(prefixes, key=len), key=lambda p: sum(n.startswith(p) and n[len(p) :] in own for n in state))


def check_classes(classes: tuple[str, ...], head: Mapping[str, Tensor]) -> list[str]:
    """Compare the number of the user's classes with the width of the classifier's last layer; return notes.

    Raises UserError if they differ.
    """
    widths = [tensor.shape[0] for name, tensor in head.items() if name.endswith("weight") and tensor.ndim == 2]
    if not widths:
        return ["the order of classes could not be checked: the file has no classifier"] if classes else []
    if classes and len(classes) != widths[-1]:
        raise UserError(
            f"a class order that does not match: {len(classes)} classes ({', '.join(classes)}), but the file's "
            f"classifier has {widths[-1]} answers: correct --set encoder.SLOT.classes=..."
        )
    return [f"its classifier had {widths[-1]} answers" + (f": {', '.join(classes)}" if classes else "")]


def some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
