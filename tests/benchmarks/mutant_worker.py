"""Runs pytest again and again, each time in a fresh child that has the large libraries imported already.

A program of its own, ``mutant_worker.py LIMIT LIBRARY ...``. On each line of its input it gets a JSON list, pytest's
arguments; on each line of its output it gives a JSON list, the exit code and the text. Nothing of this project is
imported before a child begins, so each child sees the project's files as they are then.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import tempfile
import time

import pytest


def run(arguments: list[str], limit: float) -> tuple[int, str]:
    """Run pytest in a child; its exit code, -1 if it was killed after ``limit`` seconds, and what it printed."""
    with tempfile.TemporaryFile("w+") as output:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            os.setpgid(0, 0)
            code = 70
            try:
                code = int(pytest.main(arguments))
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        code = _wait(child, time.monotonic() + limit)
        output.seek(0)
        return code, output.read()


def _wait(child: int, until: float) -> int:
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


def main(limit: float, libraries: list[str]) -> None:
    """Import what is large, then answer line by line."""
    for name in libraries:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        answers.write(json.dumps(run(json.loads(line), limit)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
