"""Inputs for fuzz.py: real files spoilt at random, and files made up by hypothesis in the shape of their format."""

from __future__ import annotations

import io
import json
import pickletools
import random
import struct
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from pyarrow import parquet

TOKENS = [
    b"",
    b" ",
    b"0",
    b"-0",
    b"1",
    b"-1",
    b"-5",
    b"5",
    b"7",
    b"8",
    b"0.5",
    b"1e3",
    b"1e999",
    b"-1e-999",
    b"nan",
    b"NaN",
    b"inf",
    b"-Infinity",
    b"0x1F",
    b"1_000",
    b"1,5",
    b"99999999999999999999",
    b"2147483648",
    b"-2147483649",
    b"9007199254740993",
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\xe2\x80\xa8",
    b"\xc2\x85",
    b"\x0c",
    b"\x0b",
    b"\x1e",
    b"\r",
    b"\r\n",
    b"\n",
    b"\t",
    b'"',
    b"'",
    b'"""',
    b",",
    b",,,,,,,,,,,,,,",
    b";",
    b"|",
    b"\\",
    b"/",
    b"//",
    b"..",
    b"../../..",
    b"../../outside",
    b"/etc/passwd",
    b"~",
    b"~root",
    b"$HOME",
    b"%s%n",
    b"{}",
    b"{video}",
    b"[]",
    b"{",
    b"[",
    b"true",
    b"null",
    b"None",
    b"=1+1",
    b"<script>alert(1)</script>",
    b"video",
    b"image",
    b"id",
    b"frame",
    b"valence",
    b"arousal",
    b"expression",
    "\u0661\u0662\u0663".encode(),
    "\u00b2".encode(),
    "\u202e".encode(),
    "\U0001f600".encode(),
    "\ufeff".encode(),
    b"a" * 300,
    b"x/00001.jpg",
    b"x/00000.jpg",
    b"../00001.jpg",
    b"x/999999.jpg",
    b"x/frame-0.jpg",
    b"x/frame-999999999.jpg",
    b"x 999999999999",
    b"x,99999999",
]
"""What goes wrong in texts: numbers that are none, other line ends, marks of spreadsheets, paths that lead out."""


# --- real files, spoilt -----------------------------------------------------------------------------------------------


def spoilt(seeds: Sequence[bytes], dice: random.Random) -> bytes:
    """One of the files with one to six things done to it."""
    content = dice.choice(seeds)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        content = dice.choice(_CHANGES)(content, seeds, dice)
    return content


def _place(content: bytes, dice: random.Random) -> int:
    """Anywhere, but half of the time near an end, where formats have their tables."""
    near = min(len(content), 64)
    return dice.choice((dice.randint(0, len(content)), dice.randint(0, near), len(content) - dice.randint(0, near)))


