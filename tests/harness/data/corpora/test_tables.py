"""Labels, groups and repeated pictures of a table, whoever wrote its reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.data.corpora.tables import AGAIN, CONTRADICTED, checked_table
from harness.pretraining.plan import read_corpus
from harness.pretraining.request import Request
from plugins.corpora import rafdb
from tests.support.refusals import refused
from zoo.api import Answer, CorpusTable
from zoo.registry.registry import load
from zoo.testing.corpora import plain_picture

ANSWERS = (Answer("expression", "class", invalid=-1, classes=("a", "b")), Answer("valence", "value", invalid=-5))


def table(labels, files=(b"1", b"2", b"3"), groups=None, boxes=None) -> CorpusTable:
    named = (None if array is None else np.array(array) for array in (boxes, groups))
    train = np.arange(len(files)) < 2
    return CorpusTable(Path("x"), ANSWERS, np.array(files), np.array(labels, np.float32), train, *named)


@pytest.mark.parametrize(
    ("label", "name"), [((2, 0), "expression"), ((-1, 0), "expression"), ((0.5, 0), "expression"), ((0, -2), "valence")]
)
def test_a_label_that_is_none_is_refused(label, name):
    with refused("corpus-label-wrong", file=Path("x/2"), name=name, corpus="mine"):
        checked_table(table([(0, 0), label, (np.nan, 1)]), "mine", partial=True)


def test_a_group_in_both_parts_is_refused():
    labels = [(0, 0), (1, 0), (np.nan, 1)]
    assert len(checked_table(table(labels, groups=[b"p", b"p", b"q"]), "mine", partial=False)) == 3
    with refused("corpus-groups-shared", root=Path("x"), count=1, first="q"):
        checked_table(table(labels, groups=[b"p", b"q", b"q"]), "mine", partial=True)


def test_a_picture_with_two_labels_is_refused_or_left_out():
    found = table([(0, 0), (1, 0), (np.nan, 1), (np.nan, 1)], files=(b"1", b"1", b"2", b"2"))
    with refused("corpus-labels-differ", file=Path("x/1"), times=2, count=1):
        checked_table(found, "mine", partial=False)
    rest = checked_table(found, "mine", partial=True)
    assert rest.files.tolist() == [b"2"]
    assert rest.left_out == {AGAIN: 1, CONTRADICTED: 2}


def test_two_faces_of_one_picture_are_two_pictures():
    found = table([(0, 0), (1, 0), (1, 0)], files=(b"1", b"1", b"2"), boxes=[[0, 0, 9, 9], [9, 0, 9, 9], [0, 0, 9, 9]])
    assert len(checked_table(found, "mine", partial=False)) == 3


def test_every_corpus_is_checked_when_it_is_read(tmp_path):
    rafdb.sample(tmp_path, "basic", 21, plain_picture, 0)
    with (tmp_path / "basic" / rafdb.LIST).open("a") as file:
        file.write("train_00000.jpg 5\n")
    with refused("corpus-labels-differ", times=2, count=1):
        read_corpus(Request("rafdb", str(tmp_path), ("expr",)), load())
