"""Every rule for streams can fail."""

from __future__ import annotations

import hashlib
import json
import socket

import numpy as np
import pytest

from tests.support.conformance import broken, unproved
from zoo import testing
from zoo.api import StreamSpec
from zoo.errors import UserError
from zoo.registry import registry
from zoo.testing import streams


class Words:
    """A sound reader: word features with time stamps from a file ``words.json`` in the folder."""

    def __init__(self, source):
        file = source.root / "words.json"
        self.source, self.words = source, json.loads(file.read_text()) if file.is_file() else []

    def present(self):
        times = self.source.times()
        return np.array([any(start <= t < end for start, end, _ in self.words) for t in times], bool)

    def fingerprint(self):
        return hashlib.sha256(json.dumps(self.words).encode()).hexdigest()

    def vectors(self):
        out = np.zeros((self.source.n_frames, 3), np.float32)
        for start, end, vector in self.words:
            times = self.source.times()
            out[(times >= start) & (times < end)] = vector
        return out


class OnlineReader(Words):
    def __init__(self, source):
        super().__init__(source)
        socket.getaddrinfo("localhost", 80)


class Counts(Words):
    def present(self):
        return super().present().astype(int)


class Doubles(Words):
    def vectors(self):
        return super().vectors().astype(np.float64)


class AlwaysThere(Words):
    def present(self):
        return np.ones(self.source.n_frames, bool)


class Nameless(Words):
    def fingerprint(self):
        return "words 1"


class Fickle(Words):
    def vectors(self):
        return super().vectors() + np.float32(np.random.default_rng().random())


def source(folder, seed):
    """A second with two words, other ones by another seed."""
    words = [[0.1, 0.4, [1 + seed, 0, 0]], [0.5, 0.9, [0, 1, 0]]]
    (folder / "words.json").write_text(json.dumps(words))
    times = np.arange(25) / 25
    return streams.Source("clip", folder, 25, lambda: times)


def stream(reader):
    return StreamSpec("text", reader, "vectors", (), "none")


CASES = [
    (Words, set()),
    (OnlineReader, {"offline"}),
    (Counts, {"presence"}),
    (Doubles, {"content"}),
    (AlwaysThere, {"nothing_there"}),
    (Nameless, {"fingerprint"}),
    (Fickle, {"repeatable"}),
]


@pytest.mark.parametrize(("reader", "rules"), CASES)
def test_streams(reader, rules):
    assert broken(testing.stream_checks(stream(reader), source=source)) == rules


class Crops:
    """A sound reader of pictures."""

    uses_video = False

    def __init__(self, source):
        self.source = source

    def file(self, index):
        return self.source.crops / f"{index + 1:05d}.jpg"

    def present(self):
        frames = range(self.source.n_frames)
        return np.array([self.source.crops is not None and self.file(i).is_file() for i in frames], bool)

    def fingerprint(self):
        there = np.flatnonzero(self.present())
        return hashlib.sha256(b"".join(self.file(i).read_bytes() for i in there)).hexdigest()

    def image(self, index, frame, size):
        return (
            np.full((size, size, 3), self.file(index).read_bytes()[-9], np.uint8)
            if self.file(index).is_file()
            else None
        )


class OnlyPresent(Crops):
    """Does not expect to be asked for a frame that is absent."""

    def image(self, index, frame, size):
        return np.full((size, size, 3), self.file(index).read_bytes()[-9], np.uint8)


class Black(Crops):
    """Gives a black picture where there is none."""

    def image(self, index, frame, size):
        found = super().image(index, frame, size)
        return np.zeros((size, size, 3), np.uint8) if found is None else found


class Grey(Crops):
    def image(self, index, frame, size):
        found = super().image(index, frame, size)
        return None if found is None else found[..., 0]


@pytest.mark.parametrize(
    ("reader", "rules"),
    [
        (Crops, set()),
        (OnlyPresent, {"content", "fingerprint", "repeatable"}),
        (Black, {"content", "fingerprint", "repeatable"}),
        (Grey, {"content"}),
    ],
)
def test_readers_of_pictures(reader, rules):
    assert broken(testing.stream_checks(StreamSpec("crops", reader, "frames", ("crops",), "lite0"))) == rules


def test_every_rule_is_shown_to_fail():
    assert unproved(streams, CASES) == set()


def test_a_reader_that_finds_nothing_is_excused_not_passed():
    found = {c.rule: c.judge() for c in testing.stream_checks(stream(Words))}
    assert found["content"].state == "excused"
    assert "a source of your own" in found["content"].fault
    assert found["presence"].state == "passed"


def test_a_reader_may_refuse_a_video_without_files_with_one_line():
    class Strict(Words):
        def __init__(self, source):
            super().__init__(source)
            if not self.words:
                raise UserError("words.json is missing")

    assert broken(testing.stream_checks(stream(Strict), source=source)) == set()


@pytest.mark.parametrize("name", ["face", "portrait", "body", "context", "audio"])
def test_the_made_up_video_is_read_by_the_built_in_streams(name):
    """Their rules run in test_everything_registered; here: that none of them is excused."""
    checks = testing.stream_checks(registry.load().get("streams", name))
    assert {check.judge().state for check in checks} == {"passed"}


def test_the_first_rule_broken_is_raised():
    testing.check_stream(stream(Words), source=source)
    with pytest.raises(testing.ConformanceError, match="fingerprint"):
        testing.check_stream(stream(Nameless), source=source)
