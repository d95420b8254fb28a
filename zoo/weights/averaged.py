"""Where files of weights keep averaged ones (EMA, SWA) beside those of the last step.

Forms: a table beside the other (timm's ``state_dict_ema``), a network or an object's state that has one in it
(``ema``), a callback's state (Lightning), and one table with both (``ema_model.``, as a module that holds its average
saves itself). Lightning's WeightAveraging puts the averaged ones where the others are expected: they are what Lightning
loads, and are taken here, asked for or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

KEYS = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "model_state_dict_ema", "ema_model_state_dict", "ema_model"),
    *("ema", "ema_weights", "averaged_model", "average_model", "average_model_state", "avg_model", "swa_model"),
    "swa_state_dict",
)
_INSIDE = ("state_dict", "module", "model", "ema_model", "shadow")
_COUNTER = "n_averaged"  # what torch.optim.swa_utils.AveragedModel has beside its module
_INSTEAD = "current_model_state"  # the last step's in Lightning's WeightAveraging, whose state_dict is averaged


def places(root: Any) -> Iterator[tuple[str | None, Any]]:
    """Yield where averaged weights may be in a file's content, None for the file itself, and what is there; the
    likeliest first."""
    if not isinstance(root, Mapping):
        return
    if _COUNTER in root:
        yield None, root
    if _INSTEAD in root:
        yield "state_dict", root.get("state_dict")
    yield from _keyed(root, "")
    callbacks = root.get("callbacks")
    for name, state in callbacks.items() if isinstance(callbacks, Mapping) else ():
        if isinstance(state, Mapping):
            yield from _keyed(state, f"callbacks/{name}/")


def last_step(root: Any) -> str | None:
    """Return the key of the last step's weights where the usual one holds averaged ones, else None."""
    return _INSTEAD if isinstance(root, Mapping) and _INSTEAD in root else None


def without_counter(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the table that AveragedModel saves without the number of steps in it; any other as it is."""
    rest = {name: tensor for name, tensor in state.items() if name != _COUNTER}
    return rest if rest and all(name.startswith("module.") for name in rest) else state


def parted(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor], str] | None:
    """Return the last step's and the averaged weights of a table that holds both, and what the averaged ones' names
    begin with; None where it does not. Both must have the same names after it: a network may well have a part ``ema``.
    """
    for key in KEYS:
        averaged = {n.removeprefix(f"{key}."): t for n, t in state.items() if n.startswith(f"{key}.")}
        averaged = _bare(without_counter(averaged))
        if not averaged:
            continue
        plain = {name: t for name, t in state.items() if not name.startswith(f"{key}.")}
        for prefix in sorted({"", *(f"{name.partition('.')[0]}." for name in plain)}):
            found = _bare({n.removeprefix(prefix): t for n, t in plain.items() if n.startswith(prefix)})
            if averaged.keys() == found.keys():
                return found, averaged, f"{key}."
    return None


def _bare(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without ``module.``, where all names have it."""
    if not all(name.startswith("module.") for name in state):
        return state
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def _keyed(root: Mapping[Any, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key in KEYS:
        value = root.get(key)
        if value is None:
            continue
        yield f"{above}{key}", value
        for inner in _INSIDE if isinstance(value, Mapping) else ():
            if inner in value:
                yield f"{above}{key}/{inner}", value[inner]
