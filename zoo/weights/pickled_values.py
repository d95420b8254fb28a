"""What the pickles of weights hold, besides plain values: names, inert records, storages, tensors and NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

AXES = 64  # torch's own limit
LARGEST = 2**63 - 1  # and of a size


@dataclass(frozen=True, eq=False)
class Name:
    """What a file calls by module and name: never imported."""

    path: str


@dataclass(eq=False)
class Record:
    """An object that was not made: what it would have been made of, and the attributes that were stored for it."""

    what: str
    state: dict[Any, Any] = field(default_factory=dict)

    @property
    def is_network(self) -> bool:
        """Whether it has the parts of a torch module."""
        return {"_parameters", "_buffers", "_modules"} <= self.state.keys()


@dataclass(eq=False)
class Storage:
    """A run of ``count`` numbers of a ``kind`` (one of NUMBERS): from byte ``start`` of the file, when that is known,
    or from number ``start`` of the storage ``within``."""

    kind: str
    count: int
    start: int | None = None
    within: Storage | None = None


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor: how it lies in a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(eq=False)
class Kind:
    """What a NumPy array is made of: ``f4``; ``order`` of the bytes."""

    code: str
    order: str = "|"


@dataclass(eq=False)
class Array:
    """A NumPy array: ``data`` holds its numbers, which are of a ``kind`` such as ``f4``; none while that is not known.
    ``columns``: the first index changes fastest."""

    kind: str = ""
    shape: tuple[int, ...] = ()
    data: bytes = b""
    columns: bool = False

    def fill(self, state: Any, spend: Callable[[int], None]) -> None:
        """Take what the pickle says of it; arrays of objects stay empty."""
        _, shape, kind, columns, data = state
        spend(len(data) if isinstance(data, bytearray) else 0)
        if isinstance(kind, Kind) and isinstance(data, bytes | bytearray) and kind.order in "<|=":
            self.kind, self.shape, self.data = kind.code, sizes(shape), bytes(data)
            self.columns = bool(columns)


def size(value: Any) -> int:
    """A number of things, as a file says it; ValueError where it is none."""
    if not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise ValueError("a size that is none")
    return value


def sizes(values: Any) -> tuple[int, ...]:
    """A shape, or strides; ValueError where it is neither."""
    if len(values) > AXES:
        raise ValueError("a shape that is none")
    return tuple(map(size, values))
