"""``record.json``: a run's settings, its scores, and the circumstances.

    {"schema": 1, "name": "...", "status": "done", "reason": null,
     "scores": {"raw": {"main", "low", "high"}, "post": {...}},   copied from the result, to be read at a glance
     "result": {...},                                             what the same command gives again, hashed
     "result_sha256": "...",                                      of the canonical JSON of the result
     "circumstances": {...},                                      time, host, commit: may differ
     "record_sha256": "..."}                                      of all the rest; records of 0.1 have none

A record can be read for ever without the rest of the project: keys that a later version adds are kept, not refused.
If the format changes: see ``SCHEMA``.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from leaderboards.blocks import Circumstances, Interval, Result

__all__ = ["SCHEMA", "Record", "RecordError", "Status", "canonical", "digest", "read", "replace_file"]

SCHEMA = 1
"""Format version of records.

Adding keys does not change it: readers take the keys that they know and use ``get`` for the rest. It is increased if a
key is renamed, removed, or changes its meaning, so that an old reader would be wrong. To increase it:

1. first put real records of the last version with the old number into tests/leaderboards/records/schema-<old>/, one of
   each kind of run (those of 1 are there; none is ever changed or removed);
2. add to ``_UPGRADES`` the function that turns the content of a record of the old number into one of the new (the
   digest is checked before, on what was written);
3. increase the number. Records of every number must load for ever, which
   tests/leaderboards/test_record_schemas.py checks.
"""
_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""Schema number -> function that turns a record's content into that of the next number."""
_BARE = {
    **dict.fromkeys(("face", "body", "context", "frame"), "lite0"),
    "audio": "melcnn",
    "landmarks": "facemesh",
    "pose": "blazepose",
}
"""Stream -> the encoder of a branch that was recorded by its stream alone, before records named all of them."""
Status = Literal["done", "failed", "interrupted", "running"]


class RecordError(ValueError):
    """A record that cannot be read; its text is one line for a person and names the file."""


@dataclass
class Record:
    """One run. ``reason``: why it is not done, one line. ``later``: keys from versions newer than this program."""

    name: str
    status: Status
    reason: str | None = None
    result: Result = field(default_factory=Result)
    circumstances: Circumstances = field(default_factory=Circumstances)
    later: dict[str, Any] = field(default_factory=dict)

    @property
    def scores(self) -> dict[str, Interval]:
        """The main scores of the result: kind of score -> main, low, high."""
        blocks = self.result.get("scores") or {}
        return {kind: {"main": b.get("main"), "low": b.get("low"), "high": b.get("high")} for kind, b in blocks.items()}

    @property
    def encoders(self) -> str:
        """Its input branches, each with its encoder: the default of its time where an older record leaves it out."""
        text = str((self.result.get("combination") or {}).get("encoders") or "")
        return text if text.startswith("ensemble of ") else ",".join(map(_named, text.split(",")))

    @property
    def result_sha256(self) -> str:
        """The digest of the result: equal results, equal digests."""
        return digest(self.result)

    def write(self, path: Path) -> None:
        """Write the record to ``path`` atomically; the old file stays if this fails (OSError)."""
        content = {
            "schema": SCHEMA,
            "name": self.name,
            "status": self.status,
            "reason": self.reason,
            "scores": self.scores,
            "result": self.result,
            "result_sha256": self.result_sha256,
            "circumstances": self.circumstances,
            **self.later,
        }
        content[_WHOLE] = digest(content)
        text = json.dumps(_plain(content), indent=1, allow_nan=False) + "\n"
        replace_file(path, text.encode())


def _named(branch: str) -> str:
    """``face`` -> ``face=lite0``; what names its encoder, or was never a built-in stream, stays as it is."""
    branch = branch.strip()
    stream = branch.partition(".")[0]
    return f"{branch}={_BARE[stream]}" if "=" not in branch and stream in _BARE else branch


def read(path: Path) -> Record:
    """Return the record at ``path``; raise RecordError if it is not a record, is too new, or was changed."""
    content = _load(path)
    try:
        _check_digest(content)
        for number in range(content["schema"], SCHEMA):
            content = _UPGRADES[number](content)
        return Record(
            name=_checked(content, "name", str),
            status=_status(content),
            reason=_checked(content, "reason", str, type(None)),
            result=_checked(content, "result", dict),
            circumstances=_checked(content, "circumstances", dict),
            later={key: value for key, value in content.items() if key not in _KNOWN},
        )
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from None
    except RecursionError:
        raise RecordError(f"{path}: is not the record of a run: it is nested too deeply") from None


_WHOLE = "record_sha256"
_KNOWN = {"schema", "name", "status", "reason", "scores", "result", "result_sha256", "circumstances", _WHOLE}


def canonical(value: Any) -> str:
    """Return JSON that is the same for the same content.

    Keys are sorted, floats are the shortest that read back the same, there are no spaces; numbers that are not finite
    become null, NumPy's numbers and arrays become plain ones. Raise TypeError for anything else.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """Return the sha256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def replace_file(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` via a temporary file next to it, synced to disk before it is renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for each thread.
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.exists() and not path.is_file():  # reading a named pipe would block for ever
            raise RecordError(f"{path}: cannot be read: it is no regular file")
        content = json.loads(path.read_text(encoding="utf-8"))
        # Half a surrogate pair would fail later, when a table is written: raise for it here.
        json.dumps(content, ensure_ascii=False).encode()
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: is not JSON: {error}") from None
    if not isinstance(content, dict) or type(content.get("schema")) is not int:
        raise RecordError(f"{path}: is not the record of a run: it has no schema number")
    if content["schema"] > SCHEMA:
        raise RecordError(
            f"{path}: has schema {content['schema']}, this program reads up to {SCHEMA}; update the program"
        )
    if content["schema"] < 1:
        raise RecordError(f"{path}: is not the record of a run: there never was a schema {content['schema']}")
    return content


def _checked(content: Mapping[str, Any], key: str, *types: type) -> Any:
    if key not in content or not isinstance(content[key], types):
        names = " or ".join("null" if t is type(None) else t.__name__ for t in types)
        raise ValueError(f"{key!r} is missing or no {names}")
    return content[key]


def _status(content: Mapping[str, Any]) -> Status:
    status = _checked(content, "status", str)
    if status not in get_args(Status):
        raise ValueError(f"unknown status {status!r}; known: {', '.join(get_args(Status))}")
    known: Status = status
    return known


def _check_digest(content: Mapping[str, Any]) -> None:
    if digest(_checked(content, "result", dict)) != _checked(content, "result_sha256", str):
        raise ValueError("the result was changed after it was written: its sha256 is another")
    if _WHOLE in content and digest({k: v for k, v in content.items() if k != _WHOLE}) != content[_WHOLE]:
        raise ValueError("the record was changed after it was written: its sha256 is another")


def _plain(value: Any) -> Any:
    """Convert a value to what JSON can hold, with null for NaN and the infinities."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, str):
        # For example a reason with a file name that is not valid Unicode.
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, int | bool):
        return value
    raise TypeError(f"a record cannot hold {type(value).__name__} {value!r:.60}")
