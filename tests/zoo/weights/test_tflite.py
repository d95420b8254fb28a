"""Networks of TensorFlow Lite: what is wrong with a file or a machine is one line."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path

import numpy as np
import pytest

from plugins.detectors import blazeface
from tests.support.carried import want
from tests.support.refusals import Part, refused
from zoo.weights.cards import find
from zoo.weights.tflite import TfLite


def test_a_machine_without_the_library_is_told(monkeypatch):
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    with refused("tflite-missing", file="net.tflite", reason=Part("ai_edge_litert"), match="Intel Macs"):
        TfLite(Path("net.tflite"))


@pytest.mark.parametrize("content", [None, b"", b"no network" * 100])
def test_a_file_that_is_none_is_told(tmp_path, content):
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "net.tflite"
    if content is not None:
        path.write_bytes(content)
    with refused("tflite-damaged", file=path):
        TfLite(path)


def test_a_picture_gives_every_output_by_its_name():
    want(blazeface.card(), "ai_edge_litert")
    net = TfLite(find(blazeface.card(), download=False))
    out = net.run(np.zeros((128, 128, 3)))
    assert {name: value.shape for name, value in out.items()} == {
        "regressors": (896, 16),
        "classificators": (896, 1),
    }
    again = net.run(np.zeros((128, 128, 3)))
    assert all(np.array_equal(out[name], again[name]) for name in out)
    with pytest.raises(TypeError, match="cannot be copied"):
        pickle.dumps(net)
