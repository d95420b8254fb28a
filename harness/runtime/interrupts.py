"""Handle Ctrl-C and SIGTERM between two steps."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CONTINUE = "a run with `harness run --resume FOLDER`, a pretraining with `harness pretrain --resume FOLDER`"
"""The commands that continue a training; they refuse the options that it was started with."""


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns True once Ctrl-C or SIGTERM asked to stop; a second signal ends the program.

    The loop calls it after each step, so that the current step is finished.
    """
    asked: list[int] = []

    def handler(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    try:
        before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread, which alone receives signals
        before = {}
    try:
        yield lambda: bool(asked)
    finally:
        for number, old in before.items():
            signal.signal(number, old)
