"""For the tests of the conformance checks: which rules fail."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from zoo.testing import Check


def broken(checks: Iterable[Check]) -> set[str]:
    """The names of the rules that fail. What a block raises of itself fails its author's test too."""
    failed = set()
    for check in checks:
        try:
            check()
        except Exception:
            failed.add(check.rule)
    return failed


def checks_but_learning(checks: Iterable[Check], rules: set[str]) -> list[Check]:
    """The checks without the training of `learns`, which takes longest, unless it is among the rules to be broken."""
    return [check for check in checks if check.rule != "learns" or "learns" in rules]


def unproved(module: ModuleType, cases: Iterable[tuple[Any, set[str]]]) -> set[str]:
    """The module's own rules that none of the (wrong block, rules it breaks) shows to fail."""
    own = {rule.__name__ for rule in module.RULES if rule.__module__ == module.__name__}
    return own.difference(*(rules for _, rules in cases))
