"""Pickled files are read as torch reads them, whole networks among them."""

from __future__ import annotations

import pickle
import pickletools
import struct
import sys
from collections import Counter, OrderedDict, deque
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from tests.support.refusals import Part, refused
from zoo.weights import loading as weights
from zoo.weights import torch_files as pickles


def same(found, expected) -> bool:
    return list(found) == list(expected) and all(
        found[name].dtype == t.dtype and found[name].shape == t.shape and torch.equal(found[name], t)
        for name, t in expected.items()
    )


def table(path: Path) -> dict[str, torch.Tensor] | None:
    content = pickles.load(path)
    return content.table(content.root)


DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.complex64,
]


def many_tensors() -> dict[str, torch.Tensor]:
    """Of every kind and form."""
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(4, 6, generator=generator)
    found = {str(dtype): (torch.rand(3, 5, generator=generator) * 9).to(dtype) for dtype in DTYPES}
    forms = {
        "view": whole[1:3, ::2],
        "turned": whole.T,
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 3),
        "spread": torch.arange(3)[None],
        "parameter": nn.Parameter(torch.ones(2)),
    }
    return {**found, **forms}


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_every_kind_are_read(tmp_path, zipped):
    torch.save(many_tensors(), tmp_path / "net.pt", _use_new_zipfile_serialization=zipped)
    found = table(tmp_path / "net.pt")
    assert same(found, many_tensors())
    found["view"].add_(1)  # the file itself is not changed
    assert same(table(tmp_path / "net.pt"), many_tensors())


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_every_pickle_protocol_is_read(tmp_path, protocol):
    state = OrderedDict(many_tensors())
    torch.save(state, tmp_path / "net.pt", pickle_protocol=protocol)
    assert same(table(tmp_path / "net.pt"), many_tensors())


