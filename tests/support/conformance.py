"""Helpers for the tests of the conformance checks: names of the rules that fail."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from zoo.testing import Check


def broken(checks: Iterable[Check]) -> set[str]:
    """Return the names of the rules that fail. An error that the block itself raises counts as a failure."""
    failed = set()
    for check in checks:
        try:
            check()
        except Exception:
            failed.add(check.rule)
    return failed


def checks_but_learning(checks: Iterable[Check], rules: set[str]) -> list[Check]:
    """Return the checks without the training of `learns`, which takes longest, unless that rule is expected to fail."""
    return [check for check in checks if check.rule != "learns" or "learns" in rules]


def unproved(module: ModuleType, cases: Iterable[tuple[Any, set[str]]]) -> set[str]:
    """Return the module's own rules that no case, a (wrong block, rules it breaks), shows to fail."""
    own = {rule.__name__ for rule in module.RULES if rule.__module__ == module.__name__}
    return own.difference(*(rules for _, rules in cases))
