"""Unpickle without running any code: neither torch's unpickler nor Python's is used.

A pickle is a small program. A machine of our own follows its instructions. It can make plain values, tensors and inert
records, and has no instruction that imports or calls. The names that a file refers to are treated in three ways. Those
in CALLED are carried out by functions of this file. Those in INERT and all below NETWORKS become a ``Name`` that is
never looked up, and objects made of them a ``Record`` with the stored attributes. Every other name is refused.
Everything is counted before it is made: a few bytes can ask for a copy of the whole file.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from typing import IO, Any

from zoo.weights.pickled_values import Array, Kind, Name, Record, Storage, Stored, size, sizes

NUMBERS = (
    "Double",
    "Float",
    "Half",
    "BFloat16",
    "Long",
    "Int",
    "Short",
    "Char",
    "Byte",
    "Bool",
    "ComplexFloat",
    "ComplexDouble",
)
NETWORKS = ("timm.", "torch.nn.", "torch._C._nn.", "torchvision.models.", "torchvision.ops.")
BUILTINS = (
    *("bool", "bytearray", "bytes", "complex", "dict", "float", "int", "list", "object", "range", "slice", "str"),
    *("tuple", "xrange"),
)
"""Types that calls of `defaultdict(list)` and the like name."""
_CORES = ("numpy.core.multiarray", "numpy._core.multiarray")
INERT = {
    "argparse.Namespace",  # timm's train.py and many others save it with the weights
    *(
        f"pathlib{private}.{kind}Path"
        for private in ("", "._local")
        for kind in ("Posix", "Windows", "PurePosix", "PureWindows")
    ),
    *(f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta", "timezone")),
    *("functools.partial", "types.SimpleNamespace", "decimal.Decimal", "fractions.Fraction"),
    *("uuid.UUID", "uuid.SafeUUID", "collections.Counter", "collections.deque"),
    *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in BUILTINS),
    "torch.device",
    "torch.Size",
    "numpy.ndarray",
    *("numpy.random._pickle.__generator_ctor", "numpy.random._pickle.__bit_generator_ctor"),
    *("numpy.random._pickle.__randomstate_ctor", "numpy.random._pcg64.PCG64", "numpy.random._mt19937.MT19937"),
    *(f"numpy.random.bit_generator.{name}" for name in ("SeedSequence", "__pyx_unpickle_SeedSequence")),
    *("torch.strided", "torch.serialization._get_layout", "torch.complex64", "torch.complex128", "torch.int8"),
    "torch.int16",
    *(f"{core}.scalar" for core in _CORES),  # a best score
    *(f"torch.{name}" for name in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool")),
    *(f"{module}.{name}Storage" for module in ("torch", "torch.cuda") for name in NUMBERS),
}


# Bytes that Python needs for the result of an instruction; one that only moves a value needs a place in a list.
PLACE, NUMBER, ITEM, OBJECT = 8, 40, 100, 400
COSTS = {
    **dict.fromkeys(
        ("EMPTY_LIST", "MARK", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "TUPLE1", "TUPLE2", "TUPLE3"), ITEM
    ),
    **dict.fromkeys(("APPEND", "TUPLE", "LIST", "SETITEM"), ITEM),
    **dict.fromkeys(("EMPTY_DICT", "EMPTY_SET", "FROZENSET", "DICT"), 250),
    **dict.fromkeys(("REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "BINPERSID", "GLOBAL", "STACK_GLOBAL"), OBJECT),
}
LONGEST_NAME = 500


class RefusedError(Exception):
    """A file refers to something that no weights need; the text is its name."""


class PickleReader:
    """A reader of one pickle.

    ``storage(kind, key, count)`` returns the storage for a persistent identifier. ``spend(count)`` is called with the
    number of bytes that are about to be allocated, and raises if they are too many.
    """

    def __init__(self, storage: Callable[[str, str, int], Storage], spend: Callable[[int], None]) -> None:
        self.storage = storage
        self.spend = spend
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self, file: IO[bytes]) -> Any:
        """Return the value that the pickle makes; the file is left at the pickle's end.

        Raises:
            RefusedError: A name or an instruction is not allowed.
            ValueError, KeyError, IndexError, TypeError, AttributeError: The pickle is inconsistent.
        """
        # pickletools parses a pickle and runs nothing. Only instructions that build plain data and tensors are
        # followed; an imported name becomes an inert record, and an instruction that would call it is refused.
        for code, argument, _ in pickletools.genops(file):
            self.spend(COSTS.get(code.name, PLACE) + _bytes(argument))
            if code.name == "STOP":
                return self.stack.pop()
            if code.name in _CONSTANTS:
                self.stack.append(argument)
            elif code.name in _STEPS:
                _STEPS[code.name](self, argument)
            elif code.name not in ("PROTO", "FRAME"):
                raise RefusedError(f"the pickle instruction {code.name}")
        raise ValueError("the pickle has no end")

    def push(self, value: Any) -> None:
        """Push a value on the stack."""
        self.stack.append(value)

    def take(self, count: int) -> tuple[Any, ...]:
        """Pop the topmost values off the stack."""
        return tuple(self.stack.pop() for _ in range(count))[::-1]

    def mark(self, _: Any) -> None:
        """Begin a group."""
        self.marks.append(self.stack)
        self.stack = []

    def group(self) -> list[Any]:
        """Pop the values since the last mark off the stack."""
        found, self.stack = self.stack, self.marks.pop()
        return found

    def fill(self, values: list[Any]) -> None:
        """Add values to the list or set below them; the items of a record are not needed."""
        target = self.stack[-1]
        if isinstance(target, set):
            target.update(map(_key, values))
        elif not isinstance(target, Record):
            target.extend(values)

    def set_items(self, values: list[Any]) -> None:
        """Add keys and values to the mapping below them."""
        if not isinstance(self.stack[-1], Record):
            self.stack[-1].update(_pairs(values))

    def name(self, path: str) -> Name:
        """Return a Name if it is allowed; raise RefusedError otherwise."""
        if len(path) > LONGEST_NAME:  # every use would make a copy
            raise RefusedError(f"{path[:100]}...")
        if path not in CALLED and path not in INERT and not path.startswith(NETWORKS):
            raise RefusedError(path)
        return Name(path)

    def make(self, what: Any, arguments: Any) -> Any:
        """Return the value that stands for a call; no function from outside this file is ever called."""
        if not isinstance(what, Name) or not isinstance(arguments, tuple | list):
            raise ValueError("the pickle calls what is no name")
        self.spend(sum(map(_bytes, arguments)))  # the function copies them, and the pickle may use one many times
        return CALLED[what.path](*arguments) if what.path in CALLED else Record(what.path)

    def build(self, _: Any) -> None:
        """Keep the state of a record; that of other objects (a state_dict's metadata) is not needed."""
        (state,) = self.take(1)
        top = self.stack[-1]
        if isinstance(top, Array) and isinstance(state, tuple):
            top.fill(state, self.spend)
        elif isinstance(top, Kind) and isinstance(state, tuple) and len(state) > 1:
            top.order = str(state[1])
        if isinstance(self.stack[-1], Record):
            for part in state if isinstance(state, tuple) else (state,):  # an object with __slots__ has two
                self.spend(_bytes(part))
                self.stack[-1].state.update(part if isinstance(part, dict) else {})

    def persistent(self, what: Any) -> Any:
        """Return a storage, or in the older format the class of a network, whose source code is ignored."""
        if isinstance(what, tuple) and what[0] == "module":
            return what[1]
        if not isinstance(what, tuple) or what[0] != "storage" or not isinstance(what[1], Name):
            raise ValueError("a persistent identifier that is no storage")
        if not isinstance(what[2], str | int):
            raise ValueError("a storage without a key")
        kind = what[1].path.rpartition(".")[2].removesuffix("Storage")
        if kind not in NUMBERS:
            raise ValueError(f"{what[1].path} is no storage")
        whole = self.storage(kind, str(what[2]), size(what[4]))
        if len(what) > 5 and what[5] is not None:  # a view of a part, as old versions of torch wrote
            _, start, count = what[5]
            if size(start) + size(count) > whole.count:
                raise ValueError("a part of a storage that is larger than the whole")
            return Storage(kind, count, start, whole)
        return whole


# --- stand-ins for the names in a pickle ------------------------------------------------------------------------------


def _bytes(value: Any) -> int:
    """Return roughly the bytes of a value, or of a copy of it, without its place and without its items."""
    if isinstance(value, int):
        return NUMBER + value.bit_length() // 8
    if isinstance(value, str | bytes | bytearray):
        return NUMBER + len(value)
    return ITEM * len(value) if isinstance(value, list | tuple | dict | set | frozenset) else 0


def _key(value: Any) -> Any:
    """Return a key if it is not nested: hashing tuples of tuples can be made to take for ever."""
    if isinstance(value, tuple | frozenset) and any(isinstance(part, tuple | frozenset) for part in value):
        raise ValueError("a nested key")
    return value


def _pairs(values: list[Any]) -> dict[Any, Any]:
    return dict(zip(map(_key, values[::2]), values[1::2], strict=True))


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    return {_key(key): value for key, value in pairs}


def _set(values: Any = ()) -> set[Any]:
    return {_key(value) for value in values}


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> Stored:
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    stored = Stored(storage, size(offset), sizes(shape), sizes(stride))
    if math.prod(stored.shape) > storage.count:
        raise ValueError(f"a tensor {stored.shape} has more numbers than were stored for it")
    return stored


def _first(value: Any, *_: Any) -> Any:
    return value


def _of_type(function: Name, _type: Any, arguments: Any, _state: Any) -> Any:
    """Return a tensor with attributes of its own, without these attributes."""
    return CALLED[function.path](*arguments)


def _encode(text: Any, _encoding: Any = "") -> bytes:
    """Return bytes, which old protocols write as text with one letter per byte."""
    return text.encode("latin1") if isinstance(text, str) else b""


def _no_bytes(*arguments: Any) -> bytes | Record:
    """Return what old protocols write for no bytes at all, the numbers of an empty array."""
    return Record("builtins.bytes") if arguments else b""


CALLED: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _of_type,
    "torch.nn.parameter.Parameter": _first,
    "torch.nn.parameter.Buffer": _first,
    "collections.OrderedDict": _ordered,
    "collections.defaultdict": lambda *_: {},
    "_codecs.encode": _encode,
    **{f"{module}.bytes": _no_bytes for module in ("builtins", "__builtin__")},
    "numpy.dtype": lambda code, *_: Kind(str(code)),
    **{f"{core}._reconstruct": lambda *_: Array() for core in _CORES},
    **{f"{module}.{name}": _set for module in ("builtins", "__builtin__") for name in ("set", "frozenset")},
}
"""Names that are carried out, by functions of this file that stand in for the named ones."""

