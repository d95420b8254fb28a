"""The arguments of `harness predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.data.decoding.video import VideoInfo
from harness.predicting.marks import CONTAINERS
from harness.predicting.row_writers import STDOUT
from harness.predicting.targets import Target
from zoo.api import VideoAnswers


class PageWriter(Protocol):
    """A function that writes the page of a video (harness.reports.video_page)."""

    def __call__(self, path: Path, video: VideoInfo, people: Sequence[VideoAnswers], about: Mapping[str, Any]) -> None:
        """Write the page of a video; UserError if it cannot be written."""


@dataclass(frozen=True)
class Request:
    """The arguments of `harness predict`.

    Attributes:
        out: The folder of the tables, or STDOUT.
        overlay: A file for one video, a folder for several; None: no overlay.
        page: A file for one video, a folder for several; None: no page.
        write_page: Writes the page.
        settings: ``detector.KEY=VALUE``.
        tta: ``tta.KEY=VALUE``.
    """

    inputs: Sequence[Path]
    model: str | None = None
    out: Path = Path("predictions")
    people: str = "main"
    form: str = "csv"
    overlay: Path | None = None
    device: str | None = None
    plugins: Sequence[Path] = ()
    settings: Sequence[str] = ()
    page: Path | None = None
    write_page: PageWriter | None = None
    tta: Sequence[str] = ()

    @property
    def streams(self) -> bool:
        """True if rows go to standard output."""
        return self.out == STDOUT

    def overlay_target(self) -> Target | None:
        """Return the output path of the overlays."""
        return None if self.overlay is None else Target("--overlay", self.overlay, tuple(CONTAINERS))

    def page_target(self) -> Target | None:
        """Return the output path of the pages.

        A single video must have a file if it is named itself, but not if it is the only one in a named folder.
        """
        if self.page is None:
            return None
        return Target("--report", self.page, (".html",), folder_for_one=any(path.is_dir() for path in self.inputs))
