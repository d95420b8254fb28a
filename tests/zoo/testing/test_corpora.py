"""Every rule for corpora can fail: a sound one keeps all rules, small wrong ones break the one they are meant to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.conformance import broken, unproved
from zoo import api, testing
from zoo.corpora import list_pictures, with_pictures
from zoo.errors import UserError
from zoo.testing import corpora

CLASSES = ("Neutral", "Happiness")


def read(root, partial=False):
    """A sound reader: `list.txt` names the pictures, whose names begin with their part and class."""
    if not (root / "list.txt").is_file():
        raise UserError(f"{root} has no list.txt")
    names = np.array((root / "list.txt").read_bytes().split(), dtype=bytes)
    has, left_out = with_pictures(root, names, partial=partial)
    labels = np.array([[int(name.split(b"_")[1])] for name in names], np.float32)
    answer = api.Answer("expression", "class", invalid=-1, classes=CLASSES)
    train = np.char.startswith(names, b"train")
    return api.CorpusTable(root, (answer,), names, labels, train, left_out=left_out).keep(has)


def sample(root, form, count, draw, seed):
    names = [f"{'val' if i % 5 == 4 else 'train'}_{i // 5 % 2}_{i:06d}.jpg" for i in range(count)]
    for name in names:
        draw(root / name, {"expression": CLASSES[int(name.split("_")[1])]}, 32, (0, 0, 32, 32))
    (root / "list.txt").write_text("\n".join(names))


def minus_one(root, partial=False):
    table = read(root, partial)
    table.labels[0] = -1
    return table


def texts(root, partial=False):
    table = read(root, partial)
    return replace(table, files=table.files.astype(str))


def values(root, partial=False):
    table = read(root, partial)
    return replace(table, answers=(api.Answer("valence", "value", invalid=-5),))


def one_part(root, partial=False):
    table = read(root, partial)
    return replace(table, train=np.ones(len(table), bool))


def crossing(root, partial=False):
    table = read(root, partial)
    return replace(table, groups=np.full(len(table), b"one"))


class Changing:
    def __init__(self):
        self.count = 0

    def __call__(self, root, partial=False):
        table = read(root, partial)
        self.count += 1
        return replace(table, labels=(table.labels + self.count) % 2)


def half(root, partial=False):
    return read(root, True) if list_pictures(root).size < 55 else read(root, partial)


def any_spare(root, partial=False):
    return read(root, True) if list_pictures(root).size > 55 else read(root, partial)


def anywhere(root, partial=False):
    if not (root / "list.txt").is_file():
        (root / "list.txt").write_text("\n".join(["train_0_1.jpg", "val_1_1.jpg"]))
        for name in ("train_0_1.jpg", "val_1_1.jpg"):
            (root / name).write_bytes(b"")
        return read(root, True)
    return read(root, partial)


def writes(root, partial=False):
    (root / "cache.txt").write_text(str(np.random.default_rng().random()))
    return read(root, partial)


def corpus(build, **other):
    given = {
        "data": "Mine",
        "terms": "none",
        "targets": ("expr",),
        "split": "names",
        "forms": ("list",),
        "sample": sample,
    }
    return api.CorpusSpec("c", build, **{**given, **other})


CASES = [
    (read, set()),
    (minus_one, {"table"}),
    (texts, {"table", "unlabelled"}),
    (values, {"targets"}),
    (one_part, {"parts"}),
    (crossing, {"parts"}),
    (Changing(), {"repeatable"}),
    (half, {"unpacked_half"}),
    (any_spare, {"unlabelled"}),
    (anywhere, {"other_folder"}),
    (writes, {"untouched"}),
]


@pytest.mark.parametrize(("build", "rules"), CASES)
def test_corpora(build, rules):
    assert broken(testing.corpus_checks(corpus(build))) >= rules
    if build is read:
        assert broken(testing.corpus_checks(corpus(build))) == rules


def test_a_spec_without_terms_is_found():
    assert broken(testing.corpus_checks(corpus(read, terms=""))) == {"declared"}


def test_every_rule_is_shown_to_fail():
    assert unproved(corpora, CASES) <= {"declared"}
