"""Bounds of option values name what is out of them."""

from __future__ import annotations

import pytest

from zoo.errors import UserError
from zoo.layers.validation import at_least, fraction


def test_values_within_bounds_pass():
    at_least("head x", 1, hidden=1, layers=7)
    at_least("head x", 0, balance=0.0)
    fraction("head x", dropout=0.0, noise=0.99)


def test_the_first_value_that_is_too_small_is_named():
    with pytest.raises(UserError, match=r"^head x: layers is 0; give at least 1$"):
        at_least("head x", 1, hidden=5, layers=0, heads=-1)


@pytest.mark.parametrize("value", [-0.1, 1.0, 2.0])
def test_what_is_no_share_is_named(value):
    with pytest.raises(UserError, match=f"^head x: dropout is {value}; give 0 or more, and less than 1$"):
        fraction("head x", dropout=value)
