"""Values in pickled weight files other than plain ones: names, inert records, storages, tensors and NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

AXES = 64  # torch's own limit
LARGEST = 2**63 - 1  # torch's own limit of a size


@dataclass(frozen=True, eq=False)
class Name:
    """A module and name that a file refers to; it is never imported."""

    path: str


@dataclass(eq=False)
class Record:
    """An object that was not constructed: the name of its class, and the attributes stored for it."""

    what: str
    state: dict[Any, Any] = field(default_factory=dict)

    @property
    def is_network(self) -> bool:
        """True if it has the parts of a torch module."""
        return {"_parameters", "_buffers", "_modules"} <= self.state.keys()


@dataclass(eq=False)
class Storage:
    """A run of ``count`` numbers of a ``kind`` (one of NUMBERS).

    ``start`` is its first byte in the file, if known, or its first number in the storage ``within``.
    """

    kind: str
    count: int
    start: int | None = None
    within: Storage | None = None


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor, as its layout in a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(eq=False)
class Kind:
    """A NumPy dtype: ``code`` such as ``f4``, and ``order`` of the bytes."""

    code: str
    order: str = "|"


@dataclass(eq=False)
class Array:
    """A NumPy array: ``data`` holds its numbers, of a ``kind`` such as ``f4``; it is empty until these are known.

    ``columns``: Fortran order, in which the first index changes fastest.
    """

    kind: str = ""
    shape: tuple[int, ...] = ()
    data: bytes = b""
    columns: bool = False

    def fill(self, state: Any, spend: Callable[[int], None]) -> None:
        """Set the array from its pickled state; arrays of objects stay empty."""
        _, shape, kind, columns, data = state
        spend(len(data) if isinstance(data, bytearray) else 0)
        if isinstance(kind, Kind) and isinstance(data, bytes | bytearray) and kind.order in "<|=":
            self.kind, self.shape, self.data = kind.code, sizes(shape), bytes(data)
            self.columns = bool(columns)


def size(value: Any) -> int:
    """Return a number of items as declared by a file; raise ValueError if it is not one."""
    if not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise ValueError("a size that is none")
    return value


def sizes(values: Any) -> tuple[int, ...]:
    """Return a shape or strides; raise ValueError if it is neither."""
    if len(values) > AXES:
        raise ValueError("a shape that is none")
    return tuple(map(size, values))
