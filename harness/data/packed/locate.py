"""Find the pack that a command uses."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from harness.data.packed.metadata import FOLDER
from zoo.errors import UserError

NONE = "none"


def find_pack(root: Path, named: str | None) -> Path | None:
    """Return the pack of a data folder: the ``named`` one (data.pack), or else the folder's own.

    Return None if there is none, or if ``named`` is "none". Raise UserError if the named pack does not exist.
    """
    if named == NONE:
        return None
    pack = Path(named) if named else root / FOLDER
    if pack.is_dir():
        return pack
    if named:
        raise UserError("pack-folder-missing", named=named, root=root)
    return None


def stored_as(pack: Path | None, streams: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return stream -> size and quality of one of its files, for the record.

    Only streams whose pictures are encoded anew are included; face crops keep their original bytes.
    """
    out = {}
    for stream in streams:
        for path in sorted((pack / stream).glob("*.json"))[:1] if pack else ():
            settings = json.loads(path.read_bytes()).get("settings", {})
            if "quality" in settings:
                out[stream] = {key: settings[key] for key in ("size", "quality")}
    return out
