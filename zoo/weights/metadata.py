"""Metadata of safetensors files. No heavy imports."""

from __future__ import annotations

from pathlib import Path

import safetensors


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a file of weights; {} if it has none or is damaged, which reading its tensors reports.

    Raises:
        OSError: The file is missing or cannot be opened.
    """
    if path.suffix != ".safetensors":
        return {}
    try:
        with safetensors.safe_open(path, "np") as file:
            said: dict[str, str] | None = file.metadata()
    except safetensors.SafetensorError:
        return {}
    return said or {}
