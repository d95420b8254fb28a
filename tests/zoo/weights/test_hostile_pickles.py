"""Nothing in a pickled file is ever run or imported: what is not admitted is named, what makes no sense is told."""

from __future__ import annotations

import os
import pickle
import random
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from tests.support.refusals import Part, refused
from zoo.errors import UserError
from zoo.weights import loading as weights
from zoo.weights import torch_files as pickles
from zoo.weights.pickled_values import Record


def in_zip(path: Path, program: bytes, *, compress: int = zipfile.ZIP_STORED, **more: bytes) -> Path:
    with zipfile.ZipFile(path, "w", compress) as archive:
        archive.writestr("net/data.pkl", program)
        for name, content in {"data/0": bytes(64), **more}.items():
            archive.writestr(f"net/{name}", content)
    return path


def text(words: str) -> bytes:
    return b"X" + len(words).to_bytes(4, "little") + words.encode()


CALLS: dict[str, Callable[[str, str, str], bytes]] = {
    "reduce": lambda m, n, a: b"\x80\x02c%s\n%s\n%s\x85R." % (m.encode(), n.encode(), text(a)),
    "stack": lambda m, n, a: b"\x80\x04%s%s\x93%s\x85R." % (text(m), text(n), text(a)),
    "new": lambda m, n, a: b"\x80\x02c%s\n%s\n%s\x85\x81." % (m.encode(), n.encode(), text(a)),
    "new with names": lambda m, n, a: b"\x80\x04c%s\n%s\n)}%s\x92." % (m.encode(), n.encode(), b""),
    "instance": lambda m, n, a: b"(%si%s\n%s\n." % (text(a), m.encode(), n.encode()),
    "object": lambda m, n, a: b"(c%s\n%s\n%so." % (m.encode(), n.encode(), text(a)),
}


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize(
    "name",
    [
        "posix.system",
        "builtins.eval",
        "os.system",
        "subprocess.Popen",
        "torch.load",
        "torch.hub.load",
        "builtins.getattr",
        "operator.attrgetter",
        "__main__.Net",
        "torch.jit._pickle.build_intlist",
        "timmy.x",
        "argparse.ArgumentParser",
    ],
)
def test_what_is_not_admitted_is_named_and_not_run(tmp_path, how, name):
    module, _, attribute = name.rpartition(".")
    path = in_zip(tmp_path / "net.pt", CALLS[how](module, attribute, f"touch {tmp_path / 'ran'}"))
    with pytest.raises(pickles.RefusedError, match=f"^{name}$"):
        pickles.load(path)
    with refused("weights-hold-objects", file=path, error=name):
        weights.read(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize("name", ["timm.os.system", "torch.nn.os.system", "functools.partial", "timm.data.eval"])
def test_what_is_admitted_is_a_record_and_not_run_either(tmp_path, how, name):
    module, _, attribute = name.rpartition(".")
    found = pickles.load(in_zip(tmp_path / "net.pt", CALLS[how](module, attribute, f"touch {tmp_path / 'ran'}")))
    assert isinstance(found.root, Record)
    assert found.root.what == name
    assert not (tmp_path / "ran").exists()
    assert module not in sys.modules or module == "functools" or module == "timm.data"


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_bomb_deep_in_a_network_is_named(tmp_path, zipped):
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    net[1][0].note = [{"deep": Bomb(tmp_path / "ran")}]
    torch.save(net, tmp_path / "net.pt", _use_new_zipfile_serialization=zipped)
    with refused("weights-hold-objects", error="posix.mkdir"):
        weights.read(tmp_path / "net.pt")
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "net.pt", weights_only=False)
    assert (tmp_path / "ran").exists(), "the bomb is a dud: this test shows nothing"


def test_an_unknown_instruction_is_named(tmp_path):
    path = in_zip(tmp_path / "net.pt", b"\x80\x02\x82\x01.")
    with refused("weights-hold-objects", error="the pickle instruction EXT1"):
        weights.read(path)


STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK%ctQ"


def tensor(shape: bytes, stride: bytes, offset: bytes = b"K\x00", count: int = 16) -> bytes:
    program = b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE % count + offset + shape + stride + b"\x89NtR"
    return b"\x80\x02}" + text("a") + program + b"s."


