"""A short count of every reader; the whole one is `fuzz.py`, ten thousand inputs each. And: a crash is one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks import fuzz
from tests.benchmarks import fuzz_inputs as made
from tests.benchmarks.fuzz_seeds import make_demo_set
from tests.benchmarks.fuzz_targets import targets
from tests.benchmarks.fuzz_worker import Target, count
from zoo.errors import UserError


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_demo_set(tmp_path_factory.mktemp("fuzz") / "demo")


@pytest.mark.parametrize("inputs", [4, pytest.param(100, marks=pytest.mark.fuzz)])
def test_every_reader_answers_or_refuses(demo: Path, tmp_path: Path, inputs: int) -> None:
    counts = [count(make(), tmp_path / str(i), inputs, 0) for i, make in enumerate(targets(demo).values())]
    assert not [(c.name, c.first) for c in counts if c.crashes]
    assert {c.inputs for c in counts} == {inputs}
    assert sum(c.refused for c in counts) > inputs * len(counts) / 2


def misbehaving(read: Callable[[Path], object]) -> Target:
    """A reader that takes the seed and does something to everything else."""

    def reader(path: Path) -> object:
        return None if path.read_bytes() == b"sound" else read(path)

    return Target("x", "x.txt", (b"sound",), made.texts(), reader, (UserError,))


def says(text: str) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        raise UserError(text.format(path))

    return read


def writes(path: Path) -> object:
    return (path.parent.parent / "outside").write_text("x")


def starts(path: Path) -> object:
    return os.system("true")


def grows(path: Path) -> object:
    return len(bytearray(2 << 30))


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (lambda path: {}["key"], "KeyError"),
        (says("{}\ngo on"), None),  # a UserError shows line ends as escapes
        (says("wrong"), "names no file"),
        (says("{}" + 4000 * "x"), "more than 3,000 characters"),
        (writes, "outside the folder: open"),
        (lambda path: os.listdir(path.parents[2]), "outside the folder: os.listdir"),
        (starts, "outside the folder: os.system"),
        (grows, "MemoryError"),
        (lambda path: os.fspath(path), None),
    ],
)
def test_what_counts_as_a_crash(tmp_path: Path, read: Callable[[Path], object], what: str | None) -> None:
    found = count(misbehaving(read), tmp_path, 6, 0)
    assert found.inputs == 6
    assert [key for key in found.crashes if what is None or what not in key] == []
    assert bool(found.crashes) == (what is not None)


@pytest.mark.fuzz
def test_the_script_counts_in_processes_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["fuzz.py", "record", "index, groups.csv", "--inputs", "20", "--json", str(tmp_path / "out.json")]
    monkeypatch.setattr("sys.argv", given)
    with pytest.raises(SystemExit) as end:
        fuzz.main()
    assert end.value.code == 0
    found = json.loads((tmp_path / "out.json").read_text())
    assert {one["name"]: one["inputs"] for one in found["readers"]} == {"record": 20, "index, groups.csv": 20}
