"""Alignment of words and frames, by properties that hold for any words and times, and beside a plain loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.streams.spoken_words import BEYOND, SpokenWords, texts_at
from harness.data.streams.transcripts import FOLDER, spread
from tests.support.refusals import refused
from zoo.inputs import HOLD
from zoo.readers import Source, Word

GRID = 1 / 64  # exact in binary, so that shifts are exact


@st.composite
def spoken(draw) -> list[Word]:
    """Words one after the other, with or without pauses."""
    words, now = [], 0.0
    for i in range(draw(st.integers(0, 8))):
        start = now + draw(st.integers(0, 60)) * GRID
        now = start + draw(st.integers(0, 40)) * GRID
        words.append(Word(f"w{i}", start, now))
    return words


TIMES = st.lists(st.integers(0, 600), min_size=1, max_size=20).map(lambda at: np.sort(np.array(at)) * GRID)
SECONDS = st.integers(1, 200).map(lambda n: n * GRID)


def texts(words: list[Word], times: np.ndarray, window: float, ahead: float = 0.0) -> list[str]:
    found, of_frame = texts_at(words, times, window, ahead)
    assert len(set(found)) <= len(found) <= len(times)
    return [found[i] for i in of_frame]


def reader(words: list[Word], times: np.ndarray, folder: Path) -> SpokenWords:
    (folder / FOLDER).mkdir(exist_ok=True)
    rows = "".join(f"{w.text},{w.start!r},{w.end!r}\n" for w in words)
    (folder / FOLDER / "clip.csv").write_text("word,start,end\n" + rows)
    return SpokenWords(Source("clip", folder, len(times), lambda: times))


@settings(max_examples=60, deadline=None)
@given(spoken(), TIMES, SECONDS, st.integers(0, 100).map(lambda n: n * GRID))
def test_a_frame_reads_the_words_of_its_window(words, times, window, ahead) -> None:
    expected = [" ".join(w.text for w in words if w.start <= t + ahead and w.end > t - window) for t in times]
    assert texts(words, times, window, ahead) == expected


@settings(max_examples=40, deadline=None)
@given(spoken(), TIMES, SECONDS, st.integers(1, 300))
def test_moving_the_words_moves_the_texts(words, times, window, steps) -> None:
    shift = steps * GRID
    moved = [Word(w.text, w.start + shift, w.end + shift) for w in words]
    assert texts(moved, times + shift, window) == texts(words, times, window)


@settings(max_examples=40, deadline=None)
@given(spoken(), TIMES, SECONDS, st.data())
def test_no_word_has_an_influence_before_it_begins(words, times, window, data) -> None:
    if not words:
        return
    changed = data.draw(st.integers(0, len(words) - 1))
    other = [Word("other", w.start, w.end) if i == changed else w for i, w in enumerate(words)]
    before = times < words[changed].start
    one, two = texts(words, times, window), texts(other, times, window)
    assert [a for a, b in zip(one, before, strict=True) if b] == [a for a, b in zip(two, before, strict=True) if b]


@settings(max_examples=40, deadline=None)
@given(spoken(), TIMES)
def test_silence_is_absence(tmp_path_factory, words, times) -> None:
    end = np.append(times, 100.0)  # so that no word is beyond the video
    got = reader(words, end, tmp_path_factory.mktemp("words")).present()
    assert got.tolist() == [any(w.start <= t < w.end + HOLD for w in words) for t in end]


@given(st.lists(st.text("abcdefg", min_size=1, max_size=6), min_size=1, max_size=8))
def test_words_share_a_cue_s_time_by_their_letters(words) -> None:
    out = spread(words, 2.0, 5.0)
    assert [w.text for w in out] == words
    letters = sum(map(len, words))
    np.testing.assert_allclose([w.end - w.start for w in out], [3 * len(w) / letters for w in words])
    assert (out[0].start, out[-1].end) == (2.0, 5.0)


def test_a_file_of_another_video_is_refused(tmp_path) -> None:
    times = np.arange(10) / 10
    with refused("transcript-beyond-video", file="clip.csv", start=0.9 + BEYOND + 0.1):
        reader([Word("late", 0.9 + BEYOND + 0.1, 9.0)], times, tmp_path)
    reader([Word("late", 0.9 + BEYOND, 9.0)], times, tmp_path)  # a last cue may outlast the video
