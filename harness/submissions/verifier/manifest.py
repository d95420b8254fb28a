"""Compare a submission with its manifest: any value that was changed since it was written is detected."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from harness.submissions.verifier.findings import Finding
from zoo.errors import UserError
from zoo.files import SETTINGS, open_file, read_bytes
from zoo.tracks import TrackSpec

NAME = "manifest.json"
SEAL = "seal"
"""Key of a manifest under which the digest of its other content is stored."""


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, or of a folder's lines "<sha256 of file>  <file>" in the order of the names."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file())
        return hashlib.sha256("".join(f"{sha256_of(file)}  {file.name}\n" for file in files).encode()).hexdigest()
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(path: Path) -> dict[str, Any]:
    """Return a manifest's content; raise UserError if it is invalid or was changed.

    A manifest of version 0.1 has no digest.
    """
    try:
        content: Any = json.loads(read_bytes(path, SETTINGS))
    except OSError as error:
        raise UserError("manifest-unreadable", file=path, strerror=error.strerror) from None
    except ValueError:
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("sha256"), str) or "track" not in content:
        raise UserError("manifest-invalid", file=path)
    if SEAL in content and content[SEAL] != _seal({key: value for key, value in content.items() if key != SEAL}):
        raise UserError("manifest-invalid", file=path)
    return content


def _seal(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check_manifest(
    manifest: Path, path: Path, edition: str, track: TrackSpec, rows: int, listed: Path | None
) -> list[Finding]:
    """Return the differences between a submission and its manifest."""
    noted = read_manifest(manifest)
    found = []
    for key, is_now in (("edition", edition), ("track", track.name), ("track_version", track.version), ("rows", rows)):
        if key in noted and noted[key] not in (None, is_now):
            found.append(Finding(0, f"{manifest.name}: {key} is {noted[key]!r} there, {is_now!r} here"))
    if path.exists() and (now := sha256_of(path)) != noted["sha256"]:
        found.append(
            Finding(
                0, f"the content was changed after it was written: sha256 {now}, {manifest.name} has {noted['sha256']}"
            )
        )
    of_list = noted.get("list")
    if listed is not None and isinstance(of_list, dict) and of_list.get("sha256") not in (None, sha256_of(listed)):
        found.append(Finding(0, f"{manifest.name}: was written for another list, {of_list.get('name')!r}"))
    return found


def submission_in(path: Path, track: TrackSpec, folder_form: bool) -> Path:
    """Return the submission that a path means: the path itself, or what a folder of `harness submit` holds."""
    if not path.is_dir():
        return path
    if (path / NAME).is_file():
        name = read_manifest(path / NAME).get("file")
        if isinstance(name, str) and Path(name).name == name not in ("", "..") and len(os.fsencode(name)) < 256:
            return path / name
    return path if folder_form else path / track.file
