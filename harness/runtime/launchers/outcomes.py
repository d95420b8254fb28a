"""The results of a launcher: one for each item, or the reason why there is none."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from zoo.errors import Stopped, UserError
from zoo.files import is_full, reason_of
from zoo.text import visible

Outcome = tuple[int, Any]


@dataclass(frozen=True)
class Failure:
    """An item without a result.

    ``reason``: why, in one line; ``item``: the video or file, if the caller has to know which it was; ``trace``: the
    traceback if the fault is in a program.
    """

    reason: str
    item: str = ""
    trace: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.reason


class Launch(Protocol):
    """A callable that yields (index in ``items``, result or Failure) as they finish.

    ``workers``: number of items worked on at once; ``remote``: True if workers may be on other machines.
    """

    workers: int
    remote: bool

    def __call__(self, task: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Outcome]:
        """Do all items, each in some worker."""
        ...


def attempt(task: Callable[[Any], Any], item: Any) -> Any:
    """Return the task's result, or a Failure; a worker calls this for each item."""
    try:
        return task(item)
    except (Stopped, KeyboardInterrupt):
        return Failure("stopped by the user")
    except Exception as error:
        return failure_of(error)


def failure_of(error: Exception) -> Failure:
    """Return the Failure for an exception, with a traceback unless it is a UserError."""
    if isinstance(error, UserError):
        return Failure(str(error))
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, OSError) and is_full(error):
        text = f"{error.filename or 'a file'}: {reason_of(error)}; make room and run the same command again"
    return Failure(visible(text), trace="".join(traceback.format_exception(error)))
