"""Temporary folders that do not outlast their process: those of killed processes are removed at the next start.

They may hold people's faces. A lock in the folder shows that its process lives; the system frees the lock however the
process ends.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.io.locks import NAME
from zoo.files import locked

PREFIX = "harness-"
YOUNG = 10.0
"""Age in seconds up to which an unlocked folder may still be in the making."""


@contextmanager
def scratch(what: str) -> Iterator[Path]:
    """Make a temporary folder for the body, and remove those left by killed processes of this user.

    Raises:
        OSError: The folder cannot be made.
    """
    clear_scratch()
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{what}-", ignore_cleanup_errors=True) as folder:
        inner = Path(folder) / "work"
        with locked(Path(folder) / NAME):
            inner.mkdir()
            yield inner


def clear_scratch() -> None:
    """Remove the temporary folders of this program whose process has ended; never one that is in use."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if _is_ours(folder) and time.time() - _made(folder) > YOUNG:
            _remove_unlocked(folder)


def _is_ours(folder: Path) -> bool:
    """Return True if it is a folder, not a link, owned by this user and made by ``scratch``.

    This is checked because any user may create names in /tmp.
    """
    try:
        found = folder.lstat()
    except OSError:
        return False
    mine = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return stat.S_ISDIR(found.st_mode) and mine and (folder / NAME).is_file() and not (folder / NAME).is_symlink()


def _made(folder: Path) -> float:
    try:
        return (folder / NAME).stat().st_mtime
    except OSError:  # its process ended just now
        return time.time()


def _remove_unlocked(folder: Path) -> None:
    from filelock import Timeout

    try:
        with locked(folder / NAME, wait=False):
            shutil.rmtree(folder, ignore_errors=True)
    except (Timeout, OSError):
        return
