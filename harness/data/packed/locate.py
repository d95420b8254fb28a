"""Which pack a command uses."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from harness.data.packed.metadata import FOLDER
from zoo.errors import UserError

NONE = "none"


def find_pack(root: Path, named: str | None) -> Path | None:
    """The pack of a data folder: the one that is ``named`` (data.pack), else the folder's own; None where there is
    none, or where ``none`` is named. UserError where the named one is not there."""
    if named == NONE:
        return None
    pack = Path(named) if named else root / FOLDER
    if pack.is_dir():
        return pack
    if named:
        raise UserError("pack-folder-missing", named=named, root=root)
    return None


def stored_as(pack: Path | None, streams: Iterable[str]) -> dict[str, dict[str, int]]:
    """How a pack stores the pictures of streams that are not what the data folder has, for the record: stream ->
    size and quality of one of its files."""
    out = {}
    for stream in streams:
        for path in sorted((pack / stream).glob("*.json"))[:1] if pack else ():
            settings = json.loads(path.read_bytes()).get("settings", {})
            if "quality" in settings:
                out[stream] = {key: settings[key] for key in ("size", "quality")}
    return out
