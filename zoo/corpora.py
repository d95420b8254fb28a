"""Corpora of labelled pictures: what a reader returns, and what readers share. numpy is imported when one reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import UserError
from zoo.model_cards import Target
from zoo.specs import Spec
from zoo.tracks import Answer

if TYPE_CHECKING:
    import numpy as np

PICTURES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff")
"""Endings of pictures, in lower case."""

Draw = Callable[[Path, Mapping[str, float | str], int, tuple[int, int, int, int]], None]
"""``draw(path, labels, side, box)`` writes a made-up picture of ``side`` pixels with a face in ``box`` (x, y, w, h)."""


@dataclass(frozen=True, eq=False)
class CorpusTable:
    """The N usable pictures of a corpus with their labels. Arrays, not lists: a corpus has some 300,000 pictures.

    Attributes:
        root: The folder of the corpus.
        answers: What is labelled; class names are those of the corpus, in the order of the numbers in ``labels``.
        files: (N,) bytes, the pictures' paths below ``root``, with ``/``.
        labels: (N, A) float32 in the order of ``answers``, NaN where unlabelled.
        train: (N,) bool, True in the official training part, False in the official validation or test part.
        boxes: (N, 4) int32, x, y, width, height of the face in pixels; None if a picture is a face crop already.
        groups: (N,) bytes, the person or the source; None if the corpus does not say.
        left_out: Reason -> number of rows or pictures that are not in the table.
    """

    root: Path
    answers: tuple[Answer, ...]
    files: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    boxes: np.ndarray | None = None
    groups: np.ndarray | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.files)

    def path(self, i: int) -> Path:
        """Return the path of picture ``i``."""
        return self.root / os.fsdecode(bytes(self.files[i]))

    def keep(self, mask: np.ndarray, left_out: Mapping[str, int] | None = None) -> CorpusTable:
        """Return the pictures of a (N,) bool mask; ``left_out`` (reason -> count) is added to the counts."""
        counts = dict(self.left_out)
        for reason, count in (left_out or {}).items():
            if count:
                counts[reason] = counts.get(reason, 0) + count
        boxes, groups = (None if each is None else each[mask] for each in (self.boxes, self.groups))
        return CorpusTable(
            self.root, self.answers, self.files[mask], self.labels[mask], self.train[mask], boxes, groups, counts
        )


@dataclass(frozen=True)
class CorpusSpec(Spec):
    """``build(root, partial, **options)`` -> CorpusTable: read one published layout of a corpus.

    The reader refuses pictures without labels, labels without pictures and rows that are not what is published; with
    ``partial`` it leaves them out and counts them.

    Attributes:
        data: The corpus's name in model cards ("AffectNet").
        terms: The terms of its pictures and labels.
        targets: What it labels: "expr" (one class answer), "va" (valence and arousal).
        split: The official parts, in a few words.
        forms: The published forms that the reader knows; the first is the default of ``sample``.
        sample: ``sample(root, form, count, draw, seed)`` writes ``count`` made-up pictures, about a fifth of them of
            the validation part, in a published form. ``draw`` (see ``Draw``) makes the pictures.

    Examples:
        >>> from zoo.api import CorpusSpec
        >>> spec = CorpusSpec("mine", "my_corpus:read", data="Mine", terms="research only", targets=("expr",))
        >>> spec.targets, spec.forms
        (('expr',), ())
    """

    data: str = ""
    terms: str = ""
    targets: tuple[str, ...] = ()
    split: str = ""
    forms: tuple[str, ...] = ()
    sample: Target | None = None


def list_pictures(folder: Path) -> np.ndarray:
    """Return the pictures below a folder, sorted: (N,) bytes, their paths from there, with ``/``.

    Raises:
        UserError: The folder does not exist or cannot be read.
    """
    import numpy as np

    found = np.array([os.fsencode(name) for name in _walk(folder, "")], dtype=bytes)
    found.sort()
    return found


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    yield from _walk(folder / entry.name, f"{prefix}{entry.name}/")
                elif entry.name.lower().endswith(PICTURES):
                    yield prefix + entry.name
    except OSError as error:
        raise UserError("corpus-unreadable", file=folder, reason=error.strerror) from error


def find_below(root: Path, folders: Sequence[str], wanted: str) -> Path | None:
    """Return the first of ``root / folder / wanted`` that exists; None if none does."""
    return next((root / folder / wanted for folder in folders if (root / folder / wanted).exists()), None)


def with_pictures(
    folder: Path, labelled: np.ndarray, *, partial: bool, found: np.ndarray | None = None
) -> tuple[np.ndarray, dict[str, int]]:
    """Compare labelled names with the pictures in a folder.

    Args:
        folder: The folder of the pictures.
        labelled: (N,) bytes, the names that have a label, as ``list_pictures`` gives them.
        partial: Leave out and count what has no partner, instead of raising.
        found: (M,) bytes, the pictures, if they are listed already.

    Returns:
        (N,) bool, the names with a picture; and reason -> count of what is left out.

    Raises:
        UserError: A label has no picture, or a picture no label, and not ``partial``.
    """
    import numpy as np

    found = list_pictures(folder) if found is None else found
    has = np.isin(labelled, found)
    spare = ~np.isin(found, labelled)
    lacking, unlabelled = int((~has).sum()), int(spare.sum())
    if lacking and (not partial or lacking == len(labelled)):
        first = os.fsdecode(bytes(labelled[~has][0]))
        raise UserError("corpus-pictures-missing", folder=folder, count=lacking, total=len(labelled), first=first)
    if unlabelled and not partial:
        first = os.fsdecode(bytes(found[spare][0]))
        raise UserError("corpus-labels-missing", folder=folder, count=unlabelled, total=len(found), first=first)
    counts = {"label without picture": lacking, "picture without label": unlabelled}
    return has, {reason: count for reason, count in counts.items() if count}


def check_names(folder: Path, pictures: np.ndarray, names: np.ndarray) -> None:
    """Raise UserError if two pictures (N,) have one name (N,) by which they are labelled: either may be meant."""
    order = names.argsort(kind="stable")
    same = (names[order[1:]] == names[order[:-1]]).nonzero()[0]
    if len(same):
        first, second = (os.fsdecode(bytes(pictures[order[same[0] + k]])) for k in (0, 1))
        raise UserError("corpus-label-shared", folder=folder, first=first, second=second)


def check_rows(
    file: Path, good: np.ndarray, values: Sequence[object] | np.ndarray, name: str, wanted: str, first_line: int = 1
) -> None:
    """Raise UserError that names the first row (N,) that is not good, with its line and value."""
    if not good.all():
        row = int(good.argmin())
        raise UserError("corpus-row", file=file, line=first_line + row, name=name, wanted=wanted, got=str(values[row]))


def wrong_folder(root: Path, name: str, wanted: object, hint: str = "") -> UserError:
    """Return the error for a folder that is none of a corpus: ``wanted`` is not there; ``hint``: what it may be."""
    return UserError("corpus-folder", root=root, name=name, wanted=wanted, hint=hint)


def wrong_columns(file: Path, lacking: Sequence[str], wanted: Sequence[str]) -> UserError:
    """Return the error for a list whose header lacks columns."""
    return UserError("corpus-columns", file=file, names=", ".join(lacking), wanted=",".join(wanted))
