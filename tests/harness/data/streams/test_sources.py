"""Needs of streams, which are checked before anything of a data folder is read."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.data.index.index import Index, Video
from harness.data.streams.sources import ASSUMED_RATE, check_needs
from harness.data.streams.transcripts import FOLDER
from tests.support.refusals import refused
from zoo.api import StreamSpec
from zoo.registry.registry import load
from zoo.registry.tracks import find_track


def index_of(root: Path, video: Path | None) -> Index:
    edition, track = find_track(load([]), "va", None)
    all_frames, crops = np.ones(3, bool), root / "cropped_aligned" / "clip"
    found = Video("clip", "clip", "train", 3, video, crops, all_frames, np.zeros((3, 2), np.float32), all_frames)
    return Index(root, edition, track, "VA", (found,), None, ())


def streams(*names: str) -> list[StreamSpec]:
    return [load([]).get("streams", name) for name in names]  # type: ignore[misc]


def test_texts_are_looked_for_only_if_a_stream_reads_them(tmp_path) -> None:
    (tmp_path / FOLDER).mkdir()
    for ending in (".srt", ".vtt"):
        (tmp_path / FOLDER / f"clip{ending}").write_text("")
    index = index_of(tmp_path, tmp_path / "clip.mp4")
    check_needs(index, streams("face"))
    with refused("transcript-twice", name="clip"):
        check_needs(index, streams("face", "text"))


def test_tables_next_to_a_video_are_no_words(tmp_path) -> None:
    for ending in (".json", ".csv"):
        (tmp_path / f"clip{ending}").write_text("something else")
    with refused("stream-needs", root=tmp_path, name="text", value="crops, video"):
        check_needs(index_of(tmp_path, tmp_path / "clip.mp4"), streams("text"))


def test_words_without_a_video_are_aligned_with_a_warning(tmp_path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "clip.srt").write_text("")
    index = index_of(tmp_path, None)
    index = replace(index, videos=(*index.videos, replace(index.videos[0], name="silent")))
    with pytest.warns(UserWarning, match=rf"1 of 1 videos .* \(clip\): .* {ASSUMED_RATE:g} frames per second") as seen:
        check_needs(index, streams("face", "text"))
    assert len(seen) == 1
    with warnings.catch_warnings(action="error"):
        check_needs(index, streams("face"))
        check_needs(index_of(tmp_path, tmp_path / "clip.mp4"), streams("text"))
