"""PyTorch's pickled files, read without running anything (see zoo/inert.py).

So a whole pickled network (``torch.save(net)``, as HSEmotion publishes) gives up its tensors without the code it was
made with: five releases of timm changed that code and made such files unreadable (EmotiEffLib issues 2, 12, 15, 23,
38). Read are torch's zip form (since 1.6) and the one before it. Numbers are mapped from the file, not copied, where
they lie on a multiple of their size.
"""

from __future__ import annotations

import math
import mmap
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from zoo.weights.safe_unpickler import Array, PickleReader, Record, RefusedError, Storage, Stored

__all__ = ["VERSION", "Content", "Record", "RefusedError", "load"]

VERSION = 2  # raise when the same file gives other tensors or names
DTYPES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
}
NUMPY = {
    "f8": torch.float64,
    "f4": torch.float32,
    "f2": torch.float16,
    "i8": torch.int64,
    "i4": torch.int32,
    "i2": torch.int16,
    "i1": torch.int8,
    "u1": torch.uint8,
    "b1": torch.bool,
}
MAGIC = 0x1950A86A20F9469CFC6C  # how the older form begins
MOST = 100_000  # parts of one network: a graph that shares its parts could unfold to any number


@dataclass(frozen=True)
class Content:
    """What a file holds: plain values, with ``Stored`` for tensors and ``Record`` for other objects."""

    root: Any
    file: mmap.mmap

    def table(self, value: Any) -> dict[str, Tensor] | None:
        """Names and tensors, of a mapping that holds tensors only or of a whole network; None for anything else."""
        if isinstance(value, Record) and value.is_network:
            return {name: self._tensor(stored) for name, stored in _parts(value, "", [], [0])}
        names = isinstance(value, Mapping) and bool(value) and all(isinstance(k, str) for k in value)
        if names and all(isinstance(v, Stored | Array) for v in value.values()):
            return {name: self._tensor(v) if isinstance(v, Stored) else _of_numpy(v) for name, v in value.items()}
        return None

    def _tensor(self, stored: Stored) -> Tensor:
        return self._numbers(stored.storage).as_strided(stored.shape, stored.stride, stored.offset)

    def _numbers(self, storage: Storage) -> Tensor:
        """(count,), mapped from the file, or copied where it does not lie on a multiple of its size."""
        if storage.start is None:
            raise ValueError("a tensor's numbers are missing")
        if storage.within is not None:
            return self._numbers(storage.within)[storage.start : storage.start + storage.count]
        dtype, count, start = DTYPES[storage.kind], storage.count, storage.start
        if not count:
            return torch.empty(0, dtype=dtype)
        if start % dtype.itemsize:
            held = bytearray(self.file[start : start + count * dtype.itemsize])
            return torch.frombuffer(held, dtype=dtype, count=count)
        return torch.frombuffer(self.file, dtype=dtype, count=count, offset=start)


def _of_numpy(array: Array) -> Tensor:
    """An array as a tensor; ValueError where its numbers are of a kind that no weights have, or are cut."""
    dtype = NUMPY.get(array.kind)
    if dtype is None or math.prod(array.shape) * dtype.itemsize != len(array.data):
        raise ValueError(f"an array {array.shape} of {array.kind or 'objects'} that cannot be read")
    if not array.data:
        return torch.empty(array.shape, dtype=dtype)
    flat = torch.frombuffer(bytearray(array.data), dtype=dtype)
    if array.columns:
        return flat.reshape(array.shape[::-1]).permute(*range(len(array.shape) - 1, -1, -1)).contiguous()
    return flat.reshape(array.shape)


def load(path: Path) -> Content:
    """Follow a file's pickle. Raises RefusedError for a name that is not admitted, and some other exception for a
    damaged file."""
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        form = _load_zip if content[:4] == b"PK\x03\x04" else _load_old
        return Content(form(file, content), content)


def _parts(network: Record, prefix: str, above: list[Record], count: list[int]) -> Iterator[tuple[str, Stored]]:
    """The tensors of a network under the names that its state_dict() would give them, in the same order."""
    if network in above:
        raise ValueError("a network contains itself")
    passing = network.state.get("_non_persistent_buffers_set") or ()
    own = {**network.state["_parameters"]}
    own.update({name: stored for name, stored in network.state["_buffers"].items() if name not in passing})
    count[0] += 1 + len(own)
    if count[0] > MOST:
        raise ValueError(f"a network of more than {MOST} parts")
    for name, stored in own.items():
        if isinstance(stored, Stored):
            yield f"{prefix}{name}", stored
        elif stored is not None:
            raise ValueError(f"{prefix}{name} is no tensor")
    for name, part in network.state["_modules"].items():
        if isinstance(part, Record) and part.is_network:
            yield from _parts(part, f"{prefix}{name}.", [*above, network], count)
        elif part is not None:
            raise ValueError(f"{prefix}{name} is no part of a network")


def _load_zip(file: IO[bytes], content: mmap.mmap) -> Any:
    """``NAME/data.pkl`` beside one entry a storage, ``NAME/data/KEY``, not compressed."""
    archive = zipfile.ZipFile(file)
    names = set(archive.namelist())
    roots = [name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")]
    if len(roots) != 1 or f"{roots[0]}constants.pkl" in names:
        raise ValueError("a zip file, but not one of torch.save (a TorchScript file holds a program)")
    root = roots[0]
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
        raise ValueError("written on a machine with another order of bytes")

    def storage(kind: str, key: str, count: int) -> Storage:
        entry = archive.getinfo(f"{root}data/{key}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size < count * DTYPES[kind].itemsize:
            raise ValueError(f"the numbers of {entry.filename} are cut or compressed")
        name, extra = struct.unpack_from("<HH", content, entry.header_offset + 26)
        return Storage(kind, count, entry.header_offset + 30 + name + extra)

    return PickleReader(storage).run(BytesIO(archive.read(f"{root}data.pkl")))


def _load_old(file: IO[bytes], content: mmap.mmap) -> Any:
    """Five pickles one after the other (a magic number, a version, the machine, the object, the keys of the storages),
    then for every key the count of its numbers and these."""
    found: dict[str, Storage] = {}

    def storage(kind: str, key: str, count: int) -> Storage:
        return found.setdefault(key, Storage(kind, count))

    if PickleReader(storage).run(file) != MAGIC:
        raise ValueError("not a file of torch.save")
    PickleReader(storage).run(file)
    if PickleReader(storage).run(file).get("little_endian") is not True:
        raise ValueError("written on a machine with another order of bytes")
    root = PickleReader(storage).run(file)
    keys = PickleReader(storage).run(file)
    at = file.tell()
    for key in keys:
        (count,) = struct.unpack_from("<q", content, at)
        if count != found[key].count:
            raise ValueError("the numbers of a tensor are cut")
        found[key].start = at + 8
        at += 8 + count * DTYPES[found[key].kind].itemsize
    return root
