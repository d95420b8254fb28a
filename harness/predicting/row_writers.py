"""Tables that grow row by row: a file that gets its name when it is whole, or standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TextIO

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from harness.evaluation.prediction_tables import plain_text
from harness.io.atomic import disk_errors
from harness.predicting.tables import BOX
from zoo.errors import UserError
from zoo.files import part_name

STDOUT = Path("-")
"""The folder that stands for standard output."""


class RowWriter(Protocol):
    """A table to which rows are added."""

    def add(self, rows: pd.DataFrame) -> None:
        """Write the next rows, at least one; UserError if they cannot be written."""

    def restart(self) -> None:
        """Begin the table again."""


class _Text:
    """Rows as text, with a header before the first ones if the format has one."""

    def __init__(self, file: TextIO, text: Callable[..., str]) -> None:
        self.file, self.text, self.empty = file, text, True

    def write(self, rows: pd.DataFrame) -> None:
        self.file.write(self.text(rows, header=self.empty))
        self.file.flush()
        self.empty = False

    def close(self) -> None:
        self.file.close()


class _Parquet:
    """Rows as row groups of a Parquet file."""

    def __init__(self, part: Path) -> None:
        self.file, self.writer = part.open("wb"), None

    writer: Any

    def write(self, rows: pd.DataFrame) -> None:
        table = pa.Table.from_pandas(rows, preserve_index=False)
        if self.writer is None:
            self.writer = parquet.ParquetWriter(self.file, table.schema)
        self.writer.write_table(table)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.file.close()


def _csv(rows: pd.DataFrame, *, header: bool) -> str:
    numbers = [name for name in (*BOX, "score") if name in rows]
    seen = rows[numbers].astype(object).where(rows[numbers].notna(), "")
    return plain_text(rows.assign(**{name: _short(seen[name]) for name in numbers}), header=header)


def _short(column: pd.Series) -> pd.Series:
    return column.map(lambda value: "" if value == "" else f"{value:.2f}")


def _jsonl(rows: pd.DataFrame, *, header: bool) -> str:
    text: str = rows.to_json(orient="records", lines=True, double_precision=6, force_ascii=False)
    return text


TEXTS: Mapping[str, Callable[..., str]] = {"csv": _csv, "jsonl": _jsonl}
FORMATS = (*TEXTS, "parquet")


def check_format(name: str, out: Path) -> None:
    """Raise UserError if a table format is unknown, or cannot be written to ``out``."""
    if name not in FORMATS:
        raise UserError("predict-format", got=name)
    if out == STDOUT and name not in TEXTS:
        raise UserError("predict-stream-format", got=name)


class TableFile:
    """A table that grows under a temporary name and gets its own name at the end of the context.

    If the context ends with an error, nothing is left, nor a folder that was made for the table.

    Args:
        path: The file; the suffix of its name is the format.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.part, self._file = path, part_name(path), None
        self._made = False  # the folder

    _file: _Text | _Parquet | None

    def add(self, rows: pd.DataFrame) -> None:
        """Write the next rows, at least one; UserError if they cannot be written."""
        with disk_errors(self.path):
            if self._file is None:
                self._made = self._made or not self.path.parent.exists()
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._opened()
            self._file.write(rows)

    def restart(self) -> None:
        """Begin the table again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> _Text | _Parquet:
        text = TEXTS.get(self.path.suffix.removeprefix("."))
        if text is None:
            return _Parquet(self.part)
        return _Text(self.part.open("w", encoding="utf-8", newline=""), text)

    def __enter__(self) -> TableFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            with disk_errors(self.path):
                self.restart()
                if kind is None and self.part.exists():
                    with self.part.open("rb+") as file:
                        os.fsync(file.fileno())
                    os.replace(self.part, self.path)
        finally:
            with suppress(OSError):  # renamed, or never made
                self.part.unlink()
            if kind is not None and self._made:
                with suppress(OSError):  # other tables are in it
                    self.path.parent.rmdir()


class StandardOutput:
    """Rows of all inputs on standard output, each as soon as it is known."""

    def __init__(self, form: str) -> None:
        self._text = _Text(sys.stdout, TEXTS[form])

    def add(self, rows: pd.DataFrame) -> None:
        """Print the next rows."""
        self._text.write(rows)

    def restart(self) -> None:
        """Do nothing: what is printed cannot be taken back, so the rows follow once more."""
