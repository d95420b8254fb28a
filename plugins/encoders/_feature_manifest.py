"""The manifest of ``features:DIR``: what the files of a folder hold, and where those of a video are."""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.files import SETTINGS, TooDeepError, name_key, parse_toml, read_bytes
from zoo.registry.suggestions import did_you_mean

MANIFEST = "features.toml"
ENDINGS = (".npy", ".npz", ".parquet", ".safetensors")
MOST = 1_000_000
"""Bound of rows a second, and of the seconds to the first row: neither is infinite or larger than a float."""
_WORDS = {"str": "text", "int": "a whole number", "float": "a number", "tuple[str, ...]": "a list of texts"}


@dataclass(frozen=True)
class Manifest:
    """Content of a folder's ``features.toml``; plugins.encoders.ready_features explains the keys."""

    folder: Path
    name: str
    width: int
    rate: str | int | float
    start: int | float = 0.0
    overlap: str = "mean"
    file: str = ""
    key: str = ""
    missing: str = "error"
    license: str = "not stated"
    source: str = "not stated"
    citation: str = ""
    trained_on: tuple[str, ...] = ()

    def find(self, video: str) -> Path | None:
        """Return a video's file, or None if there is none and the manifest allows that.

        Raises UserError if there are several, or none and the manifest does not allow that.
        """
        names = [self.file.replace("{video}", video)] if self.file else [video + ending for ending in ENDINGS]
        found = [path for name in names if (path := self.folder / name).is_file()] or self._in_another_form(names)
        if len(found) > 1:
            raise UserError(f"{found[0]} and {found[1].name} are both features of the video {video}: remove one")
        if not found and self.missing == "error":
            raise UserError(
                f"{self.folder} has no file of the video {video}: looked for {', '.join(names)}; put it there, or "
                f'write missing = "absent" into {MANIFEST}'
            )
        return found[0] if found else None

    def _in_another_form(self, names: Sequence[str]) -> list[Path]:
        """Return files whose names differ from these only in Unicode form or in the case of the ending."""
        wanted = {_form(self.folder / name) for name in names}
        folders = sorted({(self.folder / name).parent for name in names})
        files = (file for folder in folders if folder.is_dir() for file in sorted(folder.iterdir()))
        return [file for file in files if _form(file) in wanted and file.is_file()]


def _form(path: Path) -> Path:
    return path.with_name(name_key(path.stem) + path.suffix.lower())


def read_manifest(argument: str | None) -> Manifest:
    """Read the manifest of a folder. The UserError for a bad one states what is wrong and what to write."""
    if not argument:
        raise UserError("encoder 'features' needs a folder: write face=features:DIR")
    folder = Path(argument).expanduser()
    path = folder / MANIFEST
    if not path.is_file():
        what = f"the folder has no {MANIFEST}" if folder.is_dir() else "there is no such folder"
        raise UserError(
            f'features:{argument}: {what}; {MANIFEST} says what the features are: name = "...", width = NUMBERS A ROW, '
            'rate = "frame" (or rows a second, or "segment"); or name the folder of a finished run with folds'
        )
    try:
        found = parse_toml(read_bytes(path, SETTINGS).decode().replace("\r\n", "\n"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except TooDeepError:
        raise UserError(f"{path}: is nested too deeply: {MANIFEST} has keys and their values") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from None
    if "saw" in found:
        warnings.warn(f"{path}: the key 'saw' is now called 'trained_on'", stacklevel=2)
        found["trained_on"] = found.pop("saw")
    _check(path, found)
    values: dict[str, Any] = {**found, "trained_on": tuple(found.get("trained_on", ()))}
    return Manifest(folder, **values)


def _check(path: Path, found: dict[str, Any]) -> None:
    """Raise UserError if a key is unknown, missing or of the wrong type."""
    kinds = {f.name: str(f.type).split(" | ") for f in fields(Manifest) if f.name != "folder"}
    for key, value in found.items():
        if key not in kinds:
            raise UserError(f"{path}: unknown key {key!r}: {did_you_mean(key, kinds)}known are {', '.join(kinds)}")
        texts = isinstance(value, list) and all(isinstance(v, str) for v in value)
        if ("tuple[str, ...]" if texts else type(value).__name__) not in kinds[key]:
            raise UserError(f"{path}: {key} = {value!r} must be {' or '.join(_WORDS[kind] for kind in kinds[key])}")
    if lacking := [key for key in ("name", "width", "rate") if key not in found]:
        raise UserError(f"{path}: {' and '.join(lacking)} must be given")
    rate, width = found["rate"], found["width"]
    if width < 1:
        raise UserError(f"{path}: width = {width} must be at least 1")
    if rate not in ("frame", "segment") if isinstance(rate, str) else not 0 < rate <= MOST:
        raise UserError(
            f'{path}: rate = {rate!r} must be "frame" (one row a video frame), rows a second, above 0, or "segment" '
            "(rows with a start and an end)"
        )
    if not -MOST <= found.get("start", 0.0) <= MOST:
        raise UserError(f"{path}: start = {found['start']} must be seconds from the first video frame")
    if isinstance(rate, str) and "start" in found:
        said = "the first row is frame 1" if rate == "frame" else "every row has its start in the file"
        raise UserError(f'{path}: start goes with rows by the second; with rate = "{rate}" {said}')
    if found.get("overlap", "mean") not in ("mean", "nearest"):
        raise UserError(f'{path}: overlap = {found["overlap"]!r} must be "mean" or "nearest"')
    if rate != "segment" and "overlap" in found:
        raise UserError(f'{path}: overlap goes with rate = "segment"')
    if found.get("missing", "error") not in ("error", "absent"):
        raise UserError(f'{path}: missing = {found["missing"]!r} must be "error" or "absent"')
    name = found.get("file")
    if name is not None and ("{video}" not in name or not name.endswith(ENDINGS)):
        raise UserError(f"{path}: file = {name!r} must hold {{video}} and end in {', '.join(ENDINGS)}")
    if name is not None and (Path(name).is_absolute() or ".." in Path(name).parts):
        raise UserError(f"{path}: file = {name!r} must lie in the folder of {MANIFEST}; link the files into it")
