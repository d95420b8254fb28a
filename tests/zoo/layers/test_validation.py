"""Bounds of option values name what is out of them."""

from __future__ import annotations

import pytest

from tests.support.refusals import refused
from zoo.layers.validation import at_least, fraction


def test_values_within_bounds_pass():
    at_least("head x", 1, hidden=1, layers=7)
    at_least("head x", 0, balance=0.0)
    fraction("head x", dropout=0.0, noise=0.99)


def test_the_first_value_that_is_too_small_is_named():
    with refused("option-too-small", who="head x", name="layers", value=0, least=1):
        at_least("head x", 1, hidden=5, layers=0, heads=-1)


@pytest.mark.parametrize("value", [-0.1, 1.0, 2.0])
def test_what_is_no_share_is_named(value):
    with refused("option-not-a-share", who="head x", name="dropout", value=value):
        fraction("head x", dropout=value)
