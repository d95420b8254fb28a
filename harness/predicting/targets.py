"""Where what is made of a video goes: a file for one video, a folder for several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.predicting.inputs import Input
from zoo.errors import UserError


@dataclass(frozen=True)
class Target:
    """A path that the user gave.

    Attributes:
        option: The option that took it.
        path: A file or a folder.
        suffixes: What a file's name ends with; the first one is that of the files in a folder.
        folder_for_one: Whether a folder is admitted for one video too.
    """

    option: str
    path: Path
    suffixes: tuple[str, ...]
    folder_for_one: bool = True

    @property
    def is_file(self) -> bool:
        """Whether it names a file."""
        return self.path.suffix.lower() in self.suffixes and not self.path.is_dir()

    def of(self, video: Path) -> Path:
        """Return the file of a video."""
        return self.path if self.is_file else self.path / f"{video.stem}{self.suffixes[0]}"

    def check(self, videos: Sequence[Input]) -> None:
        """Check the path before anything is computed.

        Raises:
            UserError: It is no file for one video or no folder for several, an input itself, or cannot be written.
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
