"""Input files to predict, found from the paths that the user names, and the problems of the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.data.affwild2.folder_layout import kind_of_file, leads_up
from harness.data.decoding.containers import DOCUMENT
from harness.predicting.marks import CONTAINERS, is_overlay
from zoo.errors import UserError
from zoo.files import name_key, reason_of
from zoo.limits import check_plain

CAMERA_DIGITS = 4  # a longer number is not that of a camera
READABLE = ("video", "still image", "sound")
MOST = 3
"""Names in a note on files that are left out."""


@dataclass(frozen=True)
class Input:
    """A file and its kind, by its name and content: one of READABLE."""

    path: Path
    kind: str


@dataclass
class Inputs:
    """The named inputs.

    Attributes:
        files: The files to predict.
        cameras: Numbers of cameras.
        problems: One for each input that cannot be predicted.
        seen: All files that were named, or found and can be predicted.
        left_out: Files in named folders that cannot be predicted -> their kind, without documents and overlays.
    """

    files: list[Input] = field(default_factory=list)
    cameras: list[int] = field(default_factory=list)
    problems: list[UserError] = field(default_factory=list)
    seen: list[Path] = field(default_factory=list)
    left_out: dict[Path, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of files, cameras and problems."""
        return len(self.files) + len(self.cameras) + len(self.problems)

    @property
    def notes(self) -> list[str]:
        """One line for each kind of file that is left out, as `harness data crop` says it of its folder."""
        kinds: dict[str, list[str]] = {}
        for path, kind in sorted(self.left_out.items()):
            kinds.setdefault(kind, []).append(str(path))
        return [
            f"left out, cannot be predicted ({kind}): {len(names)} "
            f"({', '.join(names[:MOST])}{', ...' * (len(names) > MOST)})"
            for kind, names in sorted(kinds.items())
        ]


def is_run(path: Path) -> bool:
    """Return whether a path is the folder of a run."""
    return os.path.isfile(path / "record.json")  # False for a name that is too long or may not be looked at


def split_run(inputs: Sequence[Path]) -> tuple[list[Path], Path | None]:
    """Separate the run from the inputs of `harness predict RUN VIDEO...`.

    A folder of videos that also contains runs is an input.

    Returns:
        The inputs without the run, and the run; None if no run is named.

    Raises:
        UserError: Several runs are named, or the name of one cannot be written down.
    """
    runs = [path for path in inputs if is_run(path) or os.path.isfile(path / "config.toml")]
    for path in runs:
        check_plain(path)
    if len(runs) > 1:
        raise UserError("predict-model-twice", first=runs[0], second=runs[1])
    return [path for path in inputs if path not in runs], runs[0] if runs else None


def find_inputs(named: Sequence[Path]) -> Inputs:
    """Find the named files, the files in and below the named folders, and the cameras.

    A file that is named twice is predicted once. If two files have the same name, the second one is a problem.
    """
    found = Inputs()
    names: dict[str, Path] = {}
    for path in named:
        try:
            check_plain(path)
            if str(path).isdecimal() and not os.path.exists(path):  # false for a name that is too long
                number = _camera(str(path))
                if number not in found.cameras:
                    _take(f"camera-{number}", path, names)
                    found.cameras.append(number)
                continue
            files = _files(path, found)
        except UserError as error:
            found.problems.append(error)
            continue
        except OSError as error:  # its folder may not be looked into, its name may be too long
            found.problems.append(UserError("predict-not-readable", file=path, kind=reason_of(error)))
            continue
        for file in files:
            try:
                _add(file, names, found)
            except UserError as error:
                found.problems.append(error)
    return found


def _camera(number: str) -> int:
    if not number.isascii() or len(number) > CAMERA_DIGITS:
        raise UserError("predict-camera", number=number)
    return int(number)


def _add(file: Input, names: dict[str, Path], found: Inputs) -> None:
    check_plain(file.path)
    name = name_key(file.path.stem)
    if not _is_taken(name, file.path, names):
        _take(name, file.path, names)
        found.files.append(file)


def _take(name: str, path: Path, names: dict[str, Path]) -> None:
    """Note who has a table's name; raise UserError if another input has it already."""
    if name in names:
        raise UserError("predict-same-name", video=path, part=names[name])
    names[name] = path


def _is_taken(name: str, path: Path, names: dict[str, Path]) -> bool:
    """Return True if this very input was named before, also by way of its folder."""
    return name in names and os.path.realpath(names[name]) == os.path.realpath(path)


def _files(path: Path, found: Inputs) -> list[Input]:
    """Return a file, or the readable files in and below a folder, without overlays that this program wrote there."""
    if path.is_dir():
        files = list(_readable(path, found))
        found.seen += [file.path for file in files]
        if not files:
            raise UserError("predict-folder-empty", folder=path)
        return files
    if not path.exists():
        raise UserError("predict-no-file", video=path)
    found.seen.append(path)
    kind = kind_of_file(path) if path.is_file() else "a pipe or a device"
    if kind not in READABLE:
        raise UserError("predict-not-readable", file=path, kind=kind)
    return [Input(path, kind)]


def _readable(folder: Path, found: Inputs) -> Iterator[Input]:
    """Yield the files that can be predicted, and note the others, except what often lies beside videos."""
    for path in _below(folder, found):
        kind = _kind_below(path)
        if kind not in READABLE:
            if kind != DOCUMENT and path.suffix.lower() != ".txt":
                found.left_out[path] = kind
        elif not (path.suffix.lower() in CONTAINERS and is_overlay(path)):
            yield Input(path, kind)


def _kind_below(path: Path) -> str:
    if os.path.exists(path) and not os.path.isfile(path):
        return "a pipe or a device"
    try:
        return kind_of_file(path)
    except UserError as error:  # of one file, which stops no other
        return f"not readable: {error.fields.get('reason') or error.fields.get('strerror') or error.code}"
    except OSError as error:  # a broken link, a file that may not be read
        return f"not readable: {reason_of(error)}"


def _below(folder: Path, found: Inputs) -> Iterator[Path]:
    """Yield the files in and below a folder that are not hidden. Links to folders are followed, each folder once."""

    def note(error: OSError) -> None:
        found.problems.append(UserError("folder-unreadable", folder=error.filename, strerror=reason_of(error)))

    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, onerror=note, followlinks=True):
        state = os.stat(place)
        if (state.st_dev, state.st_ino) in seen:  # a link to a folder that was already visited
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        inside = (name for name in folders if not name.startswith("."))
        folders[:] = sorted(name for name in inside if not leads_up(os.path.join(place, name)))
        yield from (Path(place) / name for name in sorted(names) if not name.startswith("."))