@pytest.mark.parametrize(
    ("program", "refusal"),
    [
        (
            tensor(b"K\x04K\x05\x86", b"K\x05K\x01\x86"),
            refused("weights-damaged", reason=Part("has more numbers than were stored")),
        ),
        (
            tensor(b"J\xff\xff\xff\x7f\x85", b"K\x00\x85"),
            refused("weights-damaged", reason=Part("has more numbers than were stored")),
        ),  # 8 GB out of 64 bytes
        (tensor(b"K\x04\x85", b"K\x09\x85"), refused("weights-damaged", reason=Part("out of bounds"))),
        (tensor(b"K\x04\x85", b"K\x01\x85", offset=b"K\x0e"), refused("weights-damaged", reason=Part("out of bounds"))),
        (
            tensor(b"J\xff\xff\xff\xff\x85", b"K\x01\x85"),
            refused("weights-damaged", reason=Part("a size that is none")),
        ),
        (
            tensor(b"K\x04\x85", b"K\x01\x85", count=17),
            refused("weights-damaged", reason=Part("are cut or compressed")),
        ),
        (b"\x80\x02" + STORAGE % 16 + b"K\x00\x85R.", refused("weights-damaged", reason=Part("calls what is no name"))),
        (
            b"\x80\x02)" + b"2\x86" * 60 + b"q\x00}h\x00K\x01s.",
            refused("weights-damaged", reason=Part("a nested key")),
        ),  # to hash it would take 2**60 steps
        (b"\x80\x02a.", refused("weights-damaged", reason=Part("IndexError"))),
        (b"\x80\x02K\x01", refused("weights-damaged", reason=Part("pickle exhausted"))),
        (b"\x80\x02K\x01Q.", refused("weights-damaged", reason=Part("a persistent identifier that is no storage"))),
        (
            b"\x80\x02" + (STORAGE % 16).replace(text("0"), b"]")[:-1] + b"Q.",
            refused("weights-damaged", reason=Part("a storage without a key")),
        ),
        (
            b"\x80\x02" + (STORAGE % 16).replace(b"torch\nFloatStorage", b"torch\nSize"),
            refused("weights-damaged", reason=Part("torch.Size is no storage")),
        ),
        (
            b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x00K\x04\x85K\x01\x85tR.",
            refused("weights-damaged", reason=Part("a tensor without a storage")),
        ),
        (
            b"\x80\x02}" + text("a") + b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
            b"(K\x01K\x03\x85cnumpy\ndtype\n(" + text("f4") + b"K\x00K\x01tR\x89C\x04abcdtbs.",
            refused("weights-damaged", reason=Part("that cannot be read")),
        ),  # twelve bytes are declared, and four are there
    ],
)
def test_nonsense_is_told_at_once(tmp_path, program, refusal):
    with refusal as error:
        weights.read(in_zip(tmp_path / "net.pt", program))
    assert "\n" not in str(error.value)


def network(parts: bytes) -> bytes:
    """A record with the parts of a network."""
    empty = text("_parameters") + b"}" + text("_buffers") + b"}" + text("_modules")
    return b"ctimm.models\nNet\n)\x81q%c}(" + empty + b"}(" + parts + b"uub"


def test_a_network_that_contains_itself_is_told(tmp_path):
    program = b"\x80\x02" + network(text("0") + b"h\x00") % 0 + b"."
    with refused("weights-damaged", reason=Part("a network contains itself")):
        weights.read(in_zip(tmp_path / "net.pt", program))


@pytest.mark.parametrize(
    ("place", "part", "reason"),
    [
        ("_parameters", text("a") + b"K\x01", "a is no tensor"),
        ("_modules", text("a") + b"K\x01", "a is no part of a network"),
        ("_modules", text("a" * 1001) + b"N", "names without end"),
    ],
)
def test_a_network_with_other_parts_is_told(tmp_path, place, part, reason):
    whole = network(b"").replace(text(place) + b"}", text(place) + b"}(" + part + b"u")
    with refused("weights-damaged", reason=Part(reason)):
        weights.read(in_zip(tmp_path / "net.pt", b"\x80\x02" + whole % 0 + b"."))


def test_a_network_that_unfolds_without_end_is_told(tmp_path):
    program = b"\x80\x02" + network(b"") % 0
    for level in range(1, 60):  # each holds the one below twice: 2**59 parts
        below = b"h" + bytes([level - 1])
        program += network(text("0") + below + text("1") + below).replace(b"q%c", b"q" + bytes([level]))
    with refused("weights-damaged", reason=Part("a network of more than 100000 parts")):
        weights.read(in_zip(tmp_path / "net.pt", program + b"."))


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"compress": zipfile.ZIP_DEFLATED}, refused("weights-damaged", reason=Part("cut or compressed"))),
        ({"byteorder": b"big"}, refused("weights-damaged", reason=Part("another order of bytes"))),
        ({"constants.pkl": b""}, refused("weights-damaged", reason=Part("TorchScript"))),
    ],
)
def test_other_zip_files_are_told(tmp_path, given, refusal):
    with refusal:
        weights.read(in_zip(tmp_path / "net.pt", tensor(b"K\x04\x85", b"K\x01\x85"), **given))


def test_a_plain_pickle_is_told(tmp_path):
    (tmp_path / "net.pt").write_bytes(pickle.dumps({"a": 1}))
    with refused("weights-damaged", reason=Part("not a file of torch.save")):
        weights.read(tmp_path / "net.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_whatever_is_changed_in_a_file_ends_in_tensors_or_in_one_line(tmp_path, zipped):
    """Two hundred files with a few bytes changed: nothing else than UserError comes out, and nothing is imported."""
    torch.save(timm.create_model("test_efficientnet"), tmp_path / "net.pt", _use_new_zipfile_serialization=zipped)
    whole = bytearray((tmp_path / "net.pt").read_bytes())
    loaded, dice, said = set(sys.modules), random.Random(0), []
    where = whole.index(b"timm.models"), whole.index(b"classifier")
    for _ in range(200):
        changed = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            changed[dice.randrange(*where)] = dice.randrange(256)
        (tmp_path / "bad.pt").write_bytes(changed)
        try:
            weights.read(tmp_path / "bad.pt")
        except UserError as error:
            said.append(str(error))
    assert len(said) > 40
    assert not any("\n" in line for line in said)
    assert set(sys.modules) == loaded