_CONSTANTS = {
    "INT",
    "BININT",
    "BININT1",
    "BININT2",
    "LONG",
    "LONG1",
    "LONG4",
    "FLOAT",
    "BINFLOAT",
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
    "UNICODE",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE8",
    "BINBYTES",
    "SHORT_BINBYTES",
    "BINBYTES8",
    "BYTEARRAY8",
}


def _remember(m: PickleReader, key: int) -> None:
    m.memo[key] = m.stack[-1]


def _reduce(m: PickleReader, _: Any) -> None:
    m.push(m.make(*m.take(2)))


def _object(m: PickleReader, _: Any) -> None:
    what, *arguments = m.group()
    m.push(m.make(what, arguments))


def _global(m: PickleReader, words: str) -> None:
    m.push(m.name(".".join(words.split(" ", 1))))


def _instance(m: PickleReader, words: str) -> None:
    arguments = m.group()
    _global(m, words)
    m.push(m.make(m.stack.pop(), arguments))


_STEPS: dict[str, Callable[[PickleReader, Any], Any]] = {
    "MARK": PickleReader.mark,
    "POP": lambda m, _: m.take(1) if m.stack else m.group(),
    "POP_MARK": lambda m, _: m.group(),
    "DUP": lambda m, _: m.push(m.stack[-1]),
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "TUPLE": lambda m, _: m.push(tuple(m.group())),
    "TUPLE1": lambda m, _: m.push(m.take(1)),
    "TUPLE2": lambda m, _: m.push(m.take(2)),
    "TUPLE3": lambda m, _: m.push(m.take(3)),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "LIST": lambda m, _: m.push(m.group()),
    "APPEND": lambda m, _: m.fill(list(m.take(1))),
    "APPENDS": lambda m, _: m.fill(m.group()),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "DICT": lambda m, _: m.push(_pairs(m.group())),
    "SETITEM": lambda m, _: m.set_items(list(m.take(2))),
    "SETITEMS": lambda m, _: m.set_items(m.group()),
    "EMPTY_SET": lambda m, _: m.push(set()),
    "ADDITEMS": lambda m, _: m.fill(m.group()),
    "FROZENSET": lambda m, _: m.push(frozenset(map(_key, m.group()))),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _remember),
    "MEMOIZE": lambda m, _: _remember(m, len(m.memo)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, key: m.push(m.memo[key])),
    "GLOBAL": _global,
    "STACK_GLOBAL": lambda m, _: m.push(m.name(".".join(m.take(2)))),
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": lambda m, _: m.push(m.make(*m.take(3)[:2])),
    "OBJ": _object,
    "INST": _instance,
    "BUILD": PickleReader.build,
    "BINPERSID": lambda m, _: m.push(m.persistent(m.take(1)[0])),
}
