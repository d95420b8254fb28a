"""Indexes of the synthetic folders of tests."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from harness.data.affwild2.build import build_index
from harness.data.index.index import Index, Video
from plugins.editions import abaw10
from zoo.tracks import TrackSpec


def track(edition: ModuleType, name: str) -> TrackSpec:
    return next(track for track in edition.EDITION.tracks if track.name == name)


def index_va(root: Path, **options: object) -> Index:
    return build_index(root, abaw10.EDITION, track(abaw10, "va"), **options)  # type: ignore[arg-type]


def video(index: Index, name: str) -> Video:
    (found,) = [video for video in index.videos if video.name == name]
    return found
