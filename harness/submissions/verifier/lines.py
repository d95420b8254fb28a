"""Read a submission's lines: encoding, line ends, and the marks that a spreadsheet leaves."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from harness.submissions.verifier.findings import Findings
from zoo.errors import UserError
from zoo.files import read_bytes

_WIDE = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass(frozen=True)
class Lines:
    """The lines without their ends, at least one; ``split`` is the separator of the fields, "," if all is well."""

    lines: list[str]
    split: str

    def fields(self, line: str) -> list[str]:
        """Return the fields of one line without a spreadsheet's marks."""
        if self.split != ",":  # such a spreadsheet writes decimal commas too
            return [field.strip('"').replace(",", ".") for field in line.split(self.split)]
        return [field.strip('"') for field in line.split(",")] if '"' in line else line.split(",")


def read_lines(path: Path, found: Findings) -> Lines:
    """Read the lines of a file, and add faults of bytes, line ends and separators to ``found``."""
    text = _decoded(_bytes(path), found)
    lines = text.split("\n")
    if lines[-1]:
        found.add("last line", len(lines), "the last line has no line end")
    else:
        lines.pop()
    if "\r" in text:
        for number, line in enumerate(lines, start=1):
            if "\r" in line:
                found.add("line end", number, "the line has a carriage return, as Windows programs write")
        lines = [line.replace("\r", "") for line in lines]
    if '"' in text:
        for number, line in enumerate(lines, start=1):
            if '"' in line:
                found.add("quotes", number, "the line has quotes, as a spreadsheet writes them")
    return Lines(lines or [""], _separator(lines, found))


def _bytes(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except OSError as error:
        raise UserError("text-unreadable", file=path, strerror=error.strerror) from None


def _decoded(data: bytes, found: Findings) -> str:
    again = "write it again with `harness submit`, or save it as UTF-8"
    for mark, encoding in _WIDE.items():
        if data.startswith(mark):
            found.add("encoding", 1, f"the file is {encoding.upper()}, as a spreadsheet saves text: {again}")
            return data[len(mark) :].decode(encoding, errors="replace")
    if data.startswith(codecs.BOM_UTF8):
        found.add("encoding", 1, f"the file begins with a byte order mark, as a spreadsheet writes: {again}")
        data = data[len(codecs.BOM_UTF8) :]
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        found.add("encoding", data.count(b"\n", 0, error.start) + 1, f"a byte is not UTF-8: {again}")
        return data.decode("utf-8", errors="replace")


def _separator(lines: list[str], found: Findings) -> str:
    first = lines[0] if lines else ""
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if mark in first and "," not in first:
            found.add("separator", 1, f"fields are separated by {name}, as a spreadsheet writes them; use commas")
            return mark
    return ","
