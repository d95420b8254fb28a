"""Output paths of overlays and pages: a file for one video, a folder for several."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.predicting.inputs import Input
from zoo.errors import UserError
from zoo.files import reason_of


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
            UserError: It is not a file for one video or not a folder for several, or cannot be written.
        """
        ends = ", ".join(self.suffixes)
        if len(videos) > 1 and (self.is_file or self.path.is_file()):
            raise self._must(f"a folder, since there are {len(videos)} videos")
        if not self.is_file and not self.folder_for_one and len(videos) == 1:
            raise self._must(f"a file that ends with {ends}, since there is one video")
        if not self.is_file and not self.path.is_dir() and (self.path.suffix or self.path.is_file()):
            raise self._must(f"a folder, or a file that ends with one of {ends}")
        check_folder(self.option, self.path, self.path.parent if self.is_file else self.path)

    def _must(self, wanted: str) -> UserError:
        return UserError("predict-target-kind", option=self.option, path=self.path, wanted=wanted)


def check_folder(option: str, path: Path, folder: Path | None = None) -> None:
    """Raise UserError if no file can be made in a folder that exists or will be made.

    Args:
        option: The command-line option, for errors.
        path: What the user names with it.
        folder: The folder; None: the path itself.
    """
    folder = path if folder is None else folder
    there = next((place for place in (folder, *folder.absolute().parents) if place.exists()), Path("/"))
    if not there.is_dir():
        wanted = "a folder, but it is a file" if there == path else f"below a folder: {there} is a file"
        raise UserError("predict-target-kind", option=option, path=path, wanted=wanted)
    try:
        with tempfile.TemporaryFile(dir=there):  # permissions alone do not tell: nothing can be made in /proc
            pass
    except OSError as error:
        wanted = f"below a folder that can be written: {there} cannot ({reason_of(error)})"
        raise UserError("predict-target-kind", option=option, path=path, wanted=wanted) from None
