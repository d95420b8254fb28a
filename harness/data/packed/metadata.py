"""The label of a packed file: what it was made of, and what it must be to be used."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.io.atomic import atomic

VERSION = 2
"""Raise when the same source would be packed otherwise: files of another version are made again."""

STREAMS = ("face", "body", "context", "audio")
SIZE, QUALITY = 224, 95  # pixels a side and JPEG quality of pictures of raw video, where no others are asked for
RATE = 16_000  # Hz of packed sound: what every audio encoder here takes
FOLDER = "pack"  # in the data folder, where no other is named


@dataclass(frozen=True)
class Label:
    """One packed file. ``source``: digest of the raw file's or the crops' content; ``rows``: frames, or samples;
    ``settings``: how it was made, such as ``size`` and ``quality`` of pictures, ``rate`` and ``start`` of sound,
    ``turned`` of crops: one of them may say how its camera was held."""

    stream: str
    name: str
    source: str
    rows: int
    bytes: int
    sha256: str
    settings: dict[str, Any] = field(default_factory=dict)
    version: int = VERSION


def arrow_path(pack: Path, stream: str, name: str) -> Path:
    """Where a packed file is."""
    return pack / stream / f"{name}.arrow"


def label_path(pack: Path, stream: str, name: str) -> Path:
    """Where its label is."""
    return pack / stream / f"{name}.json"


def read_label(pack: Path, stream: str, name: str) -> Label | None:
    """The label of a packed file that is there in its full length; None where it is absent, unfinished, damaged or
    of another version."""
    try:
        label = Label(**json.loads(label_path(pack, stream, name).read_bytes()))
        size = arrow_path(pack, stream, name).stat().st_size
    except (OSError, ValueError, TypeError):
        return None
    known = (label.stream, label.name, label.version, label.bytes) == (stream, name, VERSION, size)
    return label if known and isinstance(label.settings, dict) else None


def write_label(pack: Path, label: Label) -> None:
    """The last step of packing: from here on the file counts."""
    text = json.dumps(asdict(label), indent=1) + "\n"
    atomic(label_path(pack, label.stream, label.name), lambda part: part.write_text(text, encoding="utf-8"))


def file_sha256(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
