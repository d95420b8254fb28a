"""Digests of files, remembered only where the file would show a change."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from zoo import files


@pytest.mark.parametrize(("age", "remembered"), [(0, False), (files.TICK // 2, False), (2 * files.TICK, True)])
def test_a_file_that_is_too_new_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: int, remembered: bool
) -> None:
    """Two changes within one tick of a file system's clock leave size and times as they are."""
    changed = time.time_ns() - age
    monkeypatch.setattr(files, "state_of", lambda path: (3, changed, changed, 1, 1))
    file = tmp_path / "file"
    file.write_bytes(b"one")
    first = files.file_sha256(file)
    file.write_bytes(b"two")
    assert (files.file_sha256(file) == first) == remembered
