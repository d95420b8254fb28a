"""Signals of child processes."""

from __future__ import annotations

import signal


def heed_ctrl_c() -> None:
    """Let a child end at Ctrl-C: ``Popen(..., preexec_fn=heed_ctrl_c)``.

    A suite that runs in the background of a shell ignores SIGINT, and so would its children.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
