"""Output paths of overlays and pages: a file for one video, a folder for several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.predicting.inputs import Input
from zoo.errors import UserError


@dataclass(frozen=True)
class Target:
    """An output path given by the user.

    Attributes:
        option: The command-line option.
        path: A file or a folder.
        suffixes: Allowed endings of a file's name; files in a folder get the first one.
        folder_for_one: True if a folder is also allowed for one video.
    """

    option: str
    path: Path
    suffixes: tuple[str, ...]
    folder_for_one: bool = True

    @property
    def is_file(self) -> bool:
        """True if the path names a file."""
        return self.path.suffix.lower() in self.suffixes and not self.path.is_dir()

    def of(self, video: Path) -> Path:
        """Return the output file of a video."""
        return self.path if self.is_file else self.path / f"{video.stem}{self.suffixes[0]}"

    def check(self, videos: Sequence[Input]) -> None:
        """Raise UserError if the path cannot be used; call before computing anything.

        Raises:
            UserError: It is not a file for one video or not a folder for several, is an input, or cannot be written.
        """
        ends = ", ".join(self.suffixes)
        if len(videos) > 1 and (self.is_file or self.path.is_file()):
            raise self._must(f"a folder, since there are {len(videos)} videos")
        if not self.is_file and not self.folder_for_one and len(videos) == 1:
            raise self._must(f"a file that ends with {ends}, since there is one video")
        if not self.is_file and self.path.is_file():
            raise self._must(f"a folder, or a file that ends with one of {ends}")
        for video in videos:
            if self.of(video.path).resolve() == video.path.resolve():
                raise self._must("another file than the video")
        place = self.path.parent if self.is_file else self.path
        there = next((folder for folder in (place, *place.absolute().parents) if folder.exists()), Path("/"))
        if not there.is_dir():
            raise self._must(f"below a folder: {there} is a file")
        if not os.access(there, os.W_OK | os.X_OK):
            raise self._must(f"below a folder that can be written: {there} cannot")

    def _must(self, wanted: str) -> UserError:
        return UserError("predict-target-kind", option=self.option, path=self.path, wanted=wanted)
