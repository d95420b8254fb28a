"""Read PyTorch's pickled files without running any code (see zoo/weights/safe_unpickler.py).

A whole pickled network (``torch.save(net)``, as HSEmotion publishes) therefore gives its tensors without the code it
was made with. Five releases of timm changed that code and made such files unreadable (EmotiEffLib issues 2, 12, 15,
23, 38). Both torch's zip format (since 1.6) and the one before it are read. Numbers are memory-mapped and not copied if
they are aligned to their size. Nothing is allocated that the file does not have room for (zoo.limits).
"""

from __future__ import annotations

import math
import mmap
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from zoo.files import open_file
from zoo.limits import Allowance, check_inflation, check_stored, read_member
from zoo.weights.pickled_values import Array, Record, Storage, Stored
from zoo.weights.safe_unpickler import PickleReader, RefusedError

__all__ = ["VERSION", "Content", "Record", "RefusedError", "load"]

VERSION = 3  # raise it if the same file gives other tensors or names
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
MAGIC = 0x1950A86A20F9469CFC6C  # the first value in the older format
MOST = 100_000  # parts of one network: a graph with shared parts could expand to any number
LONGEST = 1000  # characters of a tensor's name in a network, for the same reason


@dataclass(frozen=True)
class Content:
    """The content of a file: plain values, with ``Stored`` for tensors and ``Record`` for other objects."""

    root: Any
    file: mmap.mmap
    path: Path
    _made: dict[int, Tensor] = field(default_factory=dict)  # by id: numbers shared by many names are copied once

    def table(self, value: Any) -> dict[str, Tensor] | None:
        """Return names and tensors of a mapping that holds tensors only, or of a whole network; None for anything else.

        Raises:
            UserError: With one tensor per name, as they are written and loaded, they would be many times the file.
            ValueError: They are inconsistent.
        """
        found = _named(value)
        if found is None:
            return None
        check_inflation(self.path, "its tensors", sum(map(_bytes, found.values())), len(self.file))
        return {name: self._tensor(v) if isinstance(v, Stored) else self._of_numpy(v) for name, v in found.items()}

    def _of_numpy(self, array: Array) -> Tensor:
        return self._once(array, lambda: _of_numpy(array))

    def _tensor(self, stored: Stored) -> Tensor:
        numbers = self._numbers(stored.storage)  # those of a view begin inside the whole
        return numbers.as_strided(stored.shape, stored.stride, numbers.storage_offset() + stored.offset)

    def _numbers(self, storage: Storage) -> Tensor:
        """Return a storage (count,), mapped from the file, or copied if not aligned to the size of its numbers."""
        if storage.start is None:
            raise ValueError("a tensor's numbers are missing")
        if storage.within is not None:
            return self._numbers(storage.within)[storage.start : storage.start + storage.count]
        dtype, count, start = DTYPES[storage.kind], storage.count, storage.start
        if not count:
            return torch.empty(0, dtype=dtype)
        if start % dtype.itemsize:
            return self._once(storage, lambda: self._copied(dtype, count, start))
        return torch.frombuffer(self.file, dtype=dtype, count=count, offset=start)

    def _copied(self, dtype: torch.dtype, count: int, start: int) -> Tensor:
        held = bytearray(self.file[start : start + count * dtype.itemsize])
        return torch.frombuffer(held, dtype=dtype, count=count)

    def _once(self, what: Any, make: Callable[[], Tensor]) -> Tensor:
        if id(what) not in self._made:  # the root keeps the object alive, so its id is not used again
            self._made[id(what)] = make()
        return self._made[id(what)]


def _named(value: Any) -> dict[str, Stored | Array] | None:
    if isinstance(value, Record) and value.is_network:
        return dict(_parts(value, "", [], [0]))
    names = isinstance(value, Mapping) and bool(value) and all(isinstance(k, str) for k in value)
    if names and all(isinstance(v, Stored | Array) for v in value.values()):
        return dict(value)
    return None


def _bytes(what: Stored | Array) -> int:
    if isinstance(what, Array):
        return len(what.data)
    return math.prod(what.shape) * DTYPES[what.storage.kind].itemsize


