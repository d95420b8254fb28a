"""The whole program on a tiny demo set, in this process."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
from filelock import FileLock

from tests.support.refusals import refused
from zoo.errors import UserError

CRUMB_VIDEOS = (4, 2, 2)
CRUMB_FRAMES = 24


built = functools.cache(typer.main.get_command)
"""The commands of an application; building them takes longer than running most of them."""


@dataclass(frozen=True)
class Answer:
    """Outcome of a command; ``error``: the error that it was refused with."""

    code: int
    out: str
    err: str
    error: UserError | None = None

    def __iter__(self) -> Iterator[Any]:
        """Yield exit code, output and error output."""
        return iter((self.code, self.out, self.err))

    def refused(self, code: str, /, *, match: str = "", **fields: Any) -> None:
        """Assert that the command ended with this error (`tests.support.refusals.refused`) and its exit code."""
        assert self.code == 2, self
        refused(code, match=match, **fields).check(self.error)


@dataclass(frozen=True)
class Program:
    """``harness`` with a cache of its own; ``demo``: the tiny demo set."""

    cache: Path
    demo: Path

    def __call__(self, *args: object) -> Answer:
        """Run a command line in the same way as ``main``."""
        from harness import cli

        out, err = io.StringIO(), io.StringIO()
        code: Any = 0
        error = None
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setenv("ABAW_ZOO_CACHE", str(self.cache))
            patch.setattr(sys, "argv", ["harness", *map(str, args)])
            patch.setattr(warnings, "showwarning", warnings.showwarning)  # main replaces it
            patch.setattr(typer.main, "get_command", built)
            try:
                cli.main()
            except SystemExit as end:
                code = end.code
                error = _alone(end.__cause__)
        return Answer(int(code or 0), out.getvalue(), err.getvalue(), error)

    def run(self, out: Path, name: str, *args: object) -> Path:
        """Train on the tiny set, with two slots if none are named, and return the run's folder. The run must succeed."""
        slots = () if "--encoders" in args or "--recipe" in args else ("--encoders", "face,context")
        answer = self("run", "--data", self.demo, "--out", out, "--name", name, *slots, *args)
        assert answer.code == 0, answer.err + answer.out
        return out / name

    def kept(self, *args: object) -> Path:
        """Train as `run` does, once for all tests of all workers with the same arguments; copy what you change.

        A test that evaluates, submits or resumes a run changes its folder.
        """
        place = self.cache.parent / "kept" / hashlib.sha256(repr(args).encode()).hexdigest()[:12]
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock"):
            if not (place / "whole").exists():
                shutil.rmtree(place, ignore_errors=True)  # an interrupted worker left a part
                self.run(place, "r", *args)
                (place / "whole").touch()
        return place / "r"


def _alone(cause: BaseException | None) -> UserError | None:
    """Return an error without its frames, which would keep objects alive that must end with a process."""
    if not isinstance(cause, UserError):
        return None
    cause.__cause__ = cause.__context__ = None
    return cause.with_traceback(None)


def read_record(folder: Path) -> dict[str, Any]:
    """Return a run's record as plain JSON."""
    content: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return content
