"""What is read back is compared with what was written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.streams.raw_inputs import _keep_sound, _start_of
from harness.io.digests import append_digest, check_appended, check_file, opened, sealed
from harness.io.hashing import file_digest
from tests.support.refusals import refused
from zoo.files import file_sha256
from zoo.weights.cards import cache_dir

PLAIN = st.dictionaries(st.text(), st.none() | st.integers() | st.floats(allow_nan=False) | st.text(), max_size=4)


def flip(path: Path, place: int, bit: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= bit
    path.write_bytes(content)


@given(tree=PLAIN, share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_sealed_object_is_what_was_written_or_refused(tree: dict[str, object], share: float, bit: int) -> None:
    tree = {f"k{key}": value for key, value in tree.items()}
    content = bytearray(json.dumps(sealed(tree)).encode())
    assert opened(json.loads(content), strict=True) == tree
    content[int(len(content) * share)] ^= 1 << bit
    try:
        found = opened(json.loads(content), strict=True)
    except (ValueError, RecursionError):
        return
    assert found == tree  # such as another way to write the same number


def test_an_object_of_0_1_is_read_but_not_by_who_can_make_it_again() -> None:
    assert opened({"a": 1}) == {"a": 1}
    with pytest.raises(ValueError, match="sha256 differs"):
        opened({"a": 1}, strict=True)


@given(content=st.binary(max_size=200), share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_file_that_ends_with_its_digest(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, share: float, bit: int
) -> None:
    path = tmp_path_factory.mktemp("end") / "file"
    path.write_bytes(content)
    assert not check_appended(path)
    append_digest(path)
    assert check_appended(path)
    assert path.read_bytes()[: len(content)] == content
    flip(path, int(path.stat().st_size * share), 1 << bit)
    with pytest.raises(ValueError, match="sha256 differs"):
        check_appended(path)


def test_a_file_is_compared_or_called_unverified(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    known = file_sha256(path)
    check_file(path, known, "make it again")
    with pytest.warns(UserWarning, match="file: unverified, an older version wrote no digest of it; make it again"):
        check_file(path, None, "make it again")
    flip(path, 3)
    with refused("file-changed", file=path, recorded=known[:12], remedy="make it again"):
        check_file(path, known, "make it again")
    path.unlink()
    with refused("file-unreadable", file=path):
        check_file(path, known, "make it again")


def test_kept_sound_is_compared_and_decoded_again(tmp_path: Path) -> None:
    path = tmp_path / "sound.npy"
    _keep_sound(path, np.arange(1000, dtype=np.int16), 0.25)
    meta = path.with_suffix(".json")
    assert _start_of(path) == 0.25
    for file in (path, meta):
        content = file.read_bytes()
        flip(file, len(content) // 2)
        assert _start_of(path) is None
        file.write_bytes(content)
    assert _start_of(path) == 0.25
    meta.write_text(json.dumps({"start": 0.25}))  # as 0.1 wrote
    assert _start_of(path) is None


def test_a_kept_digest_is_compared_and_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("zoo.files.TICK", -1)  # no file counts as too new to be remembered
    path = tmp_path / "video.mp4"
    path.write_bytes(b"content")
    wanted = file_digest(path)
    (memo,) = (file for file in (cache_dir() / "digests").rglob("*") if file.is_file())
    for damaged in (memo.read_text()[:64], "f" * 64 + memo.read_text()[64:]):  # as 0.1 wrote it; another one
        memo.write_text(damaged)
        assert file_digest(path) == wanted
        assert len(memo.read_text()) > 64
