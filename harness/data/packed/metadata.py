"""The label of a packed file: what it was made of, and what it must be to be used."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.io.atomic import atomic
from harness.io.digests import is_set_aside, opened, sealed, set_aside

VERSION = 2
"""Raise when the same source would be packed otherwise: files of another version are made again."""

STREAMS = ("face", "body", "context", "audio")
SIZE, QUALITY = 224, 95  # pixels a side and JPEG quality of pictures of raw video, where no others are asked for
RATE = 16_000  # Hz of packed sound: what every audio encoder here takes
FOLDER = "pack"  # in the data folder, where no other is named
AGAIN = "what it was made of is read instead"


@dataclass(frozen=True)
class Label:
    """One packed file. ``source``: digest of the raw file's or the crops' content; ``rows``: frames, or samples;
    ``settings``: how it was made, such as ``size`` and ``quality`` of pictures, ``rate`` and ``start`` of sound,
    ``turned`` of crops: one of them may say how its camera was held; ``table``: of pictures, ``table_sha256``."""

    stream: str
    name: str
    source: str
    rows: int
    bytes: int
    sha256: str
    settings: dict[str, Any] = field(default_factory=dict)
    version: int = VERSION
    table: str = ""  # none: packed by 0.1, without checksums of rows


def arrow_path(pack: Path, stream: str, name: str) -> Path:
    """Where a packed file is."""
    return pack / stream / f"{name}.arrow"


def label_path(pack: Path, stream: str, name: str) -> Path:
    """Where its label is."""
    return pack / stream / f"{name}.json"


def read_label(pack: Path, stream: str, name: str) -> Label | None:
    """The label of a packed file that is there in its full length; None where it is absent, unfinished, damaged or
    of another version."""
    path, arrow = label_path(pack, stream, name), arrow_path(pack, stream, name)
    try:
        label = parse_label(path.read_bytes())
        size = arrow.stat().st_size
    except (OSError, TypeError):
        return None
    except ValueError:
        set_aside(path, "the label of a packed file is damaged", AGAIN)
        return None
    known = (label.stream, label.name, label.version, label.bytes) == (stream, name, VERSION, size)
    return label if known and isinstance(label.settings, dict) and not is_set_aside(arrow) else None


def parse_label(content: bytes) -> Label:
    """A label out of its JSON; ValueError where it is damaged, TypeError where it is of another program."""
    return Label(**opened(json.loads(content)))


def write_label(pack: Path, label: Label) -> None:
    """The last step of packing: from here on the file counts."""
    text = json.dumps(sealed(asdict(label)), indent=1) + "\n"
    atomic(label_path(pack, label.stream, label.name), lambda part: part.write_text(text, encoding="utf-8"))


def table_sha256(lengths: np.ndarray, checksums: np.ndarray, boxes: np.ndarray | None) -> str:
    """What a packed file says of its pictures, all but the pictures themselves: their lengths in bytes (n,), their
    checksums (n,) and, of raw video, the persons' boxes (n, 4)."""
    sha256 = hashlib.sha256(lengths.astype("<i8").tobytes())
    sha256.update(checksums.astype("<u4").tobytes())
    sha256.update(b"" if boxes is None else boxes.astype("<f4").tobytes())
    return sha256.hexdigest()
