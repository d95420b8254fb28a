"""The program as its user meets it: in an empty folder, with all that appears on the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.program import Answer, Program


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one."""
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def harness(program: Program, place: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run a command line in an empty folder. What libraries write past Python (libav does) counts as its output."""

    def call(*arguments: object) -> Answer:
        capfd.readouterr()
        answer = program(*arguments)
        past = capfd.readouterr()
        return replace(answer, out=answer.out + past.out, err=answer.err + past.err)

    return call
