"""Range checks of option values, with one-line errors. No heavy imports."""

from __future__ import annotations

from zoo.errors import UserError


def at_least(who: str, least: float, **options: float) -> None:
    """Raise UserError for the first option below a bound.

    Args:
        who: The block, for the message.
        least: The bound.
        **options: Option values by name.

    Raises:
        UserError: An option is less than ``least``.

    Examples:
        >>> from zoo.layers.validation import at_least
        >>> at_least("fusion gated", 1, hidden=32, layers=2)
    """
    for name, value in options.items():
        if value < least:
            raise UserError("option-too-small", who=who, name=name, value=value, least=least)


def between(who: str, low: float, high: float, /, **options: float) -> None:
    """Raise UserError for the first option outside [low, high].

    Args:
        who: The block, for the message.
        low: The lowest allowed value.
        high: The highest allowed value.
        **options: Option values by name.

    Raises:
        UserError: An option is less than ``low`` or greater than ``high``.

    Examples:
        >>> from zoo.layers.validation import between
        >>> between("augmentation flip", 0, 1, p=0.5)
    """
    for name, value in options.items():
        if not low <= value <= high:
            raise UserError("option-out-of-range", who=who, name=name, value=value, low=low, high=high)


def ordered(who: str, *, low: float, high: float) -> None:
    """Raise UserError if the option ``low`` is greater than the option ``high``.

    Args:
        who: The block, for the message.
        low: The lower end of a range.
        high: The upper end of a range.

    Raises:
        UserError: ``low`` is greater than ``high``.

    Examples:
        >>> from zoo.layers.validation import ordered
        >>> ordered("augmentation crop", low=0.7, high=1.0)
    """
    if low > high:
        raise UserError("option-range-reversed", who=who, low=low, high=high)


def fraction(who: str, **options: float) -> None:
    """Raise UserError for the first option outside [0, 1).

    Args:
        who: The block, for the message.
        **options: Option values by name.

    Raises:
        UserError: An option is negative, or 1 or more.

    Examples:
        >>> from zoo.layers.validation import fraction
        >>> fraction("head live", dropout=0.1)
    """
    for name, value in options.items():
        if not 0 <= value < 1:
            raise UserError("option-not-a-share", who=who, name=name, value=value)
