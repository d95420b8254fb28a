"""Rules for corpora, on made-up pictures that the corpus's own ``sample`` writes in each of its published forms."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from zoo.api import CorpusSpec, CorpusTable
from zoo.corpora import list_pictures
from zoo.errors import UserError
from zoo.registry.registry import resolve
from zoo.testing.comparisons import defaults, no_network
from zoo.testing.rules import Check, checks_of, construct, expect, run_all

COUNT = 55  # made-up pictures: each class and each part occurs


@dataclass(frozen=True)
class CorpusCase:
    """A corpus's spec with the options to check it with.

    Attributes:
        spec: The corpus's spec.
        options: Options in place of the defaults.
    """

    spec: CorpusSpec
    options: Mapping[str, Any]

    def write(self, root: Path, form: str) -> None:
        """Write made-up pictures in a published form.

        Args:
            root: A new folder.
            form: One of the spec's forms.
        """
        expect(self.spec.sample is not None, "it has no sample, so nobody can try it without the corpus")
        assert self.spec.sample is not None
        root.mkdir(parents=True)
        resolve(self.spec.sample)(root, form, COUNT, plain_picture, 0)

    def read(self, root: Path, **options: Any) -> CorpusTable:
        """Read a folder.

        Args:
            root: The folder.
            **options: Options in place of the case's.

        Returns:
            The table.
        """
        given = {**defaults(self.spec, self.options), **options}
        table: CorpusTable = construct(self.spec, root, **given)
        return table


def plain_picture(path: Path, labels: Mapping[str, float | str], side: int, box: tuple[int, int, int, int]) -> None:
    """Write a grey picture with a brighter face."""
    image = np.full((side, side, 3), 60, np.uint8)
    x, y, width, height = box
    image[y : y + height, x : x + width] = 60 + sum(map(ord, "".join(map(str, labels.values())))) % 150
    cv2.imwrite(str(path), image)


def corpus_checks(spec: CorpusSpec, **options: Any) -> list[Check]:
    """Return every rule for a corpus as a separate check.

    See ``head_checks`` for an example.

    Args:
        spec: The corpus's spec.
        **options: Options in place of the defaults.

    Returns:
        One check for each rule.
    """
    return checks_of(spec.name, RULES, CorpusCase(spec, options))


def check_corpus(spec: CorpusSpec, **options: Any) -> None:
    """Run every rule for a corpus.

    See ``check_head`` for an example.

    Args:
        spec: The corpus's spec.
        **options: Options in place of the defaults.

    Raises:
        ConformanceError: The first rule that is broken.
    """
    run_all(corpus_checks(spec, **options))


@contextmanager
def _samples(case: CorpusCase) -> Iterator[list[Path]]:
    expect(bool(case.spec.forms), "it names no published form")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place, no_network():
        roots = [Path(place) / form for form in case.spec.forms]
        for root in roots:
            case.write(root, root.name)
        yield roots


def _refused(case: CorpusCase, root: Path, **options: Any) -> bool:
    try:
        case.read(root, **options)
    except UserError:
        return True
    return False


def _count(table: CorpusTable) -> int:
    return sum(table.left_out.values())


# --- rules ------------------------------------------------------------------------------------------------------------


def declared(case: CorpusCase) -> None:
    """Check that the spec says what the corpus is called, its terms, its targets and its official parts.

    They go into the model card of every network that is trained on it.
    """
    spec = case.spec
    for name in ("data", "terms", "split", "forms"):
        expect(bool(getattr(spec, name)), f"{name} is empty")
    expect(bool(spec.targets) and set(spec.targets) <= {"expr", "va"}, f"targets are {spec.targets}, of expr and va")


def table(case: CorpusCase) -> None:
    """Check that arrays have one row a picture, files exist, and labels are classes and values of the answers or NaN.

    A label of -1 or -2 that passes for a class or a value is learned without any error.
    """
    with _samples(case) as roots:
        for root in roots:
            found = case.read(root)
            n = len(found)
            expect(n > 0, "it finds nothing in its own sample")
            shapes = found.labels.shape == (n, len(found.answers)) and found.train.shape == (n,)
            expect(shapes and found.labels.dtype == np.float32 and found.train.dtype == bool, "arrays have other forms")
            expect(found.files.dtype.kind == "S", f"files are {found.files.dtype}, not bytes")
            expect(len(set(found.files.tolist())) == n, "a picture occurs twice")
            expect(all(found.path(i).is_file() for i in range(n)), "a file does not exist")
            expect(bool(np.isfinite(found.labels).any(1).all()), "a picture has no label")
            expect(
                found.boxes is None or (found.boxes.shape == (n, 4) and bool((found.boxes[:, 2:] > 0).all())), "boxes"
            )
            for answer, column in zip(found.answers, found.labels.T, strict=True):
                known = column[np.isfinite(column)]
                inside = (known >= answer.low) & (known <= answer.high)
                if answer.kind == "class":
                    inside = (known % 1 == 0) & (known >= 0) & (known < len(answer.classes))
                expect(bool(inside.all()), f"{answer.name} has labels that are none")


def targets(case: CorpusCase) -> None:
    """Check that the table has what the spec's targets promise: one class, or valence and arousal.

    `harness pretrain --targets` is checked against the spec before anything is read.
    """
    with _samples(case) as roots:
        for root in roots:
            answers = case.read(root).answers
            expect(sum(a.kind == "class" for a in answers) == ("expr" in case.spec.targets), "classes differ")
            values = {a.name for a in answers if a.kind == "value"}
            expect(values == ({"valence", "arousal"} if "va" in case.spec.targets else set()), "values differ")


def parts(case: CorpusCase) -> None:
    """Check that both official parts occur and that no group is in both.

    A person or a film in both parts makes the validation score that of faces that were learned.
    """
    with _samples(case) as roots:
        for root in roots:
            found = case.read(root)
            expect(bool(found.train.any()) and not bool(found.train.all()), "one of the two parts is empty")
            if found.groups is not None:
                both = set(found.groups[found.train].tolist()) & set(found.groups[~found.train].tolist())
                expect(not both, f"{len(both)} groups are in both parts")


def repeatable(case: CorpusCase) -> None:
    """Check that reading twice gives the same table.

    A run draws pictures by their place in the table.
    """
    with _samples(case) as roots:
        for root in roots:
            one, two = case.read(root), case.read(root)
            same = np.array_equal(one.files, two.files) and np.array_equal(one.labels, two.labels, equal_nan=True)
            expect(same and np.array_equal(one.train, two.train), "two readings differ")


def unpacked_half(case: CorpusCase) -> None:
    """Check that a missing picture is refused, and left out and counted with ``partial``.

    A half-unpacked corpus trains without an error on whatever is there.
    """
    with _samples(case) as roots:
        for root in roots:
            whole = case.read(root)
            whole.path(0).unlink()
            expect(_refused(case, root), "a label without a picture is accepted")
            rest = case.read(root, partial=True)
            expect(len(rest) == len(whole) - 1, f"partial leaves {len(rest)} of {len(whole)} pictures")
            expect(
                sum(rest.left_out.values()) == sum(whole.left_out.values()) + 1, "it does not count what it leaves out"
            )


def unlabelled(case: CorpusCase) -> None:
    """Check that a picture without a label is refused, and left out and counted with ``partial``.

    It shows that the labels are those of another release.
    """
    with _samples(case) as roots:
        for root in roots:
            whole = case.read(root)
            path = whole.path(0)
            spare = path.with_name("99999990" + path.name[-12:])
            spare.write_bytes(path.read_bytes())
            expect(_refused(case, root), "a picture without a label is accepted")
            rest = case.read(root, partial=True)
            expect(np.array_equal(rest.files, whole.files), "partial reads other pictures")
            expect(
                sum(rest.left_out.values()) == sum(whole.left_out.values()) + 1, "it does not count what it leaves out"
            )


def other_folder(case: CorpusCase) -> None:
    """Check that an empty folder, and one with nothing but pictures, are refused, also with ``partial``.

    The error names what was looked for, before anything is trained.
    """
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        expect(_refused(case, root) and _refused(case, root, partial=True), "an empty folder is accepted")
        plain_picture(root / "face.jpg", {}, 32, (0, 0, 32, 32))
        expect(_refused(case, root) and _refused(case, root, partial=True), "a folder of pictures is accepted")


def untouched(case: CorpusCase) -> None:
    """Check that reading writes nothing into the corpus.

    The folder is often shared and not writable.
    """
    with _samples(case) as roots:
        for root in roots:
            before = sorted((os.fspath(p), p.stat().st_mtime_ns) for p in root.rglob("*"))
            case.read(root)
            expect(before == sorted((os.fspath(p), p.stat().st_mtime_ns) for p in root.rglob("*")), "files changed")
            expect(len(list_pictures(root)) > 0, "its sample has no pictures")


RULES = (declared, table, targets, parts, repeatable, unpacked_half, unlabelled, other_folder, untouched)
