"""Decode every picture of a corpus once before a training, to find damaged files and copies across the parts.

It costs less than one epoch of reading. Afterwards nothing is damaged, nothing is skipped in the middle of an epoch,
and no validation picture is trained on: photographs of the web are in several places of one corpus.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from harness.data.corpora.decoding import fill, read_file
from harness.runtime.machine import cores
from harness.runtime.progress import Bar
from zoo.corpora import CorpusTable
from zoo.errors import UserError

CHUNK = 256  # pictures that a thread decodes at once
COPY = "training picture that is also in the validation part"
SIDE = 112  # pixels to which they are resized; damage shows at any size
NAMED = 5  # damaged pictures that the card names


@dataclass(frozen=True, eq=False)
class Checked:
    """The usable pictures of a corpus, and what was found.

    ``fingerprint``: sha256 of the pictures' bytes, labels and parts; ``damaged``: the first names.
    """

    table: CorpusTable
    fingerprint: str
    damaged: tuple[str, ...]


def check_pictures(table: CorpusTable, *, partial_ok: bool, shown: bool = True) -> Checked:
    """Decode all pictures, and leave out training pictures whose file is also in the validation part.

    Args:
        table: The corpus as its reader gives it.
        partial_ok: Leave out and count damaged pictures, instead of raising.
        shown: Show a progress bar.

    Raises:
        UserError: A picture is damaged and not ``partial_ok``, or nothing is left of a part.
    """
    digests = np.zeros((len(table), 16), np.uint8)
    whole = np.zeros(len(table), bool)
    starts = range(0, len(table), CHUNK)
    bar = Bar(total=len(table), desc="checking pictures", unit="picture", shown=shown)
    with bar, ThreadPoolExecutor(cores(), "checking") as pool:
        for start, (chunk, good) in zip(starts, pool.map(partial(_check_chunk, table), starts), strict=True):
            digests[start : start + CHUNK], whole[start : start + CHUNK] = chunk, good
            bar.update(len(good))
    damaged = np.flatnonzero(~whole)
    if len(damaged) and (not partial_ok or len(damaged) == len(table)):
        raise UserError(
            "corpus-pictures-damaged", count=len(damaged), total=len(table), first=table.path(int(damaged[0]))
        )
    copies = table.train & whole & np.isin(_keys(digests), _keys(digests[~table.train & whole]))
    named = tuple(table.files[i].decode(errors="replace") for i in damaged[:NAMED])
    kept = whole & ~copies
    counts = {"damaged picture": len(damaged), COPY: int(copies.sum())}
    left = table.keep(kept, counts)
    for part, mask in (("training", left.train), ("validation", ~left.train)):
        if not mask.any():
            raise UserError("corpus-part-empty", root=table.root, part=part)
    return Checked(left, _fingerprint(left, digests[kept]), named)


def _keys(digests: np.ndarray) -> np.ndarray:
    """Return digests (N, 16) as (N,) keys that can be compared: the first 8 bytes of each."""
    return np.ascontiguousarray(digests[:, :8]).view(np.uint64).ravel()


def _check_chunk(table: CorpusTable, start: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the digests (n, 16) of some pictures' files, and which of them (n,) can be decoded."""
    out = np.empty((SIDE, SIDE, 3), np.uint8)
    stop = min(start + CHUNK, len(table))
    digests, good = np.zeros((stop - start, 16), np.uint8), np.zeros(stop - start, bool)
    for row, i in enumerate(range(start, stop)):
        data = read_file(table, i)
        digests[row] = np.frombuffer(hashlib.blake2b(data, digest_size=16).digest(), np.uint8)
        good[row] = fill(table, i, data, out)
    return digests, good


def _fingerprint(table: CorpusTable, digests: np.ndarray) -> str:
    sha256 = hashlib.sha256()
    for array in (table.files, digests, table.labels, table.train, table.boxes):
        if array is not None:
            sha256.update(np.ascontiguousarray(array).tobytes())
    return sha256.hexdigest()
