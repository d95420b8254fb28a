"""Signals of child processes, and a time limit for what could wait for ever."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


def heed_ctrl_c() -> None:
    """Let a child end at Ctrl-C: ``Popen(..., preexec_fn=heed_ctrl_c)``.

    A suite that runs in the background of a shell ignores SIGINT, and so would its children.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in the main thread if the block takes longer, also while it waits for a file."""

    def stop(number: int, frame: object) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
