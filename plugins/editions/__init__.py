"""The ABAW competitions: tracks, metrics and submission formats. The package is light: it holds only descriptions."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from zoo import api


@api.hookimpl
def editions() -> list[api.EditionSpec]:
    """Return the built-in editions, sorted by number. Each is one file ``abaw<number>.py``, found by its name."""
    names = (module.name.removeprefix("abaw") for module in iter_modules(__path__))
    numbers = sorted(int(name) for name in names if name.isdigit())
    return [import_module(f"{__name__}.abaw{number}").EDITION for number in numbers]
