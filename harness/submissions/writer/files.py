"""Put a submission, its manifest and its archive in place: all of them or none."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from harness.io.locks import file_lock
from harness.submissions.writer.row_lists import FOLDERS
from harness.submissions.writer.text import Submission
from leaderboards.record import replace_file
from zoo.errors import UserError
from zoo.files import part_name, reason_of

_OLD = ".old"  # folder inside the hidden folder, for files that are being replaced
_WHEN = (1980, 1, 1, 0, 0, 0)  # the earliest time that an archive can hold: the same content gives the same bytes


def sha256(submission: Submission) -> str:
    """Return the sha256 of the file, or of a folder's lines "<sha256 of file>  <file>" in the order of the names."""
    if not submission.folder:
        return hashlib.sha256(submission.files[submission.name]).hexdigest()
    sums = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(submission.files.items()))
    return hashlib.sha256("".join(sums).encode()).hexdigest()


def zipped(submission: Submission) -> bytes:
    """Return the zip archive of a submission: its files in one flat folder; the same content gives the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in sorted(submission.files.items()):
            entry = zipfile.ZipInfo(name, _WHEN)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
            archive.writestr(entry, content)
    return buffer.getvalue()


def place(
    out: Path,
    submission: Submission,
    beside: Mapping[str, bytes],
    check: Callable[[Path], None],
    retired: Sequence[str] = (),
) -> Path:
    """Write a submission and the files ``beside`` it to ``out``, once ``check`` of the written files has passed.

    ``retired``: names of files of an older submission to remove. Everything is first written to a hidden folder in
    ``out``. On any error the hidden folder is removed, and the old files stay.
    """
    target = out / submission.name
    _check_way(target, submission)
    for name in beside:
        if (out / name).is_dir():
            raise UserError("submission-folder-in-way", file=out / name)
    with file_lock(out.parent / f".{out.name}.lock") if out.parent.is_dir() else nullcontext():
        return _place(out, submission, beside, check, retired)


def _place(
    out: Path,
    submission: Submission,
    beside: Mapping[str, bytes],
    check: Callable[[Path], None],
    retired: Sequence[str],
) -> Path:
    target = out / submission.name
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    part = part_name(out / "submission")
    try:
        _recover(out)
        _stage(part, submission, beside)
        check(part / submission.name)
        _exchange(part, out, [submission.name, *beside], retired)
    except OSError as error:
        raise UserError("submission-not-written", out=out, strerror=reason_of(error)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        for folder in made:  # remove folders that this call made and left empty
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    return target


def _check_way(target: Path, submission: Submission) -> None:
    endings = set(FOLDERS.values())
    if not target.exists() and not target.is_symlink():
        return
    fits = target.is_dir() == submission.folder and not target.is_symlink()
    if not fits or (submission.folder and any(file.suffix not in endings for file in target.iterdir())):
        raise UserError("submission-in-way", target=target)


def _stage(part: Path, submission: Submission, beside: Mapping[str, bytes]) -> None:
    part.mkdir(parents=True)
    folder = part / submission.name if submission.folder else part
    for name, content in submission.files.items():
        replace_file(folder / name, content)
    for name, content in beside.items():
        replace_file(part / name, content)


def _recover(out: Path) -> None:
    """Bring back files that a process had moved aside when it was killed, and remove its hidden folder."""
    for part in out.glob(".submission.*.part"):
        staged = [path for path in part.iterdir() if path.name != _OLD]
        if staged:  # if not, all new files were already in place
            for path in (part / _OLD).glob("*"):
                _remove(out / path.name)
                os.replace(path, out / path.name)
        shutil.rmtree(part)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _exchange(part: Path, out: Path, names: Sequence[str], retired: Sequence[str]) -> None:
    """Replace all old files by the new ones; if one cannot be replaced, bring all old ones back."""
    old = part / _OLD
    old.mkdir()
    undo: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        os.replace(source, target)
        undo.append((target, source))

    try:
        for name in (*retired, *names):
            if (out / name).exists():
                move(out / name, old / name)
        for name in names:
            move(part / name, out / name)
    except BaseException:
        for now, before in reversed(undo):
            os.replace(now, before)
        raise
