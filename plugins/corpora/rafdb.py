"""RAF-DB, basic expressions: a list of names and classes, and faces beside it.

    basic/EmoLabel/list_patition_label.txt      # so spelled in the release: train_00011.jpg 3
    basic/Image/aligned/train_00011_aligned.jpg
    basic/Image/original/train_00011.jpg

The folder ``basic`` itself may be given too. Compound expressions are not read.
"""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from pathlib import Path

import numpy as np

from zoo.corpora import CorpusTable, Draw, check_rows, find_below, list_pictures, with_pictures, wrong_folder
from zoo.errors import UserError
from zoo.tracks import Answer

LIST = "EmoLabel/list_patition_label.txt"
CLASSES = ("Surprise", "Fear", "Disgust", "Happiness", "Sadness", "Anger", "Neutral")
"""Names of the codes 1 to 7."""
PARTS = (b"train_", b"test_")


def read(root: Path, partial: bool = False, pictures: str = "aligned") -> CorpusTable:
    """Read RAF-DB.

    Args:
        root: Its folder.
        partial: Leave out and count what is incomplete, instead of raising.
        pictures: ``aligned`` faces or ``original`` photographs.

    Returns:
        The table: expression.

    Raises:
        UserError: The folder lacks the list or the pictures, a line is not what is published, or names and pictures do
            not belong together.
    """
    place = find_below(root, ("", "basic", "RAF-DB/basic"), LIST)
    if place is None:
        raise wrong_folder(root, "RAF-DB", f"basic/{LIST}", _hint(root))
    folder = place.parents[1] / "Image" / pictures
    if not folder.is_dir():
        raise wrong_folder(root, "RAF-DB's pictures", folder.relative_to(root))
    names, codes = _read_list(place)
    files = np.array([_file_of(name, pictures) for name in names.tolist()], dtype=bytes)
    has, counts = with_pictures(folder, files, partial=partial, found=list_pictures(folder))
    prefix = os.fsencode(folder.relative_to(root)) + b"/"
    train = np.char.startswith(names, PARTS[0])
    answer = Answer("expression", "class", invalid=-1, classes=CLASSES)
    labels = (codes - 1).astype(np.float32)[:, None]
    return CorpusTable(root, (answer,), np.char.add(prefix, files), labels, train, left_out=counts).keep(has)


def _read_list(place: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the names (N,) bytes and codes (N,) of the list."""
    try:
        lines = [line.split() for line in place.read_bytes().removeprefix(BOM_UTF8).splitlines()]
    except OSError as error:
        raise UserError("corpus-unreadable", file=place, reason=error.strerror) from error
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise UserError("corpus-unreadable", file=place, reason="it is empty")
    shown = [b" ".join(line).decode(errors="replace") for line in lines]
    whole = np.array([len(line) == 2 and line[1].isdigit() and 1 <= int(line[1]) <= len(CLASSES) for line in lines])
    check_rows(place, whole, shown, "a line", f"NAME CODE with a code from 1 to {len(CLASSES)}")
    names = np.array([line[0] for line in lines], dtype=bytes)
    parts = np.char.startswith(names, PARTS[0]) | np.char.startswith(names, PARTS[1])
    check_rows(place, parts, shown, "a name", "train_... or test_...")
    return names, np.array([int(line[1]) for line in lines])


def _file_of(name: bytes, pictures: str) -> bytes:
    stem, dot, ending = name.rpartition(b".")
    return stem + b"_aligned" + dot + ending if pictures == "aligned" else name


def _hint(root: Path) -> str:
    by_class = any((root / part / "1").is_dir() for part in ("", "train", "DATASET/train"))
    return " (folders by class belong to a copy, which has no list)" if by_class else ""


def sample(root: Path, form: str, count: int, draw: Draw, seed: int) -> None:
    """Write made-up pictures in the published layout."""
    rng = np.random.default_rng(seed)
    lines = []
    for i in range(count):
        code = int(rng.permutation(len(CLASSES))[0]) + 1 if i >= 2 * len(CLASSES) else i % len(CLASSES) + 1
        name = f"test_{i:04d}" if i % 5 == 4 else f"train_{i:05d}"
        lines.append(f"{name}.jpg {code}")
        for kind, end in (("aligned", "_aligned"), ("original", "")):
            path = root / "basic" / "Image" / kind / f"{name}{end}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(path, {"expression": CLASSES[code - 1]}, 100, (0, 0, 100, 100))
    place = root / "basic" / LIST
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("\n".join(lines) + "\n")
