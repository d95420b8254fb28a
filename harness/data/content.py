"""Digests of files and crop folders, remembered by size and time so that a large file is read once."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from zoo.passports import cache_dir


def digest(*parts: object) -> str:
    """sha256 over the texts of some parts."""
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file's content."""
    stat = path.stat()
    return _remembered(digest("file", path.resolve(), stat.st_size, stat.st_mtime_ns), lambda: _hash([path]))


def crops_digest(folder: Path) -> str:
    """sha256 over names and content of the .jpg files of a folder."""
    entries = sorted(
        (e.name, e.stat().st_size, e.stat().st_mtime_ns) for e in os.scandir(folder) if e.name.endswith(".jpg")
    )
    return _remembered(
        digest("crops", folder.resolve(), entries), lambda: _hash([folder / name for name, _, _ in entries])
    )


def _hash(paths: list[Path]) -> str:
    sha = hashlib.sha256()
    for path in paths:
        sha.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                sha.update(block)
    return sha.hexdigest()


def _remembered(key: str, compute) -> str:  # type: ignore[no-untyped-def]
    memo = cache_dir() / "digests" / key[:2] / key
    if memo.is_file() and len(text := memo.read_text()) == 64:
        return text
    value: str = compute()
    memo.parent.mkdir(parents=True, exist_ok=True)
    part = memo.with_name(f"{memo.name}.{os.getpid()}")
    part.write_text(value)
    os.replace(part, memo)
    return value
