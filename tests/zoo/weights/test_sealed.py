"""Safetensors that carry their own digest."""

from __future__ import annotations

import errno
import resource
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from zoo.weights import sealed

STATE = {
    "a": torch.arange(6.0).reshape(2, 3).T,
    "b": torch.tensor(3, dtype=torch.int64),
    "c": torch.ones(3, dtype=torch.bfloat16),
    "d": torch.tensor([True, False]),
    "e": torch.zeros(0),
}
SAID = {"saw": '[{"edition": "abaw10"}]'}


def test_tensors_and_metadata_come_back(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    sealed.save(STATE, path, SAID)
    found, said = sealed.load(path, strict=True)
    assert said == SAID
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in STATE.items())


@given(st.dictionaries(st.text(), st.text(), min_size=2))
def test_equal_weights_are_equal_files(tmp_path_factory: pytest.TempPathFactory, said: dict[str, str]) -> None:
    """Whatever the order in which they were given or the library keeps them; any text comes back."""
    folder = tmp_path_factory.mktemp("equal")
    for name, pairs in (("a", said.items()), ("b", reversed(said.items()))):
        sealed.save(STATE, folder / name, dict(pairs))
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()
    found, read = sealed.load(folder / "a", strict=True)
    assert read == {key: value for key, value in said.items() if key != sealed.DIGEST}
    assert found.keys() == STATE.keys()


def test_a_file_of_others_is_read_but_not_by_who_can_make_it_again(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({"a": torch.ones(2)}, path)
    assert torch.equal(sealed.load(path)[0]["a"], torch.ones(2))
    with pytest.raises(ValueError, match="sha256 differs"):
        sealed.load(path, strict=True)


def test_the_file_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    path = tmp_path / "weights.safetensors"
    sealed.save(STATE, path, SAID)
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_file_that_may_not_grow_is_an_error_with_its_number(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            sealed.save(STATE, tmp_path / "weights.safetensors", SAID)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG


@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_whatever_bit_flips_the_tensors_are_the_same_or_refused(
    tmp_path_factory: pytest.TempPathFactory, share: float, bit: int
) -> None:
    path = tmp_path_factory.mktemp("flip") / "weights.safetensors"
    sealed.save(STATE, path, SAID)
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 1 << bit
    path.write_bytes(content)
    try:
        found, _ = sealed.load(path, strict=True)
    except (ValueError, OSError, safetensors.SafetensorError, KeyError, TypeError, RuntimeError):
        return
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in STATE.items())
