"""The ABAW competitions: what each track asks for, how it is judged and handed in. Light: descriptions only."""

from __future__ import annotations

from plugins.editions import abaw2, abaw10, abaw11
from zoo import api


@api.hookimpl
def editions() -> list[api.EditionSpec]:
    """The editions that are built in."""
    return [abaw2.EDITION, abaw10.EDITION, abaw11.EDITION]
