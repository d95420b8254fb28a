"""AffectNet with lists: training.csv and validation.csv, and photographs with the box of a face."""

from __future__ import annotations

import csv as plain_csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from plugins.corpora._affectnet_labels import answers, labels_of
from zoo.corpora import CorpusTable, Draw, check_rows, find_below, with_pictures, wrong_columns, wrong_folder
from zoo.errors import UserError
from zoo.limits import PIXELS

FILE, CODE = "subDirectory_filePath", "expression"
BOX, VALUES = ("face_x", "face_y", "face_width", "face_height"), ("valence", "arousal")
COLUMNS = (FILE, *BOX, "facial_landmarks", CODE, *VALUES)
PICTURES = ("Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images")
FARTHEST = 1 << 15  # pixels; a box may begin left of the picture or above it
PARTS = (("training.csv", True), ("validation.csv", False))


def read(root: Path, lists: Path, partial: bool, classes: int) -> CorpusTable:
    """Read the lists in a folder, and compare them with the pictures beside it."""
    folder = find_below(lists.parent, ("",), PICTURES[0]) or find_below(root, ("", "AffectNet"), PICTURES[1])
    if folder is None:
        raise wrong_folder(root, "AffectNet's pictures", PICTURES[0])
    parts = [(*_read_list(lists / name, classes, partial), train) for name, train in PARTS]
    files = np.concatenate([part[0] for part in parts])
    labels, boxes = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
    train = np.concatenate([np.full(len(part[0]), part[4]) for part in parts])
    has, counts = with_pictures(folder, files, partial=partial)
    prefix = os.fsencode(folder.relative_to(root)) + b"/"
    table = CorpusTable(root, answers(classes), np.char.add(prefix, files), labels, train, boxes, left_out=counts)
    if bad := sum(part[3] for part in parts):
        table = table.keep(np.ones(len(table), bool), {"row with something that is no number": bad})
    labelled, boxed = np.isfinite(labels).any(1), (boxes[:, 2:] > 0).all(1)
    return table.keep(
        has & labelled & boxed,
        {
            "no expression, valence or arousal (none, uncertain, no face)": int((has & ~labelled).sum()),
            "no box of a face": int((has & labelled & ~boxed).sum()),
        },
    )


def _read_list(file: Path, classes: int, partial: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Return the names (N,), labels (N, 3) and boxes (N, 4) of a list, and the number of rows left out."""
    try:
        return _parsed(file, _rows_of(file), classes, partial)
    except UserError as error:
        if error.code != "corpus-row":
            raise
        places = [number for number, text in _lines_of(file) if text]  # empty lines are no rows
        raise UserError("corpus-row", **error.fields | {"line": places[int(error.fields["line"]) - 1]}) from None


def _rows_of(file: Path) -> pa.Table:
    """Read the texts of the columns that are used."""
    wanted = [FILE, *BOX, CODE, *VALUES]
    try:
        with file.open("rb") as opened:
            header = next(plain_csv.reader([opened.readline().decode("utf-8-sig", "replace").strip()]), [])
        if lacking := [name for name in wanted if name not in header]:
            raise wrong_columns(file, lacking, COLUMNS)
        types = csv.ConvertOptions(include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string()))
        return csv.read_csv(file, convert_options=types)
    except OSError as error:
        raise UserError("corpus-unreadable", file=file, reason=error.strerror or error) from error
    except pa.ArrowInvalid as error:
        _refuse_line(file, len(header))
        raise UserError("corpus-unreadable", file=file, reason=str(error).partition("\n")[0]) from error


def _refuse_line(file: Path, columns: int) -> None:
    """Raise UserError that names the first row with other columns or without valid text, if there is one."""
    rows = [text for _, text in _lines_of(file) if text]
    texts = [row.decode("utf-8-sig", "replace") for row in rows]
    valid = np.array(["\ufffd" not in text and len(next(plain_csv.reader([text]))) == columns for text in texts])
    check_rows(file, valid, [text[:80] for text in texts], "a line", f"{columns} columns of text in UTF-8")


def _lines_of(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of each line."""
    yield from enumerate(file.read_bytes().splitlines(), 1)


def _parsed(file: Path, rows: pa.Table, classes: int, partial: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    numbers, good = {}, np.ones(len(rows), bool)
    for name in (*BOX, CODE, *VALUES):
        text = pc.utf8_trim_whitespace(rows[name])
        readable = np.asarray(pc.match_substring_regex(text, r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"))
        if not partial:
            check_rows(file, readable, rows[name].to_pylist() if not readable.all() else (), name, "a number", 2)
        good &= readable
        numbers[name] = np.asarray(pc.cast(pc.if_else(pa.array(readable), text, "nan"), pa.float64()))
    files = np.array(list(map(os.fsencode, rows[FILE].to_pylist())), dtype=bytes)
    codes, values = numbers[CODE], np.column_stack([numbers[name] for name in VALUES])
    boxes = np.column_stack([numbers[name] for name in BOX])
    codes, values, boxes = np.where(good, codes, 8), np.where(good[:, None], values, -2), np.nan_to_num(boxes, nan=-1)
    labels = labels_of(file, codes, values, classes, first_line=2)
    for name, column in zip(BOX, boxes.T, strict=True):
        check_rows(file, np.abs(column) <= FARTHEST, column, name, f"a number from -{FARTHEST} to {FARTHEST}", 2)
    area = boxes[:, 2].clip(0) * boxes[:, 3].clip(0)
    check_rows(file, area <= PIXELS, area, "face_width x face_height", f"at most {PIXELS} pixels", 2)
    return files[good], labels[good], boxes[good].round().astype(np.int32), int((~good).sum())


def write(root: Path, rows: Sequence[tuple[int, float, float, bool]], draw: Draw) -> None:
    """Write a made-up corpus of rows (code, valence, arousal, validation) in this form."""
    from plugins.corpora._affectnet_labels import CODES

    texts: dict[str, list[str]] = {name: [",".join(COLUMNS)] for name, _ in PARTS}
    for i, (code, valence, arousal, val) in enumerate(rows):
        name = f"{i % 7 + 1}/{i:012x}.jpg"
        box = (12, 20, 100, 100) if code != 10 else (-1, -1, -1, -1)
        path = root / PICTURES[0] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        labels: dict[str, float | str] = {CODE: CODES[code], "valence": max(valence, -1), "arousal": max(arousal, -1)}
        draw(path, labels, 128, box if code != 10 else (0, 0, 128, 128))
        points = ";".join(f"{20 + k % 60}.5" for k in range(136)) if code != 10 else ""
        row = [name, *map(str, box), points, str(code), f"{valence:.6g}", f"{arousal:.6g}"]
        texts[PARTS[val][0]].append(",".join(row))
    for part, lines in texts.items():
        place = root / "Manually_Annotated_file_lists" / part
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("\n".join(lines) + "\n")
