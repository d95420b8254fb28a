"""The lock of a run's folder: one process trains there, and begins without what a killed one left half-written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.io.atomic import clear_parts
from harness.io.locks import NAME, file_lock


@contextmanager
def run_lock(run: Path | None) -> Iterator[None]:
    """Be the only process that trains in a run's folder, and clear it of what a killed process left half-written.

    Raises UserError if another process trains there. ``run`` is None on ranks other than 0: no lock is taken.
    """
    if run is None:
        yield
        return
    busy = f"{run}: another process is at work on this run; wait for it, stop it, or give this one another --name"
    with file_lock(run / NAME, busy):
        clear_parts(run)
        yield
