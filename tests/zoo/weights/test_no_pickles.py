"""No pickle is run anywhere: whatever could run one is named here, and the code base is searched for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from harness.training.checkpoint import load_state
from tests.support.paths import ROOT
from tests.support.refusals import refused

MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "yaml"}


def found(source: str) -> Iterator[str]:
    """What in a source could run a pickle or a text as code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in MODULES or (
                node.module in ("torch", "numpy", "pandas") and {n.name for n in node.names} & {"load", "read_pickle"}
            ):
                yield f"from {node.module}"
        elif isinstance(node, ast.Call):
            yield from _call(ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords})


def _call(name: str, words: dict[str | None, str]) -> Iterator[str]:
    last = name.rpartition(".")[2]
    if name in ("eval", "exec") or last in ("read_pickle", "to_pickle", "Unpickler"):
        yield name
    elif name in ("torch.load", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter"):
        if name != "torch.load" or words.get("weights_only") != "True":
            yield name
    elif last == "load_state_dict_from_url":
        yield name
    if words.get("allow_pickle", "False") != "False":
        yield f"{name}(allow_pickle)"


@pytest.mark.parametrize("package", ["zoo", "plugins", "harness", "leaderboards"])
def test_nothing_loads_a_pickle(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    assert {str(f.relative_to(ROOT)): bad for f in files if (bad := list(found(f.read_text(encoding="utf-8"))))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.memory",
        "torch.load(path)",
        "from torch import load",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "torch.jit.load(path)",
        "torch.hub.load('a/b', 'c')",
        "eval(text)",
        "model_zoo.load_state_dict_from_url(url)",
    ],
)
def test_the_search_finds_what_it_is_for(source: str) -> None:
    assert list(found(source))


@pytest.mark.parametrize(
    "source",
    ["torch.load(path, weights_only=True)", "np.load(path)", "np.load(path, allow_pickle=False)", "net.eval()"],
)
def test_the_search_lets_the_safe_ways_pass(source: str) -> None:
    assert list(found(source)) == []


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.mkdir, (self.mark,)


def test_a_training_state_runs_nothing(tmp_path: Path) -> None:
    torch.save({"epoch": 1, "model": Bomb(tmp_path / "ran")}, tmp_path / "state.ckpt")
    with refused("checkpoint-unreadable"):
        load_state(tmp_path / "state.ckpt")
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "state.ckpt", weights_only=False)
    assert (tmp_path / "ran").exists(), "the bomb is a dud: this test shows nothing"
