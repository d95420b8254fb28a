"""Safetensors files with a digest of their content, so that every reader detects a changed bit."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

DIGEST = "content_sha256"
"""Metadata key for the digest of all names, tensors and other metadata."""


def save(state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write tensors, copied to the CPU, and metadata.

    Raises:
        OSError: The file cannot be written; it has the error number, such as that of a full disk.
    """
    plain = {n: t.detach().cpu().clone(memory_format=torch.contiguous_format) for n, t in state.items()}
    said = {key: value for key, value in metadata.items() if key != DIGEST}
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)  # set by the umask; the library makes files readable by the owner only
    try:
        safetensors.torch.save_file(plain, path, {**said, DIGEST: digest(plain, said)})
    except safetensors.SafetensorError as error:
        if (number := re.search(r"os error (\d+)", str(error))) is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
    _order(path)
    path.chmod(mode)


def _order(path: Path) -> None:
    """Sort the metadata in the header.

    The library writes them in an order that differs between processes, but equal weights must give equal files. The
    other entries of the header follow the positions of the tensors.
    """
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        ordered = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(size)
        if len(ordered) != size:
            raise ValueError(f"{path}: its header would not fit its place")
        file.seek(8)
        file.write(ordered)


def load(path: Path, *, strict: bool = False) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return a file's tensors and metadata.

    A file without a digest, from another writer, is not verified. With ``strict`` it is refused, for callers that can
    make it again.

    Raises:
        ValueError: The content is not what was written.
        safetensors.SafetensorError: It cannot be read.
        OSError: It cannot be read.
    """
    with safetensors.safe_open(path, "pt") as file:
        said: dict[str, str] = file.metadata() or {}
    state: dict[str, Tensor] = safetensors.torch.load_file(path)
    written = said.pop(DIGEST, None)
    if (strict or written is not None) and written != digest(state, said):
        raise ValueError("not what was written: its sha256 differs")
    return state, said


def digest(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Return the sha256 of names, dtypes, shapes and numbers of tensors and of metadata, in any order."""
    sha256 = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(state):
        tensor = state[name]
        sha256.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        sha256.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha256.hexdigest()
