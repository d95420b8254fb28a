"""Logger to TensorBoard: one folder of event files for each run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from zoo.api import Scalar


class TensorBoard:
    """Logger of TensorBoard events in ``folder/events``. When a run is resumed, events after ``step`` are dropped.

    Args:
        folder: The folder of the run.
        step: Last step of the earlier part of the run; 0 for a new run.
        figures: Log the pictures of the report too.
    """

    def __init__(self, folder: Path, step: int, figures: bool = False) -> None:
        self.pictures = figures
        self.writer = SummaryWriter(str(folder / "events"), purge_step=step or None, flush_secs=30)

    def settings(self, values: Mapping[str, Scalar]) -> None:
        """Log the settings as text."""
        rows = "\n".join(f"    {name} = {value}" for name, value in values.items())
        self.writer.add_text("settings", rows, 0)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log the values of a step."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def figure(self, name: str, path: Path) -> None:
        """Log a picture."""
        import cv2

        picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        if picture is None:
            raise OSError(f"{path}: cannot be read")
        self.writer.add_image(f"report/{name}", picture, 0, dataformats="HWC")

    def record(self, content: Mapping[str, Any]) -> None:
        """Log the record as text."""
        lines = json.dumps(content, indent=1, ensure_ascii=False).splitlines()
        self.writer.add_text("record", "\n".join(f"    {line}" for line in lines), 0)

    def close(self) -> None:
        """Write the pending events and close the file."""
        self.writer.close()
