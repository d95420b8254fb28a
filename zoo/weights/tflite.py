"""TensorFlow Lite networks, run unchanged on the CPU by ``ai-edge-litert``."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import UserError, first_line


class TfLite:
    """One network with one input, run on one image at a time. Not thread-safe.

    Raises:
        UserError: ``ai-edge-litert`` is missing (it has no wheel for Intel Macs), or the file is not a TFLite network.
    """

    def __init__(self, path: Path) -> None:
        try:
            library = importlib.import_module("ai_edge_litert.interpreter")
        except (ImportError, OSError) as error:
            raise UserError("tflite-missing", file=path.name, reason=first_line(error)) from None
        try:
            self._net = library.Interpreter(model_path=str(path), num_threads=1)
            self._net.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise UserError("tflite-damaged", file=path, reason=first_line(error)) from None
        self._input = self._net.get_input_details()[0]
        self._outputs = {detail["name"]: detail["index"] for detail in self._net.get_output_details()}

    def __getstate__(self) -> Any:
        raise TypeError("a network of TensorFlow Lite cannot be copied or sent to another process: build it there")

    def run(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network on (H, W, 3) float32; return each output by name, without the batch axis."""
        wanted = tuple(int(side) for side in self._input["shape"])
        self._net.set_tensor(self._input["index"], np.ascontiguousarray(picture, np.float32).reshape(wanted))
        self._net.invoke()
        return {name: self._net.get_tensor(index)[0] for name, index in self._outputs.items()}
