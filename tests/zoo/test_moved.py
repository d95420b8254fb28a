"""What moved is still found: every path of the zoo that documents and templates of version 0.1 named, and the rest."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from zoo.moved import MOVED

# Named in README, docs and templates of commit 556da86.
NAMED = [
    "zoo.api",
    "zoo.errors:UserError",
    "zoo.modules:masked_mean",
    "zoo.modules:recur",
    "zoo.parallel:whole",
    "zoo.reading:Source",
    "zoo.testing:head_checks",
    "zoo.testing:stream_checks",
    "zoo.metrics:METRICS",
]
# Modules that became packages, with what strangers took from them.
PACKAGES = ["zoo.registry:load", "zoo.registry:resolve", "zoo.weights:load_pretrained", "zoo.metrics:ccc"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", [*NAMED, *PACKAGES])
def test_a_path_that_was_named_still_leads_there(path: str) -> None:
    module, _, attribute = path.partition(":")
    found = importlib.import_module(module)
    assert not attribute or getattr(found, attribute) is not None


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_an_old_name_is_the_new_module_and_says_so(old: str, new: str) -> None:
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is {new} now"):
        found = importlib.import_module(old)
    assert found is importlib.import_module(new)
    assert found.__spec__ is not None
    assert found.__spec__.name == found.__name__ == new


def test_a_package_that_was_a_module_says_where_a_name_went() -> None:
    with pytest.warns(DeprecationWarning, match=r"zoo\.registry\.load is zoo\.registry\.registry\.load now"):
        importlib.import_module("zoo.registry").load  # noqa: B018


def test_a_module_of_such_a_package_is_taken_without_a_word() -> None:
    """Before it is loaded, too: the import asks the package first, which knows other modules by the same name."""
    for name, package in (("sealed", "zoo.weights"), ("torch_files", "zoo.weights"), ("scores", "zoo.metrics")):
        code = f"from {package} import {name}; assert {name}.__name__ == '{package}.{name}'"
        done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_what_never_was_is_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", "from zoo.metrics import nonsense"], capture_output=True, text=True)
    assert done.stderr.strip().splitlines()[-1].startswith("ImportError: cannot import name 'nonsense'")
    done = subprocess.run([sys.executable, "-c", "import zoo.nonsense"], capture_output=True, text=True)
    assert done.stderr.strip().splitlines()[-1] == "ModuleNotFoundError: No module named 'zoo.nonsense'"