def _flip(content: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    at = _place(content, dice)
    return content[:at] + bytes([dice.randrange(256)]) + content[at + 1 :]


def _cut(content: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    return content[: _place(content, dice)] if dice.random() < 0.7 else content[_place(content, dice) :]


def _gone(content: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    at = _place(content, dice)
    return content[:at] + content[at + dice.randint(1, 20) :]


def _put(content: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    at = _place(content, dice)
    return content[:at] + dice.choice(TOKENS) + content[at:]


def _again(content: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    at = _place(content, dice)
    return content[:at] + content[at : at + dice.randint(1, 60)] * dice.choice((1, 1, 2, 50)) + content[at:]


def _spliced(content: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes:
    other = dice.choice(seeds)
    return content[: _place(content, dice)] + other[_place(other, dice) :]


def _number(content: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    """A size or an offset of a binary format."""
    at = _place(content, dice)
    value = dice.choice((0, 1, -1, 2**31 - 1, -(2**31), 2**62, -(2**62), dice.randrange(2**32)))
    packed = struct.pack("<q", value)[: dice.choice((2, 4, 8))]
    return content[:at] + packed + content[at + len(packed) :]


def _field(content: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    """One field of one line is another."""
    lines = content.split(b"\n")
    at = dice.randrange(len(lines))
    fields = lines[at].split(b",")
    fields[dice.randrange(len(fields))] = dice.choice(TOKENS)
    lines[at] = b",".join(fields)
    return b"\n".join(lines)


def _lines(content: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    """Lines twice, gone, exchanged or all with other ends."""
    lines = content.split(b"\n")
    i, j = dice.randrange(len(lines)), dice.randrange(len(lines))
    how = dice.randrange(4)
    if how == 0:
        lines.insert(i, lines[j])
    elif how == 1:
        del lines[i]
    elif how == 2:
        lines[i], lines[j] = lines[j], lines[i]
    return dice.choice((b"\r\n", b"\r", b"\n\n")).join(lines) if how == 3 else b"\n".join(lines)


def _value(content: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    """Of JSON: one value, anywhere, of another kind."""
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return _flip(content, _, dice)
    return json.dumps(changed(tree, dice)).encode()


def changed(tree: Any, dice: random.Random) -> Any:
    """A tree of plain values with one of them changed, left out or of another name."""
    if isinstance(tree, dict) and tree and dice.random() < 0.9:
        key = dice.choice(list(tree))
        if dice.random() < 0.1:
            return {k: v for k, v in tree.items() if k != key}
        return {**tree, key: changed(tree[key], dice)}
    if isinstance(tree, list) and tree and dice.random() < 0.8:
        at = dice.randrange(len(tree))
        return [*tree[:at], changed(tree[at], dice), *tree[at + 1 :]]
    return dice.choice(_VALUES)


_VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**63,
    10**400,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    "..",
    "../../outside",
    "/etc/passwd",
    "\ud800",
    "<script>alert(1)</script>",
    "a|b\\c",
    "=1+1",
    [],
    {},
    [[]],
    [None],
    [1, 2],
    ["x"],
    {"": None},
    {"main": "x"},
    {"main": 0.5},
    [{"name": 3}],
    "x" * 5000,
]
_CHANGES: list[Callable[[bytes, Sequence[bytes], random.Random], bytes]] = [
    _flip,
    _flip,
    _cut,
    _gone,
    _put,
    _put,
    _again,
    _spliced,
    _number,
    _field,
    _field,
    _lines,
    _value,
    _value,
]


# --- made up by hypothesis --------------------------------------------------------------------------------------------

_JSON = st.recursive(
    st.sampled_from(_VALUES) | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def texts(*headers: str) -> st.SearchStrategy[bytes]:
    """Lines of fields below one of the headers, or whatever bytes there may be."""
    field = st.sampled_from(TOKENS) | st.integers().map(lambda n: str(n).encode())
    field |= st.floats(-2, 2).map(lambda x: f"{x:.3g}".encode()) | st.text(max_size=8).map(_encoded)
    field |= st.tuples(st.sampled_from("ab"), st.integers(0, 12)).map(lambda p: f"{p[0]}/{p[1]:05d}.jpg".encode())
    line = st.lists(field, min_size=1, max_size=15).map(b",".join)
    first = st.sampled_from([header.encode() for header in headers] or [b""]) | line
    ends = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r"])
    whole = st.builds(lambda head, lines, end: end.join([head, *lines]), first, st.lists(line, max_size=8), ends)
    return whole | st.binary(max_size=200)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def documents(*keys: str) -> st.SearchStrategy[bytes]:
    """JSON objects that have some of the keys."""
    name = st.sampled_from(keys) if keys else st.text(max_size=8)
    tree = st.dictionaries(name, _JSON, max_size=len(keys) + 1) | _JSON
    return tree.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=100)


def tomls(*keys: str) -> st.SearchStrategy[bytes]:
    """Lines ``key = value`` and ``[section]``."""
    plain = st.sampled_from(TOKENS) | st.integers().map(lambda n: str(n).encode()) | st.floats().map(_floated)
    quoted = st.text(max_size=12).map(lambda text: json.dumps(text).encode())
    value = plain | quoted | st.lists(quoted | plain, max_size=3).map(lambda v: b"[" + b", ".join(v) + b"]")
    value |= st.sampled_from([b"1979-05-27T07:32:00Z", b"07:32:00", b"{ a = 1 }", b"{ a = { b = [1, 2] } }"])
    key = st.sampled_from([key.encode() for key in keys]) | st.text("abc.-_\"' ", max_size=6).map(_encoded)
    line = st.tuples(key, value).map(lambda pair: pair[0] + b" = " + pair[1]) | key.map(lambda k: b"[" + k + b"]")
    return st.lists(line, max_size=8).map(b"\n".join) | st.binary(max_size=100)


def _floated(number: float) -> bytes:
    return repr(number).encode()


def tables(columns: Sequence[str], metadata: Sequence[bytes] = ()) -> st.SearchStrategy[bytes]:
    """Sound parquet files with some of the columns, in kinds that nobody expects."""
    rows = st.shared(st.integers(0, 5), key="rows")
    kinds: list[Callable[[int], st.SearchStrategy[list[Any]]]] = [
        lambda n: st.lists(st.integers(-1, 12) | st.none(), min_size=n, max_size=n),
        lambda n: st.lists(st.integers(1, 5), min_size=n, max_size=n),
        lambda n: st.lists(st.floats(), min_size=n, max_size=n),
        lambda n: st.lists(st.floats(0, 1, width=16), min_size=n, max_size=n),
        lambda n: st.lists(st.text(max_size=5) | st.none(), min_size=n, max_size=n),
        lambda n: st.lists(st.sampled_from(["a", "b", "../x", "a/00001.jpg"]), min_size=n, max_size=n),
        lambda n: st.lists(st.booleans() | st.none(), min_size=n, max_size=n),
        lambda n: st.lists(st.binary(max_size=4), min_size=n, max_size=n),
        lambda n: st.lists(st.lists(st.integers(0, 3), max_size=2), min_size=n, max_size=n),
        lambda n: st.lists(st.datetimes(), min_size=n, max_size=n),
    ]
    column = rows.flatmap(lambda n: st.sampled_from(kinds).flatmap(lambda kind: kind(n)))
    names = st.lists(st.sampled_from([*columns, "other"]), max_size=len(columns) + 1)
    names |= st.just(list(columns))
    notes = st.dictionaries(st.sampled_from([b"x", *metadata]), st.binary(max_size=6), max_size=2)

    def whole(pair: tuple[list[str], dict[bytes, bytes]]) -> st.SearchStrategy[bytes]:
        chosen, noted = pair
        return st.tuples(*[column for _ in chosen]).map(lambda found: _parquet(chosen, found, noted))

    return st.tuples(names, notes).flatmap(whole) | st.binary(max_size=100)


def _parquet(names: Sequence[str], columns: Sequence[list[Any]], noted: dict[bytes, bytes]) -> bytes:
    buffer = io.BytesIO()
    table = pa.Table.from_arrays([pa.array(column) for column in columns], names=list(names))
    parquet.write_table(table.replace_schema_metadata(noted), buffer)
    return buffer.getvalue()


def arrays() -> st.SearchStrategy[bytes]:
    """``.npy`` files of any shape and kind, among them objects, and headers that lie."""
    kind = st.sampled_from(["<f4", "<f8", "<f2", "<i4", "|u1", "|b1", "<c8", "<U3", "|S2", "<M8[s]", "|O", ">f4", "V4"])
    shape = st.lists(st.integers(0, 4), max_size=3).map(tuple)
    lies = st.sampled_from([None, None, "(99999999999, 4)", "(-1, 4)", "(3,", "__import__('os').getcwd()", "((1,2),3)"])
    return st.tuples(kind, shape, lies).map(_npy) | st.binary(max_size=100)


def _npy(parts: tuple[str, tuple[int, ...], str | None]) -> bytes:
    kind, shape, lie = parts
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(shape, kind), allow_pickle=True)
    content = buffer.getvalue()
    return content if lie is None else content.replace(str(shape).encode(), lie.encode(), 1)


def tensors(*keys: str) -> st.SearchStrategy[bytes]:
    """safetensors files: a header of JSON that may say anything, and zeros."""
    entry = st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(["F32", "F16", "I64", "BOOL", "F8_E4M3", "X", 3]),
            "shape": st.lists(st.integers(-1, 4) | st.just(2**62), max_size=3),
            "data_offsets": st.lists(st.integers(0, 64) | st.just(2**63), min_size=2, max_size=2),
        }
    )
    note = st.dictionaries(st.sampled_from([*keys, "format"]), _JSON.map(json.dumps) | st.text(max_size=9), max_size=2)
    name = st.sampled_from(["a", "features", "encoders.face.w", "module.a"])
    header = st.builds(
        lambda parts, noted: {**parts, "__metadata__": noted}, st.dictionaries(name, entry | _JSON, max_size=3), note
    )
    size = st.none() | st.integers(0, 2**63)
    return st.builds(_safetensors, header, size, st.integers(0, 64)) | st.binary(max_size=60)


def _safetensors(header: Any, size: int | None, zeros: int) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + bytes(zeros)


def pickles() -> st.SearchStrategy[bytes]:
    """Zip files of torch.save with a program of random instructions in them, and the bare program."""
    opcodes = [code.code.encode("latin-1") for code in pickletools.opcodes]
    names = [
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch\nFloatStorage\n",
        b"ccollections\nOrderedDict\n",
        b"cos\nsystem\n",
        b"cposix\nsystem\n",
        b"cbuiltins\neval\n",
        b"cbuiltins\nset\n",
        b"ctimm.models\nNet\n",
        b"ctorch.nn\nLinear\n",
        b"X\x07\x00\x00\x00storage",
        b"X\x01\x00\x00\x00a",
        b"X\x01\x00\x00\x000",
        b"X\x0b\x00\x00\x00_parameters",
        b"X\x08\x00\x00\x00_buffers",
        b"X\x08\x00\x00\x00_modules",
    ]
    step = st.sampled_from(opcodes) | st.sampled_from(names) | st.integers(0, 255).map(lambda n: b"K" + bytes([n]))
    step |= st.sampled_from([b"(", b"t", b"Q", b"R", b"}", b"]", b")", b"u", b"s", b"e", b"b", b"\x85", b"\x86", b"2"])
    program = st.lists(step, max_size=25).map(lambda steps: b"\x80\x02" + b"".join(steps) + b".")
    return program.map(_zipped) | program | st.binary(max_size=100)


def _zipped(program: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("net/data.pkl", program)
        archive.writestr("net/data/0", bytes(64))
    return buffer.getvalue()
