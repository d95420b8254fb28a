"""torch.compile of what a step computes: trained encoders, the fusion with its heads, and the losses.

The optimizer needs none: it is fused, one pass over the memory of a weight. What cannot be compiled runs as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
from torch import nn

from harness.runtime import memory
from zoo.errors import UserError
from zoo.model.model import Model

BACKEND = "inductor"


def compile_model(model: Model) -> None:
    """Compile the parts of a model in place, at their first call. Parameters and state keep their names."""
    parts: dict[str, Any] = {f"encoder {name}": encoder for name, encoder in model.encoders.items()}
    for name, part in {**parts, "fusion": model.fusion, "losses": model.losses}.items():
        part.forward = _Compiled(name, part)


class _Compiled:
    """The compiled forward of a module, or its own after a failure.

    The module's forward is an argument of the compiled function, and not a part of it: so a copy of the module (an
    average of the weights) computes with its own weights.
    """

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name, self.eager = name, module.forward
        # A code object of its own: torch counts compilations by code object, and after 8 computes without them.
        call = FunctionType(_call.__code__.replace(co_name=f"call {name}"), _call.__globals__)
        self.compiled: Callable[..., Any] | None = torch.compile(call, backend=BACKEND)

    def __call__(self, *args: Any, **named: Any) -> Any:
        if self.compiled is None:
            return self.eager(*args, **named)
        try:
            return self.compiled(self.eager, *args, **named)
        except UserError:
            raise
        except Exception as error:  # compilers fail in many ways; a mistake of the module itself is raised again below
            if memory.out_of_memory(error):
                raise
            reason = " ".join(str(error).partition("Set TORCHDYNAMO")[0].split())[:200]
        self.compiled = None
        found = self.eager(*args, **named)
        warnings.warn(f"train.compile: {self.name} runs without compilation ({reason})", stacklevel=2)
        return found


def _call(forward: Callable[..., Any], *args: Any, **named: Any) -> Any:
    return forward(*args, **named)
