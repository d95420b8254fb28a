"""Data, training, evaluation, submissions and the command line; from Python, ``harness.load`` and its like.

>>> import harness
>>> run = harness.load("runs/mine")
>>> table = run.predict("video.mp4")  # pandas, one row a frame

See ``harness.api``. Importing this loads neither torch nor pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import Run, compare, encoders, evaluate, load, predict, run, sweep

__all__ = ["Run", "compare", "encoders", "evaluate", "load", "predict", "run", "sweep"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from harness import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
