"""A plugin file that adds a stream: the words that are spoken, ``TEXT/<video>.csv`` with ``word,start,end`` (seconds
from the first frame), each as a small vector that its letters alone decide. Another embedding would go in its place."""

from __future__ import annotations

import csv
import hashlib

import numpy as np
from torch import nn

from zoo import api
from zoo.errors import UserError
from zoo.modules import Encoder

DIM = 16


def embed(word: str) -> np.ndarray:
    """(16,) of -1 and 1, the same for a word on every machine."""
    bits = np.unpackbits(np.frombuffer(hashlib.sha256(word.lower().encode()).digest()[: DIM // 8], np.uint8))
    return bits.astype(np.float32) * 2 - 1


class TextReader:
    """The mean vector of the words that are spoken at a frame; where nobody speaks the stream is absent."""

    def __init__(self, source):
        self.source = source
        self.path = source.root / "TEXT" / f"{source.name}.csv"
        self.words = list(self._read()) if self.path.is_file() else []

    def _read(self):
        with self.path.open(newline="") as file:
            for number, row in enumerate(csv.DictReader(file), 2):
                try:
                    yield row["word"], float(row["start"]), float(row["end"])
                except (KeyError, TypeError, ValueError):
                    raise UserError(f"{self.path}, line {number}: needs word,start,end in seconds") from None

    def _spoken(self):
        """(frames, words) bool."""
        times = self.source.times()
        return np.array([(times >= start) & (times < end) for _, start, end in self.words]).reshape(-1, len(times)).T

    def present(self):
        return self._spoken().any(1)

    def vectors(self):
        spoken = self._spoken().astype(np.float32)
        table = np.array([embed(word) for word, _, _ in self.words], np.float32).reshape(-1, DIM)
        return spoken @ table / np.maximum(spoken.sum(1, keepdims=True), 1)

    def fingerprint(self):
        times = self.source.times()
        return hashlib.sha256(repr((self.words, times.tolist())).encode()).hexdigest()


class Words(Encoder):
    """(B, T, 16) -> (B, T, dim)."""

    def __init__(self, stream, argument, dim=8):
        super().__init__(dim=dim, input=api.VectorInput(DIM))
        self.net = nn.Sequential(nn.Linear(DIM, dim), nn.GELU())

    def forward(self, vectors):
        return self.net(vectors)


@api.hookimpl
def streams():
    return [
        api.StreamSpec(
            "said",
            TextReader,
            "vectors",
            needs=(),
            default_encoder="words",
            summary="the words that are spoken, TEXT/<video>.csv",
        )
    ]


@api.hookimpl
def encoders():
    return [
        api.EncoderSpec(
            "words",
            Words,
            streams=("said",),
            kind="vectors",
            summary="One layer on hashed words.",
            options={"dim": api.Option(8, "features a frame")},
        )
    ]
