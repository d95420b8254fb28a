"""Files written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from zoo.errors import UserError


def atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name, then rename it: a kill or a full disk leaves the old one.

    UserError where it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except (OSError, RuntimeError) as error:
        full = isinstance(error, OSError) or "write" in str(error).lower()
        if full:
            raise UserError(
                f"{path}: could not be written ({error}); free some space or choose another folder, then run the "
                "command again (a training goes on by `harness run --resume`)"
            ) from None
        raise
    finally:
        with suppress(OSError):  # not there, or its folder is none
            part.unlink()


def clear_parts(folder: Path) -> None:
    """Remove what a killed process left half-written under its temporary names."""
    for part in folder.rglob(".*"):
        if part.is_file():
            part.unlink()
