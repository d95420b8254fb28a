"""The examples in the reference of the zoo run, and none of them can vanish unnoticed."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import zoo.layers

LEAST = {"zoo.api": 23, "zoo.modules": 15, "zoo.losses": 12, "zoo.layers": 12, "zoo.readers": 6, "zoo.testing": 7}
"""Examples on each page of docs/reference/; raise a number if you add one."""


def members(page: str) -> Iterator[tuple[str, Any]]:
    """All public classes, functions and methods on a page of the reference, by their names."""
    modules = [importlib.import_module(page)]
    if page == "zoo.layers":
        modules += [
            importlib.import_module(f"{page}.{part.name}") for part in pkgutil.iter_modules(zoo.layers.__path__)
        ]
    for module in modules:
        own = [name for name, part in vars(module).items() if getattr(part, "__module__", "") == module.__name__]
        for name in getattr(module, "__all__", own):
            part = getattr(module, name)
            if inspect.isclass(part):
                yield from ((f"{name}.{k}", v) for k, v in vars(part).items() if inspect.isroutine(v) and k[0] != "_")
            if name[0] != "_" and (inspect.isclass(part) or inspect.isfunction(part)):
                yield name, part


FOUND = {
    f"{page}.{name}": doc
    for page in LEAST
    for name, part in members(page)
    if ">>>" in (doc := inspect.cleandoc(part.__doc__ or ""))
}


@pytest.mark.parametrize("name", FOUND)
def test_an_example_runs(name: str) -> None:
    test = doctest.DocTestParser().get_doctest(FOUND[name], {}, name, None, None)
    said: list[str] = []
    outcome = doctest.DocTestRunner().run(test, out=said.append)
    assert outcome.failed == 0, "".join(said)
    assert outcome.attempted == len(test.examples) > 1


@pytest.mark.parametrize("name", FOUND)
def test_an_example_is_set_as_code_in_the_reference(name: str) -> None:
    """A section ``Example:`` would be shown as quoted running text."""
    assert "\n\nExamples:\n    >>> " in FOUND[name]


def test_no_example_has_vanished() -> None:
    count = Counter(".".join(name.split(".")[:2]) for name in FOUND)
    assert {page: count[page] for page in LEAST if count[page] < LEAST[page]} == {}