class Net(nn.Module):
    """Buffers that are not saved, parts used twice, lists, no bias."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.again = self.norm
        self.register_buffer("table", torch.arange(5.0))
        self.register_buffer("passing", torch.ones(2), persistent=False)
        self.parts = nn.ModuleList([nn.Linear(2, 2), nn.GRU(2, 3)])
        self.nothing = None
        self.register_module("empty", None)
        self.tied = nn.Linear(2, 2)
        self.tied.weight = self.parts[0].weight


Net.__module__, Net.__qualname__ = "torch.nn.modules.made_here", "Net"  # as if it were torch's own


def pickled(net: nn.Module, path: Path, zipped: bool) -> Path:
    module = type(sys)("torch.nn.modules.made_here")
    module.Net = Net
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch.nn.modules.made_here", module)
        torch.save(net, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_network_gives_its_state_dict(tmp_path, zipped):
    """Its class is in no module any more: that does not matter."""
    net = Net()
    found = pickles.load(pickled(net, tmp_path / "net.pt", zipped))
    assert found.root.what == "torch.nn.modules.made_here.Net"
    assert same(found.table(found.root), net.state_dict())


@pytest.mark.parametrize("name", ["test_efficientnet", "test_byobnet", "test_vit", "test_convnext"])
@pytest.mark.parametrize("zipped", [True, False])
def test_whole_networks_of_timm_are_read(tmp_path, name, zipped):
    net = timm.create_model(name, num_classes=8)
    torch.save(net, tmp_path / "net.pt", _use_new_zipfile_serialization=zipped)
    assert same(table(tmp_path / "net.pt"), net.state_dict())


def as_python_2(content: bytes) -> bytes:
    """A pickle of protocol 2 with every text as Python 2 wrote its plain strings."""
    steps = list(pickletools.genops(content))
    ends = [*(start for _, _, start in steps[1:]), len(content)]
    return b"".join(
        b"U" + bytes([len(argument)]) + argument.encode() if code.name == "BINUNICODE" else content[start:end]
        for (code, argument, start), end in zip(steps, ends, strict=True)
    )


def test_a_file_of_python_2_is_read(tmp_path):
    """As Places365 was saved in 2017: the older form, its texts bytes."""
    net = nn.Linear(2, 3).state_dict()
    torch.save({"arch": "resnet18", "state_dict": net}, tmp_path / "net.pt", _use_new_zipfile_serialization=False)
    old = (tmp_path / "net.pt").read_bytes()
    stream, parts = BytesIO(old), []
    for _ in range(5):
        start = stream.tell()
        list(pickletools.genops(stream))
        parts.append(as_python_2(old[start : stream.tell()]))
    (tmp_path / "net.pt").write_bytes(b"".join(parts) + old[stream.tell() :])
    assert b"X\x05\x00\x00\x00" in old
    assert b"X\x05\x00\x00\x00" not in (tmp_path / "net.pt").read_bytes()
    assert same(weights.read(tmp_path / "net.pt"), net)


def test_a_score_beside_the_weights_does_not_matter(tmp_path):
    content = {"best": np.float64(0.5), "seen": {1, 2}, "when": np.arange(3), "state_dict": {"a": torch.ones(2)}}
    torch.save(content, tmp_path / "net.pt")
    assert same(weights.read(tmp_path / "net.pt"), {"a": torch.ones(2)})


FLOATS = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x10%stQ"


def tensor_on(view: bytes) -> bytes:
    """A pickle of a tensor (2, 3) in a storage of 16 floats; ``view``: which part of it, as old versions of torch say."""
    return (
        b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n("
        + FLOATS % view
        + b"K\x01K\x02K\x03\x86K\x03K\x01\x86\x89NtRs."
    )


def in_old_form(path: Path, program: bytes, about: dict[str, object], keys: list[str], numbers: bytes = b"") -> Path:
    head = b"".join(pickle.dumps(value, 2) for value in (pickles.MAGIC, 1001, about))
    path.write_bytes(head + program + pickle.dumps(keys, 2) + numbers)
    return path


def test_a_view_of_a_part_of_the_numbers_is_read(tmp_path):
    """Versions of torch before 0.4 saved views of a storage as storages of their own."""
    numbers = np.arange(16, dtype="<f4")
    program = tensor_on(b"(X\x01\x00\x00\x001K\x04K\x08t")  # numbers 4 to 11; the tensor begins at the second of them
    path = in_old_form(
        tmp_path / "net.pt", program, {"little_endian": True}, ["0"], struct.pack("<q", 16) + numbers.tobytes()
    )
    assert weights.read(path)["a"].tolist() == numbers[5:11].reshape(2, 3).tolist()
    assert torch.equal(torch.load(path)["a"], weights.read(path)["a"])


@pytest.mark.parametrize(
    ("about", "keys", "reason"),
    [({"little_endian": False}, ["0"], "another order of bytes"), ({"little_endian": True}, [], "numbers are missing")],
)
def test_older_files_that_cannot_be_read_say_why(tmp_path, about, keys, reason):
    with refused("weights-damaged", reason=Part(reason)):
        weights.read(in_old_form(tmp_path / "net.pt", tensor_on(b"N"), about, keys))


def test_arrays_without_numbers_are_read(tmp_path):
    content = {"state_dict": {"a": np.zeros((0, 3), np.float32), "b": np.ones(2, np.float64)}}
    torch.save(content, tmp_path / "net.pt")
    found = weights.read(tmp_path / "net.pt")
    assert same(found, {"a": torch.zeros(0, 3), "b": torch.ones(2, dtype=torch.float64)})


def test_what_lists_and_mappings_of_a_users_own_classes_hold_is_not_needed(tmp_path):
    content = {
        "log": deque([1, 2]), "seen": Counter("aab"), "names": {"x", "y"}, "state_dict": {"a": torch.ones(2)},
    }  # fmt: skip
    for protocol in (2, 4):
        torch.save(content, tmp_path / "net.pt", pickle_protocol=protocol)
        assert same(weights.read(tmp_path / "net.pt"), {"a": torch.ones(2)})
