"""Write a timm network with a new last layer as a file of weights that timm itself would load."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo.errors import UserError


def with_classifier(
    model: str, net: nn.Module, create: Callable[[int], nn.Module], weight: Tensor, bias: Tensor
) -> dict[str, Tensor]:
    """Return the state of a network without classifier, with a last layer under the name that timm gives it.

    Args:
        model: timm's name of the architecture, for the error.
        net: The network.
        create: Builds the same network with a number of classes.
        weight: (K, dim) of the last layer.
        bias: (K,) of the last layer.

    Returns:
        Name -> tensor.

    Raises:
        UserError: The architecture's classifier is not one linear layer on its features.
    """
    with torch.device("meta"):
        whole = create(len(weight)).state_dict()
    state = dict(net.state_dict())
    last = whole.keys() - state.keys()
    named = {name.rpartition(".")[2]: name for name in last}
    if set(named) != {"weight", "bias"} or len(last) != 2 or whole[named["weight"]].shape != weight.shape:
        raise UserError(f"the classifier of timm's {model} is not one linear layer: choose another architecture")
    return {**state, named["weight"]: weight, named["bias"]: bias}
