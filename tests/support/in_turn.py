"""Workers of a sweep without processes of their own, each of which would import PyTorch for ten seconds."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from harness.runtime.launchers import Outcome, attempt


class InTurn:
    """A launcher that does one item after the other in this process; whatever a process would be sent is pickled."""

    remote = False

    def __init__(self, workers: int, devices: Sequence[str] = ()) -> None:
        self.workers, self.devices = workers, devices

    def __call__(self, task: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Outcome]:
        for place, item in enumerate(items):
            sent = pickle.loads(pickle.dumps((task, item)))
            yield place, pickle.loads(pickle.dumps(attempt(*sent)))

    def close(self) -> None:
        """Do nothing: there is nothing to end."""
