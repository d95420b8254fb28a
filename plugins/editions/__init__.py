"""The ABAW competitions: what each track asks for, how it is judged and handed in. Light: descriptions only."""

from __future__ import annotations

from plugins.editions import abaw1, abaw2, abaw3, abaw4, abaw5, abaw6, abaw7, abaw8, abaw9, abaw10, abaw11
from zoo import api


@api.hookimpl
def editions() -> list[api.EditionSpec]:
    """The editions that are built in."""
    modules = (abaw1, abaw2, abaw3, abaw4, abaw5, abaw6, abaw7, abaw8, abaw9, abaw10, abaw11)
    return [module.EDITION for module in modules]
