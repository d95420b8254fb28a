"""Plugin files of a finished run: code, used only if the user names them and the record has their digests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from leaderboards.record import Record
from zoo.errors import UserError
from zoo.files import file_sha256

_PLUGIN_FILE = re.compile(r"(.+) sha256 ([0-9a-f]{64})")


def trusted_plugins(
    folder: Path, named: Sequence[str], record: Record | None, given: Sequence[Path]
) -> tuple[Path, ...]:
    """Return the plugin files that may be loaded for a run: those that the user gives.

    Args:
        folder: The run, or its record, for errors.
        named: The plugin files that its config.toml names.
        record: Its record, which has the digests of the plugin files that it used.
        given: The plugin files that the user names.

    Raises:
        UserError: A file that the run needs is not given, or a given file is not the recorded one.
    """
    recorded, digests = _recorded(record), {_digest(path): path for path in given}
    for sha256, path in digests.items():
        if sha256 not in recorded:
            known = ", ".join(f"{name} {digest[:12]}" for digest, name in recorded.items()) or "no plugin file"
            raise UserError("run-plugin-other", folder=folder, file=path, found=sha256[:12], known=known)
    names = {Path(name).name for name in named}
    for sha256, name in recorded.items():
        if name in names and sha256 not in digests:
            raise UserError("run-plugin-not-named", folder=folder, name=name, sha256=sha256[:12])
    if record is None and names:
        raise UserError("run-plugin-not-recorded", folder=folder, names=", ".join(sorted(names)))
    return tuple(given)


def plugins_of(given: Sequence[Path], records: Mapping[Path, Record]) -> dict[Path, tuple[Path, ...]]:
    """Return, for every run, the given plugin files whose digests its record has.

    Raise UserError for a file that is in no record.
    """
    own = {folder: own_plugins(given, record) for folder, record in records.items()}
    for path in given:
        if not any(path in files for files in own.values()):
            folder, record = next(iter(records.items()))
            trusted_plugins(folder, (), record, [path])
    return own


def own_plugins(given: Sequence[Path], record: Record) -> tuple[Path, ...]:
    """Return the given plugin files whose digests a run's record has."""
    return tuple(path for path in given if _digest(path) in _recorded(record))


def plugin_names(record: Record) -> tuple[str, ...]:
    """Return the names of the plugin files that a run used."""
    return tuple(_recorded(record).values())


def _recorded(record: Record | None) -> dict[str, str]:
    """Return sha256 -> name of the plugin files that a run used."""
    found = (_PLUGIN_FILE.fullmatch(str(text)) for text in (record.result.get("plugins") if record else None) or ())
    return {match[2]: match[1] for match in found if match}


def _digest(path: Path) -> str:
    if not path.is_file():
        raise UserError("run-plugin-missing", file=path)
    return file_sha256(path)
