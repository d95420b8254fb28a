"""Find averaged weights (EMA, SWA) in weight files that also have those of the last step.

They are stored in one of these ways: a table next to the other (timm's ``state_dict_ema``), a network or an object's
state that contains one (``ema``), a callback's state (Lightning), or one table with both (``ema_model.``, as saved by a
module that holds its own average). Lightning's WeightAveraging puts the averaged weights where the others are
expected: Lightning loads those, and they are loaded here too, asked for or not.
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
_COUNTER = "n_averaged"  # torch.optim.swa_utils.AveragedModel stores it next to its module
_INSTEAD = "current_model_state"  # the last step's weights in Lightning's WeightAveraging; its state_dict is averaged


def places(root: Any) -> Iterator[tuple[str | None, Any]]:
    """Yield the possible places of averaged weights in a file's content, and the values there; the likeliest first.

    A place of None is the content itself.
    """
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
    """Return the key of the last step's weights if the usual key holds averaged ones, else None."""
    return _INSTEAD if isinstance(root, Mapping) and _INSTEAD in root else None


def without_counter(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a table saved by AveragedModel without its number of steps; any other table unchanged."""
    rest = {name: tensor for name, tensor in state.items() if name != _COUNTER}
    return rest if rest and all(name.startswith("module.") for name in rest) else state


def parted(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor], str] | None:
    """Split a table that holds both kinds of weights into the last step's, the averaged ones, and the latter's prefix.

    Return None if the table does not hold both. Without the prefix both must have the same names, because a network may
    have a part called ``ema``.
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
    """Remove ``module.`` if all names have it."""
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