def _of_numpy(array: Array) -> Tensor:
    """Convert an array to a tensor; raise ValueError if weights cannot have its dtype, or if its data is cut."""
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
    """Read a file's pickle.

    Raises:
        RefusedError: It refers to a name that is not allowed.
        UserError: It declares more bytes than it has, or unpacks to too many.
        Exception: It is damaged; some ten types occur.
    """
    with open_file(path) as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        root = _load_zip(path, file, content) if content[:4] == b"PK\x03\x04" else _load_old(path, content)
        return Content(root, content, path)


class _Storages:
    """The storages named by a file's pickle, each once. ``place(kind, key, count)`` is the first byte, if known."""

    def __init__(self, path: Path, size: int, place: Callable[[str, str, int], int | None]) -> None:
        self.path, self.size, self.place = path, size, place
        self.found: dict[tuple[str, str, int], Storage] = {}
        self.declared = 0

    def __call__(self, kind: str, key: str, count: int) -> Storage:
        if (kind, key, count) not in self.found:
            self.declared += count * DTYPES[kind].itemsize
            check_stored(self.path, "its tensors", self.declared, self.size)
            self.found[kind, key, count] = Storage(kind, count, self.place(kind, key, count))
        return self.found[kind, key, count]


def _parts(network: Record, prefix: str, above: list[Record], count: list[int]) -> Iterator[tuple[str, Stored]]:
    """Yield the tensors of a network under the names that its state_dict() would give them, in the same order."""
    if network in above:
        raise ValueError("a network contains itself")
    passing = network.state.get("_non_persistent_buffers_set") or ()
    own = {**network.state["_parameters"]}
    own.update({name: stored for name, stored in network.state["_buffers"].items() if name not in passing})
    count[0] += 1 + len(own)
    if count[0] > MOST:
        raise ValueError(f"a network of more than {MOST} parts")
    if len(prefix) > LONGEST or any(len(name) > LONGEST for name in (*own, *network.state["_modules"])):
        raise ValueError("a network whose parts have names without end")
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


def _load_zip(path: Path, file: IO[bytes], content: mmap.mmap) -> Any:
    """Read torch's zip format: ``NAME/data.pkl``, and one entry per storage, ``NAME/data/KEY``, not compressed."""
    archive = zipfile.ZipFile(file)
    names = set(archive.namelist())
    roots = [name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")]
    if len(roots) != 1 or f"{roots[0]}constants.pkl" in names:
        raise ValueError("a zip file, but not one of torch.save (a TorchScript file holds a program)")
    root = roots[0]
    if f"{root}byteorder" in names and read_member(path, archive, f"{root}byteorder") != b"little":
        raise ValueError("written on a machine with another order of bytes")

    def place(kind: str, key: str, count: int) -> int:
        entry = archive.getinfo(f"{root}data/{key}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size < count * DTYPES[kind].itemsize:
            raise ValueError(f"the numbers of {entry.filename} are cut or compressed")
        name, extra = struct.unpack_from("<HH", content, entry.header_offset + 26)
        return entry.header_offset + 30 + name + extra

    program = read_member(path, archive, f"{root}data.pkl")
    spend = Allowance(path, "its pickle", len(program)).spend
    return PickleReader(_Storages(path, len(content), place), spend).run(BytesIO(program))


def _load_old(path: Path, content: mmap.mmap) -> Any:
    """Read the older format: five pickles in a row, then the count and the numbers of each storage.

    The pickles are a magic number, a version, the machine, the object, and the keys of the storages.
    """
    storages = _Storages(path, len(content), lambda kind, key, count: None)
    # Read from the map: reading from a file allocates as many bytes as a text in it declares before it reads them.
    allowance = Allowance(path, "its pickle", len(content))

    def follow() -> Any:
        return PickleReader(storages, allowance.spend).run(cast("IO[bytes]", content))

    if follow() != MAGIC:
        raise ValueError("not a file of torch.save")
    follow()
    if follow().get("little_endian") is not True:
        raise ValueError("written on a machine with another order of bytes")
    root = follow()
    keys = follow()
    at = content.tell()
    found = {storage_key: storage for (_, storage_key, _), storage in storages.found.items()}
    for key in keys:
        (count,) = struct.unpack_from("<q", content, at)
        if count != found[key].count:
            raise ValueError("the numbers of a tensor are cut")
        found[key].start = at + 8
        at += 8 + count * DTYPES[found[key].kind].itemsize
    return root
