"""Marks in overlays and pages, by which `harness predict` recognises them as its own."""

from __future__ import annotations

from pathlib import Path

import av

from harness.data.decoding.video import open_media
from zoo.errors import UserError

MARK = "made by harness predict"
"""The comment in the container of an overlay, and in a page."""

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Endings of overlays, and FFmpeg's names of their containers."""

_LONGEST = 64 << 20  # bytes of a page that are searched


def is_overlay(path: Path) -> bool:
    """Return True if a video is an overlay."""
    try:
        with open_media(path) as container:
            return MARK in {value for name, value in container.metadata.items() if name.lower() == "comment"}
    except (UserError, av.FFmpegError, OSError):
        return False


def is_page(path: Path) -> bool:
    """Return True if a file is a page of a predicted video."""
    if path.suffix.lower() != ".html":
        return False
    try:
        with path.open("rb") as file:
            return f"<!-- {MARK} -->".encode() in file.read(_LONGEST)
    except OSError:
        return False
