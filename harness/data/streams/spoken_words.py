"""Text stream: the words said around each frame's time. Where nobody speaks, the stream is absent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.data.decoding.probe_cache import video_digest
from harness.data.streams.transcripts import find_transcript, read_transcript
from harness.io.hashing import digest
from zoo.errors import UserError
from zoo.files import file_sha256
from zoo.inputs import HOLD
from zoo.readers import Source, Word

BEYOND = 1.0  # seconds after the last frame at which a file's last word may begin


class SpokenWords:
    """Reader of one video's words. Raises UserError if their times do not fit the video."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.file = find_transcript(source.root, source.name, source.video)
        self._words = read_transcript(self.file) if self.file else []
        last = float(source.times()[-1]) if self._words and source.n_frames else 0.0
        if self._words and self._words[-1].start > last + BEYOND:
            start = self._words[-1].start
            raise UserError("transcript-beyond-video", file=self.file, start=start, name=source.name, seconds=last)

    def words(self) -> Sequence[Word]:
        """Return the words in the order of their beginnings."""
        return self._words

    def present(self) -> np.ndarray:
        """Return (n_frames,) bool: frames at which a word is said, or ended at most HOLD seconds ago."""
        times = self.source.times()
        starts, ends = np.array([(w.start, w.end) for w in self._words]).reshape(-1, 2).T
        last = np.searchsorted(starts, times, side="right") - 1  # the newest word that has begun
        spoken: np.ndarray = np.zeros(len(times), bool)
        begun = last >= 0
        spoken[begun] = times[begun] < np.maximum.accumulate(ends)[last[begun]] + HOLD
        return spoken

    def fingerprint(self) -> str:
        """Return a digest of the file's content and, because words are read at the frames' times, of the video's."""
        content = file_sha256(self.file) if self.file else "none"
        video = video_digest(self.source.video) if self.source.video else "none"
        return digest("text", 1, content, video, self.source.n_frames)


def texts_at(words: Sequence[Word], times: np.ndarray, window: float, ahead: float) -> tuple[list[str], np.ndarray]:
    """Return the different texts of a video, and the index of each frame's text (n_frames,).

    The text of a frame at time t has the words that began at t + ``ahead`` or earlier and ended after t - ``window``.

    Args:
        words: Words in the order of their beginnings.
        times: (n_frames,) seconds.
        window: Seconds before the frame.
        ahead: Seconds after the frame.
    """
    starts, ends = np.array([(word.start, word.end) for word in words]).reshape(-1, 2).T
    ends = np.maximum.accumulate(ends)  # rounded times may be out of order
    first = np.searchsorted(ends, times - window, side="right")
    stop = np.maximum(np.searchsorted(starts, times + ahead, side="right"), first)
    spans, of_frame = np.unique(np.stack([first, stop], 1), axis=0, return_inverse=True)
    texts = [" ".join(word.text for word in words[a:b]) for a, b in spans.tolist()]
    return texts, of_frame.reshape(-1)
