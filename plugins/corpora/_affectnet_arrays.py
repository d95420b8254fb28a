"""AffectNet of March 2021: a picture and one small file for each label; 1.15 million files."""

from __future__ import annotations

import functools
import io
import os
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from plugins.corpora._affectnet_labels import CODES, answers, labels_of
from zoo.corpora import CorpusTable, Draw, check_names, list_pictures, with_pictures, wrong_folder
from zoo.errors import UserError

PARTS = (("train_set", True), ("val_set", False))
ENDS = ("_exp", "_val", "_aro")


def read(root: Path, above: Path, partial: bool, classes: int) -> CorpusTable:
    """Read both parts in the folder ``above``."""
    tables = [_read_part(root, above / name, train, partial, classes) for name, train in PARTS]
    counts: dict[str, int] = {}
    for table in tables:
        counts |= {reason: counts.get(reason, 0) + count for reason, count in table.left_out.items()}
    files = np.concatenate([table.files for table in tables])
    labels = np.concatenate([table.labels for table in tables])
    train = np.concatenate([table.train for table in tables])
    table = CorpusTable(root, answers(classes), files, labels, train, left_out=counts)
    labelled = np.isfinite(labels).any(1)
    return table.keep(labelled, {"no expression, valence or arousal": int((~labelled).sum())})


def _read_part(root: Path, folder: Path, train: bool, partial: bool, classes: int) -> CorpusTable:
    places = {name: folder / name for name in ("images", "annotations")}
    for place in places.values():
        if not place.is_dir():
            name = "AffectNet" if folder.is_dir() else f"AffectNet's {folder.name}"
            raise wrong_folder(root, name, place.relative_to(root))
    pictures = list_pictures(places["images"])
    stems = np.array([name.rpartition(b".")[0] for name in pictures.tolist()], dtype=bytes)
    check_names(places["images"], pictures, stems)
    complete = _complete(places["annotations"], partial)
    # Compare by number, then keep the picture's own name with its ending.
    has, counts = with_pictures(places["images"], complete, partial=partial, found=stems)
    kept = complete[has]
    order = stems.argsort()
    names = pictures[order[np.searchsorted(stems, kept, sorter=order)]]
    numbers = np.array([_numbers(places["annotations"], stem) for stem in kept.tolist()]).reshape(-1, len(ENDS))
    try:
        labels = labels_of(places["annotations"], numbers[:, 0], numbers[:, 1:], classes)
    except UserError as error:  # name the file instead of the row
        end = ENDS[("expression", "valence", "arousal").index(str(error.fields["name"]))]
        stem = os.fsdecode(kept[int(error.fields["line"]) - 1])
        raise UserError(
            "corpus-row", **error.fields | {"file": places["annotations"] / f"{stem}{end}.npy", "line": 1}
        ) from None
    prefix = os.fsencode(places["images"].relative_to(root)) + b"/"
    files = np.char.add(prefix, names) if len(names) else names
    return CorpusTable(root, answers(classes), files, labels, np.full(len(files), train), left_out=counts)


def _complete(folder: Path, partial: bool) -> np.ndarray:
    """Return the pictures (N,) bytes that have all three labels, sorted; UserError if one has only some of them."""
    found: dict[str, set[str]] = {end: set() for end in ENDS}
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, end = entry.name[:-8], entry.name[-8:-4]
            if end in found and entry.name.endswith(".npy") and not entry.name.startswith("."):
                found[end].add(stem)
    every, whole = set.union(*found.values()), set.intersection(*found.values())
    if not whole:
        raise wrong_folder(folder, "AffectNet's labels", "0_exp.npy")
    if (lacking := sorted(every - whole)) and not partial:
        end = next(end for end in ENDS if lacking[0] not in found[end])
        first = f"{lacking[0]}{end}.npy"
        raise UserError("corpus-pictures-missing", folder=folder, count=len(lacking), total=len(every), first=first)
    return np.array(sorted(map(os.fsencode, whole)), dtype=bytes)


def _numbers(folder: Path, stem: bytes) -> list[float]:
    """Return expression, valence and arousal of a picture, stored as numbers or as text."""
    return [_number(f"{folder}/{os.fsdecode(stem)}{end}.npy") for end in ENDS]


def _number(path: str) -> float:
    """Return the number in a file of one value; pickled objects are never loaded."""
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read()
        start = 10 + int.from_bytes(data[8:10], "little")  # of the number, in version 1.0 of the format
        return float(np.frombuffer(data, _type_of(data[:start]), 1, start)[0])
    except (OSError, ValueError, TypeError, EOFError, SyntaxError, tokenize.TokenError) as error:
        raise UserError("corpus-unreadable", file=path, reason=f"not one number: {error}") from error


@functools.lru_cache(maxsize=64)
def _type_of(header: bytes) -> np.dtype[Any]:
    """Return the type of the one number that a header describes; the headers of all files are a few different ones."""
    file = io.BytesIO(header)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("another version of the format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject or shape not in ((), (1,)):
        raise ValueError(f"{dtype} of shape {shape}")
    return dtype


def write(root: Path, rows: Sequence[tuple[int, float, float, bool]], draw: Draw) -> None:
    """Write a made-up corpus of rows (code, valence, arousal, validation) in this form; numbers have gaps."""
    for i, (code, valence, arousal, val) in enumerate(rows):
        folder = root / PARTS[val][0]
        for name in ("images", "annotations"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        labels: dict[str, float | str] = {"expression": CODES[code], "valence": valence, "arousal": arousal}
        draw(folder / "images" / f"{2 * i}.jpg", labels, 224, (0, 0, 224, 224))
        texts = (str(code), str(valence), str(arousal)) if i % 2 else (code, valence, arousal)
        for end, value in zip(ENDS, texts, strict=True):
            np.save(folder / "annotations" / f"{2 * i}{end}.npy", np.array(value))
        np.save(folder / "annotations" / f"{2 * i}_lnd.npy", np.linspace(10, 200, 136))
