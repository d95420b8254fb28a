"""Files that Keras wrote are read as numbers alone, whatever else HDF5 admits."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.support.refusals import Part, refused
from zoo.weights import keras_files
from zoo.weights.loading import read


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "model.h5"


def test_the_numbers_of_a_whole_model_are_read_and_not_its_optimisers(path):
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["model_weights/conv/conv/kernel:0"] = kernel
        file["model_weights/conv/conv/bias:0"] = np.zeros(4, np.float16)
        file["optimizer_weights/iterations:0"] = 7
        file.attrs["model_config"] = "{}"
    state = read(path)
    assert sorted(state) == ["conv/conv/bias:0", "conv/conv/kernel:0"]
    np.testing.assert_array_equal(state["conv/conv/kernel:0"].numpy(), kernel)


def test_a_file_of_weights_alone_is_read(path):
    with h5py.File(path, "w") as file:
        file["dense/dense/kernel:0"] = np.ones((2, 3))
        file["optimizer_weights/m:0"] = np.ones(3)
    assert list(keras_files.load(path)) == ["dense/dense/kernel:0"]


def soft(file: h5py.File, path: Path) -> None:
    file["a"] = h5py.SoftLink("/b")


def external(file: h5py.File, path: Path) -> None:
    with h5py.File(path.with_name("other.h5"), "w") as other:
        other["secret"] = np.ones(3)
    file["a"] = h5py.ExternalLink("other.h5", "secret")


def raw_file(file: h5py.File, path: Path) -> None:
    path.with_name("secret.bin").write_bytes(b"x" * 12)
    file.create_dataset("a", (3,), "f4", external=[(str(path.with_name("secret.bin")), 0, 12)])


def virtual(file: h5py.File, path: Path) -> None:
    with h5py.File(path.with_name("other.h5"), "w") as other:
        other["secret"] = np.ones(3, "f4")
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource(path.with_name("other.h5"), "secret", (3,))
    file.create_virtual_dataset("a", layout)


def text(file: h5py.File, path: Path) -> None:
    file["a"] = "text"


def whole_numbers(file: h5py.File, path: Path) -> None:
    file["a"] = np.arange(3)


def nothing(file: h5py.File, path: Path) -> None:
    file["a"] = h5py.Empty("f4")


def a_type(file: h5py.File, path: Path) -> None:
    file["a"] = np.dtype("f4")


def deep(file: h5py.File, path: Path) -> None:
    file["/".join("a" * 40)] = np.ones(3, "f4")


def circle(file: h5py.File, path: Path) -> None:
    group = file.create_group("a")
    group["b"] = file["/"]


WRONG = [soft, external, raw_file, virtual, text, whole_numbers, nothing, a_type, deep, circle]


@pytest.mark.parametrize("spoil", WRONG, ids=lambda spoil: spoil.__name__)
def test_whatever_is_no_number_of_the_file_is_refused(path, spoil):
    with h5py.File(path, "w") as file:
        spoil(file, path)
    with refused("weights-damaged", file=path):
        read(path)


def test_a_file_that_declares_more_than_it_has_is_refused(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (1 << 40,), "f4", chunks=(1 << 20,))  # nothing is stored: all of it is the fill value
    with refused("memory-inflated", file=path):
        read(path)


def test_many_arrays_are_counted_together(path):
    with h5py.File(path, "w") as file:
        for i in range(40):
            file.create_dataset(f"a{i}", (1 << 20,), "f4", chunks=(1 << 20,))
    with refused("memory-inflated", file=path):
        read(path)


@pytest.mark.parametrize("content", [b"", b"no HDF5", None])
def test_a_damaged_file_is_named(path, content):
    if content is None:
        with h5py.File(path, "w") as file:
            file["a"] = np.ones(1000)
        content = path.read_bytes()[:-4000]
    path.write_bytes(content)
    with refused("weights-damaged", file=path):
        read(path)


def test_an_empty_table_is_named(path):
    h5py.File(path, "w").close()
    with refused("weights-no-table", file=path):
        read(path)


def test_other_suffixes_are_named_with_these(tmp_path):
    (tmp_path / "model.onnx").touch()
    with refused("weights-format", names=Part(".h5, .hdf5")):
        read(tmp_path / "model.onnx")
