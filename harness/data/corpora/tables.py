"""Check the table of a corpus, whoever wrote its reader: labels, groups, pictures that are listed again."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from zoo.corpora import CorpusTable
from zoo.errors import UserError

AGAIN = "picture listed again with the same labels"
CONTRADICTED = "picture listed with different labels"


def checked_table(table: CorpusTable, name: str, *, partial: bool) -> CorpusTable:
    """Return the table of the corpus ``name`` with each picture once.

    Raises:
        UserError: A label is none of the answers', a group is in both parts, or a picture has different labels and not
            ``partial``.
    """
    _check_labels(table, name)
    _check_groups(table)
    return _listed_once(table, partial)


def _check_labels(table: CorpusTable, corpus: str) -> None:
    for answer, column in zip(table.answers, table.labels.T, strict=True):
        wrong = (column < answer.low) | (column > answer.high)
        if answer.kind == "class":
            wrong = (column < 0) | (column >= len(answer.classes)) | (column % 1 > 0)
        if wrong.any():
            row = int(wrong.argmax())
            got = f"{column[row]:g}"
            raise UserError("corpus-label-wrong", file=table.path(row), name=answer.name, got=got, corpus=corpus)


def _check_groups(table: CorpusTable) -> None:
    if table.groups is None:
        return
    both = np.intersect1d(table.groups[table.train], table.groups[~table.train])
    if len(both):
        first = os.fsdecode(bytes(both[0]))
        raise UserError("corpus-groups-shared", root=table.root, count=len(both), first=first)


def _listed_once(table: CorpusTable, partial: bool) -> CorpusTable:
    """Leave out repeated rows of a picture, or all of its rows if their labels differ."""
    kept, contradicted = np.ones(len(table), bool), []
    for rows in _repeated(table):
        labels = table.labels[rows]
        same = np.array_equal(labels, np.broadcast_to(labels[0], labels.shape), equal_nan=True)
        kept[rows[1:] if same else rows] = False
        if not same:
            contradicted.append(rows)
    if contradicted and not partial:
        rows = contradicted[0]
        raise UserError("corpus-labels-differ", file=table.path(rows[0]), times=len(rows), count=len(contradicted))
    differ = sum(map(len, contradicted))
    return table.keep(kept, {AGAIN: int((~kept).sum()) - differ, CONTRADICTED: differ})


def _repeated(table: CorpusTable) -> Iterator[list[int]]:
    """Yield the rows of each picture that is listed more than once; another box in it is another picture."""
    _, first, counts = np.unique(table.files, return_inverse=True, return_counts=True)
    found: dict[bytes, list[int]] = {}
    for row in np.flatnonzero(counts[first] > 1).tolist():
        box = b"" if table.boxes is None else table.boxes[row].tobytes()
        found.setdefault(bytes(table.files[row]) + b"\0" + box, []).append(row)
    yield from (rows for rows in found.values() if len(rows) > 1)
