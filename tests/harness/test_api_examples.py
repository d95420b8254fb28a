"""Every part of the Python API documents its arguments, results and errors, and its examples run."""

from __future__ import annotations

import doctest
import inspect
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import harness
from leaderboards.record import read
from tests.support.media import write_click_video
from tests.support.program import Program

RUN = ("--track", "expr", "--encoders", "frame,audio", "--fusion", "late", "--epochs", 1, "--head", "gru")


def parts() -> dict[str, Any]:
    """All that is public, by its name."""
    found = {name: getattr(harness, name) for name in harness.__all__}
    own = {name: part for name, part in vars(harness.Run).items() if not name.startswith("_")}
    return {"harness": harness, **found, **{f"Run.{name}": part for name, part in own.items()}}


PARTS = parts()


class Lenient(doctest.OutputChecker):
    """What an example says that it prints is compared; where it says nothing it may print progress."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return not want or super().check_output(want, got, optionflags)


@pytest.fixture(scope="module")
def place(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that the examples are run in."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(program.kept(*RUN), folder / "runs" / "mine")
    record = folder / "runs" / "mine" / "record.json"
    replace(read(record), name="mine").write(record)
    (folder / "demo").symlink_to(program.demo, target_is_directory=True)
    write_click_video(folder / "video.mp4", n_frames=20, click_frame=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ABAW_ZOO_CACHE", str(program.cache))
        patch.chdir(folder)
        yield folder


LONG = ("sweep",)  # it trains several runs


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in LONG else []) for n in PARTS])
def test_an_example_runs(name: str, place: Path) -> None:
    doc = inspect.getdoc(PARTS[name])
    assert doc is not None
    test = doctest.DocTestParser().get_doctest(doc, {}, name, None, None)
    assert test.examples, "it has no example"
    said: list[str] = []
    outcome = doctest.DocTestRunner(Lenient(), optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert outcome.failed == 0, "".join(said)
    assert outcome.attempted == len(test.examples)


@pytest.mark.parametrize("name", [name for name, part in PARTS.items() if inspect.isfunction(part)])
def test_a_function_says_what_it_takes_gives_and_raises(name: str) -> None:
    function = PARTS[name]
    doc, signature = inspect.getdoc(function) or "", inspect.signature(function)
    sections = [line for line in doc.splitlines() if line in ("Args:", "Returns:", "Raises:", "Examples:")]
    assert sections == ["Args:", "Returns:", "Raises:", "Examples:"]
    for parameter in signature.parameters:
        assert parameter == "self" or f"    {parameter}: " in doc, parameter


def test_a_wrong_example_would_be_found(place: Path) -> None:
    wrong = ">>> import harness\n>>> harness.load(\"runs/mine\").record.status\n'failed'\n"
    test = doctest.DocTestParser().get_doctest(wrong, {}, "wrong", None, None)
    assert doctest.DocTestRunner(Lenient()).run(test, out=lambda text: None).failed == 1
