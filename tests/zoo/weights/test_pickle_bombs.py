"""A small file of weights takes little memory, whatever it declares; a large one is read as ever."""

from __future__ import annotations

import pickle
import struct
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support.bombs import read_in_child
from tests.support.refusals import refused
from zoo.weights import loading as weights
from zoo.weights.torch_files import MAGIC

CHILD = subprocess  # several seconds of imports: no unit test
STORAGE = b"(X\x07\x00\x00\x00storagectorch\n%sStorage\nX\x01\x00\x00\x00%cX\x03\x00\x00\x00cpuJ%stQ"
GB = 1 << 30
ZEROS = 400_000_000


def text(words: bytes) -> bytes:
    return b"X" + len(words).to_bytes(4, "little") + words


def tensor(count: int, *, kind: bytes = b"Float", key: bytes = b"0") -> bytes:
    size = struct.pack("<i", count)
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE % (kind, key, size) + b"K\x00J%s\x85K\x01\x85\x89NtR" % size
    )


def in_zip(
    path: Path, program: bytes, numbers: bytes = bytes(64), *, how: int = zipfile.ZIP_STORED, odd: bool = False
) -> Path:
    """A file as torch.save writes them; ``odd``: its numbers begin at an odd byte, and must be copied."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", program, compress_type=how)
        archive.writestr("net/data/0", numbers)
        begin = archive.getinfo("net/data/0").header_offset + 30 + len("net/data/0")
    if odd and begin % 4 == 0:
        return in_zip(path, program + b"#", numbers, odd=True)  # after its end a pickle may have anything
    return path


def many_names(count: int, one: bytes) -> bytes:
    """A table in which ``count`` names share what is made once."""
    names = b"".join(text(b"%d" % i) + b"h\x01" for i in range(count))
    return b"\x80\x02" + one + b"q\x010}(" + names + b"u."


def packed_zeros(path: Path) -> Path:
    return in_zip(path, b"\x80\x02" + text(bytes(ZEROS)) + b".", how=zipfile.ZIP_DEFLATED)


def packed_finer(path: Path) -> Path:
    """By bz2, which unpacks what it finds, whatever is declared."""
    return in_zip(path, b"\x80\x02" + text(bytes(ZEROS)) + b".", how=zipfile.ZIP_BZIP2)


def declared_small(path: Path) -> Path:
    """Deflated zeros that say they are a hundred bytes."""
    packed_zeros(path)
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        begin = content.index(mark) + at
        content[begin : begin + 4] = struct.pack("<I", 100)
    path.write_bytes(content)
    return path


def one_storage_under_many_names(path: Path) -> Path:
    numbers = bytes(4 << 20)
    return in_zip(path, many_names(3000, tensor(1 << 20)), numbers, odd=True)


def one_array_under_many_names(path: Path) -> Path:
    shape = b"J" + struct.pack("<i", 1 << 22) + b"\x85"
    kind = b"cnumpy\ndtype\n" + text(b"u1") + b"\x85R"
    array = b"cnumpy.core.multiarray\n_reconstruct\n)R(K\x01" + shape + kind + b"\x89B" + struct.pack("<I", 1 << 22)
    return in_zip(path, many_names(3000, array + bytes(1 << 22) + b"tb"))


def many_storages_in_one_place(path: Path) -> Path:
    """Keys of the archive that all stand for the same four megabytes: names of entries are not compared with places."""
    program = b"".join(text(b"%d" % i) + tensor(1 << 20, key=b"%c" % (i + 1)) for i in range(100))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", b"\x80\x02}(" + program + b"u.")
        archive.writestr("net/data/0", bytes(4 << 20))
        whole = archive.getinfo("net/data/0")
        for i in range(100):
            again = zipfile.ZipInfo(f"net/data/{chr(i + 1)}")
            again.header_offset, again.file_size, again.compress_size = whole.header_offset, 4 << 20, 4 << 20
            again.CRC = whole.CRC
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
    return path


def beyond_the_file(path: Path) -> Path:
    return in_zip(path, b"\x80\x02}" + text(b"a") + tensor(1 << 30) + b"s.")


def part_larger_than_its_storage(path: Path) -> Path:
    """A view of 2**40 numbers of which there are 16, all the same one."""
    many = b"\x8a\x06" + (1 << 40).to_bytes(6, "little")
    whole = STORAGE[:-2] % (b"Float", b"0", struct.pack("<i", 16)) + b"(X\x01\x00\x00\x00vK\x00" + many + b"ttQ"
    program = b"ctorch._utils\n_rebuild_tensor_v2\n(" + whole + b"K\x00" + many + b"\x85K\x00\x85\x89NtR"
    return in_zip(path, b"\x80\x02}" + text(b"a") + program + b"s.")


def texts_encoded_again_and_again(path: Path) -> Path:
    begin = b"\x80\x02c_codecs\nencode\nq\x02" + text(b"x" * 1_000_000) + b"q\x01X\x06\x00\x00\x00latin1q\x03"
    return in_zip(path, begin + b"]" + b"h\x02h\x01h\x03\x86Ra" * 5000 + b".")


def sets_of_one_list(path: Path) -> Path:
    many = b"](" + b"".join(b"J" + struct.pack("<i", i) for i in range(100_000)) + b"eq\x01"
    return in_zip(path, b"\x80\x02c__builtin__\nset\nq\x02" + many + b"]" + b"h\x02h\x01\x85Ra" * 5000 + b".")


def ordered_of_one_list(path: Path) -> Path:
    many = b"](" + b"".join(b"J" + struct.pack("<i", i) for i in range(100_000)) + b"eq\x01"
    pairs = b"](" + b"h\x01" * 5000 + b"e"
    return in_zip(path, b"\x80\x02ccollections\nOrderedDict\n" + many + pairs + b"\x85R.")


def states_of_one_mapping(path: Path) -> Path:
    state = b"}(" + b"".join(b"J" + struct.pack("<i", i) + b"K\x01" for i in range(100_000)) + b"uq\x01"
    return in_zip(path, b"\x80\x02" + state + b"](" + b"ctimm.x\nNet\n)\x81h\x01b" * 3000 + b"e.")


def sets_alone(path: Path) -> Path:
    return in_zip(path, b"\x80\x04" + b"\x8f" * 3_000_000 + b".")


def marks_alone(path: Path) -> Path:
    return in_zip(path, b"\x80\x04" + b"(" * 4_000_000 + b".")


def names_of_a_megabyte(path: Path) -> Path:
    begin = b"\x80\x04" + text(b"timm." + b"x" * 1_000_000) + b"\x94" + text(b"y") + b"\x94]"
    return in_zip(path, begin + b"h\x00h\x01\x93a" * 5000 + b".")


def old(path: Path, program: bytes, keys: bytes = b"]", rest: bytes = b"") -> Path:
    about = pickle.dumps({"little_endian": True}, 2)
    path.write_bytes(
        pickle.dumps(MAGIC, 2) + pickle.dumps(1001, 2) + about + program + b"\x80\x02" + keys + b"." + rest
    )
    return path


def old_beyond_the_file(path: Path) -> Path:
    program = b"\x80\x02}" + text(b"a") + tensor(1 << 30) + b"s."
    return old(path, program, b"]" + text(b"0") + b"a", struct.pack("<q", 1 << 30))


def old_text_beyond_the_file(path: Path) -> Path:
    return old(path, b"\x80\x04\x8e" + struct.pack("<Q", 100 * GB) + b"x.")


def a_call_for_many_bytes(path: Path) -> Path:
    return in_zip(path, b"\x80\x02cbuiltins\nbytearray\n\x8a\x05" + (10**10).to_bytes(5, "little") + b"\x85R.")


BOMBS: dict[Callable[[Path], Path], str] = {
    packed_zeros: "memory-inflated",
    packed_finer: "weights-damaged",
    declared_small: "weights-damaged",
    one_storage_under_many_names: "memory-inflated",
    one_array_under_many_names: "memory-inflated",
    many_storages_in_one_place: "memory-beyond-file",
    beyond_the_file: "memory-beyond-file",
    part_larger_than_its_storage: "weights-damaged",
    texts_encoded_again_and_again: "memory-inflated",
    sets_of_one_list: "memory-inflated",
    ordered_of_one_list: "weights-damaged",
    states_of_one_mapping: "memory-inflated",
    sets_alone: "memory-inflated",
    marks_alone: "memory-inflated",
    names_of_a_megabyte: "weights-hold-objects",
    old_beyond_the_file: "memory-beyond-file",
    old_text_beyond_the_file: "weights-damaged",
    a_call_for_many_bytes: "weights-no-table",  # an inert record: nothing is called
}


def test_bombs_are_refused_in_little_memory(tmp_path):
    files = [make(tmp_path / f"{make.__name__}.pt") for make in BOMBS]
    assert all(file.stat().st_size < 8_000_000 for file in files)
    found = read_in_child("zoo.weights.loading:read", files)
    assert {name: reading.code for name, reading in found.items()} == {
        f"{make.__name__}.pt": code for make, code in BOMBS.items()
    }
    assert not any("\n" in reading.text for reading in found.values())
    assert all("MemoryError" not in reading.text for reading in found.values())
    assert max(reading.grown for reading in found.values()) < 250, found


def test_an_error_names_the_file_and_what_it_declares(tmp_path):
    path = beyond_the_file(tmp_path / "net.pt")
    with refused("memory-beyond-file", file=path, what="its tensors", declared=4 * GB, limit=path.stat().st_size):
        weights.read(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_what_is_truly_large_or_shared_is_read(tmp_path, zipped):
    """100 MB, 12 names for one of its tensors, as of layers that share their weights."""
    large = torch.arange(20_000_000, dtype=torch.float32)
    state = {"large": large, **{f"layers.{i}": large[:10_000_000] for i in range(12)}}
    torch.save(state, tmp_path / "net.pt", _use_new_zipfile_serialization=zipped)
    found = weights.read(tmp_path / "net.pt")
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


def test_a_long_history_beside_the_weights_does_no_harm(tmp_path):
    history = [{"epoch": i, "loss": i / 7, "names": ["a", str(i)]} for i in range(30_000)]
    torch.save({"state_dict": {"a": torch.ones(2)}, "history": history, "seen": set(range(30_000))}, tmp_path / "n.pt")
    assert list(weights.read(tmp_path / "n.pt")) == ["a"]
