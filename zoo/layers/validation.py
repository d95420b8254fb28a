"""Bounds of option values, in one line for a person. Light."""

from __future__ import annotations

from zoo.errors import UserError


def at_least(who: str, least: float, **options: float) -> None:
    """UserError naming the first option under ``least``: ``at_least("fusion gated", 1, hidden=hidden)``."""
    for name, value in options.items():
        if value < least:
            raise UserError("option-too-small", who=who, name=name, value=value, least=least)


def fraction(who: str, **options: float) -> None:
    """UserError naming the first option that is no share: 0 or more, and less than 1."""
    for name, value in options.items():
        if not 0 <= value < 1:
            raise UserError("option-not-a-share", who=who, name=name, value=value)
