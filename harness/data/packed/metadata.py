"""Labels of packed files: source, settings and checksums, which decide whether a file may be used."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypedDict

import numpy as np

from harness.io.atomic import atomic
from harness.io.digests import is_set_aside, opened, sealed, set_aside

VERSION = 2
"""Increase when the same source would be packed differently: files of another version are made again."""

STREAMS = ("face", "body", "context", "audio")
SIZE, QUALITY = 224, 95  # default pixels per side and JPEG quality of pictures of raw video
RATE = 16_000  # Hz of packed sound: the rate that all built-in audio encoders take
FOLDER = "pack"  # default name of the pack in the data folder
AGAIN = "its source is read instead"


class PackSettings(TypedDict, total=False):
    """The settings with which a file was packed.

    ``size`` and ``quality`` of pictures of raw video, whose frames are ``width`` by ``height``; ``rate`` and ``start``
    (seconds) of sound; ``turned`` of crops: True if one of them may have an EXIF orientation.
    """

    size: int
    quality: int
    width: int
    height: int
    rate: int
    start: float
    turned: bool


@dataclass(frozen=True)
class Label:
    """The label of one packed file.

    ``source``: digest of the content of the raw file or of the crops. ``rows``: number of frames, or of samples.
    ``table``: ``table_sha256`` of a file of pictures.
    """

    stream: str
    name: str
    source: str
    rows: int
    bytes: int
    sha256: str
    settings: PackSettings = field(default_factory=PackSettings)
    version: int = VERSION
    table: str = ""  # "": packed by version 0.1, without checksums of rows


def arrow_path(pack: Path, stream: str, name: str) -> Path:
    """Return the path of a packed file."""
    return pack / stream / f"{name}.arrow"


def label_path(pack: Path, stream: str, name: str) -> Path:
    """Return the path of a packed file's label."""
    return pack / stream / f"{name}.json"


def read_label(pack: Path, stream: str, name: str) -> Label | None:
    """Read the label of a packed file whose length is right.

    Return None if the file is absent, unfinished, damaged or of another version. A damaged label is set aside.
    """
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
    """Parse a label's JSON. Raise ValueError if it is damaged, TypeError if another program wrote it."""
    return Label(**opened(json.loads(content)))


def write_label(pack: Path, label: Label) -> None:
    """Write a label. This is the last step of packing: from then on the file is used."""
    text = json.dumps(sealed(asdict(label)), indent=1) + "\n"
    atomic(label_path(pack, label.stream, label.name), lambda part: part.write_text(text, encoding="utf-8"))


def table_sha256(lengths: np.ndarray, checksums: np.ndarray, boxes: np.ndarray | None) -> str:
    """Return a sha256 over a packed file's data about its pictures, without the pictures themselves.

    ``lengths``: (n,) in bytes. ``checksums``: (n,). ``boxes``: (n, 4) of the person, for pictures of raw video.
    """
    sha256 = hashlib.sha256(lengths.astype("<i8").tobytes())
    sha256.update(checksums.astype("<u4").tobytes())
    sha256.update(b"" if boxes is None else boxes.astype("<f4").tobytes())
    return sha256.hexdigest()
