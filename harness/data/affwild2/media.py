"""The raw videos and crops of a data folder, by annotated name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from harness.data.affwild2.cached_files import Files
from harness.data.affwild2.folder_layout import Layout, crop_folders
from harness.data.affwild2.groups import group_of, without_side
from harness.data.decoding.probe_cache import video_times
from zoo.errors import UserError


class Media:
    """Lookup of raw video and crops by annotated name. ``kind``: of the crops, cropped_aligned or cropped."""

    def __init__(self, layout: Layout, kind: str, files: Files) -> None:
        self.files = files
        self.layout = layout
        self.kind = kind
        self.folders = crop_folders(layout, kind)
        self._lengths: dict[Path, int] = {}

    def video(self, name: str) -> Path | None:
        """Return the raw video file of a name, or None."""
        return self.layout.video_of(name)

    def crops(self, name: str) -> tuple[Path | None, np.ndarray]:
        """Return the crop folder of a name and its frame numbers (k,), counted from 1.

        Of several folders the first that has images is used. Raise UserError if the folders are empty and there is no
        raw video either: nothing of that video can be used.
        """
        for folder in self.folders.get(name, ()):
            frames = self.files.crop_frames(folder)
            if len(frames):
                return folder, frames
        if name in self.folders and self.video(name) is None:
            raise UserError("crops-empty", first=self.folders[name][0], name=name)
        return None, np.zeros(0, np.int32)

    def has(self, name: str) -> bool:
        """Return True if a name has a raw video or crops."""
        return self.video(name) is not None or self.crops(name)[0] is not None

    def length(self, name: str) -> int | None:
        """Return the number of frames of a video without annotation.

        This is the length of the raw file, or else the number of the last crop; None if the video has neither.
        """
        raw = self.video(name)
        if raw is None:
            _, frames = self.crops(name)
            return int(frames[-1]) if len(frames) else None
        if raw not in self._lengths:
            self._lengths[raw] = len(video_times(raw))
        return self._lengths[raw]

    def without_annotation(self, annotated: list[str], groups: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """Return the names that have pictures or sound but no annotation, in two sorted lists.

        The first list has names whose group has no annotated name, the second the others. For a two-person video with
        crops of each person, the names of the crops count. ``groups``: the table of groups.csv.
        """
        taken = {without_side(name) for name in annotated}
        crops = set(self.folders) - set(annotated)
        shown = {without_side(name) for name in crops}
        names = sorted(crops | (set(self.layout.videos) - taken - shown))
        known = {group_of(name, groups) for name in annotated}
        free = [name for name in names if group_of(name, groups) not in known]
        return free, [name for name in names if group_of(name, groups) in known]
