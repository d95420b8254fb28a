"""The ABAW competitions: what each track asks for, how it is judged and handed in. Light: descriptions only."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from zoo import api


@api.hookimpl
def editions() -> list[api.EditionSpec]:
    """The editions that are built in, by number: one file each, which is all that a further one takes."""
    names = (module.name.removeprefix("abaw") for module in iter_modules(__path__))
    numbers = sorted(int(name) for name in names if name.isdigit())
    return [import_module(f"{__name__}.abaw{number}").EDITION for number in numbers]
