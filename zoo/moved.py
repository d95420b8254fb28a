"""Old module names of the zoo: importing one still works, with a warning naming the new module. No heavy imports."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {
    "zoo.adapter": "zoo.model.adapter",
    "zoo.assemble": "zoo.model.model",
    "zoo.attention": "zoo.layers.attention",
    "zoo.bounds": "zoo.layers.validation",
    "zoo.check": "zoo.model.shape_check",
    "zoo.cost": "zoo.model.cost",
    "zoo.download": "zoo.weights.download",
    "zoo.folding": "zoo.weights.batch_norm_folding",
    "zoo.inert": "zoo.weights.safe_unpickler",
    "zoo.metric_cards": "zoo.metrics.cards",
    "zoo.mixup": "zoo.model.mixup",
    "zoo.options": "zoo.registry.options",
    "zoo.passports": "zoo.weights.cards",
    "zoo.pickles": "zoo.weights.torch_files",
    "zoo.plan": "zoo.registry.plan",
    "zoo.reading": "zoo.readers",
    "zoo.rounding": "zoo.weights.bf16_rounding",
    "zoo.slots": "zoo.registry.slots",
    "zoo.sound": "zoo.layers.resampling",
    "zoo.suggest": "zoo.registry.suggestions",
    "zoo.testing.base": "zoo.testing.comparisons",
    "zoo.testing.check": "zoo.testing.rules",
    "zoo.testing.postprocess": "zoo.testing.postprocessors",
    "zoo.testing.tasks": "zoo.testing.toy_tasks",
}
"""Old name -> new name. ``zoo.metrics``, ``zoo.registry`` and ``zoo.weights`` are packages now; they forward the
attributes of the former modules (``passing_on``).
"""


class _Finder(MetaPathFinder, Loader):
    """An import finder for the old names, asked last."""

    def __init__(self) -> None:
        self.specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = MOVED[spec.name]
        warnings.warn(f"{spec.name} is {new} now: import that", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(new)
        self.specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Keep the module's new name: it has been executed under it."""
        spec = module.__spec__
        if spec is not None:
            module.__spec__ = self.specs.pop(spec.name, spec)


def install() -> None:
    """Install the finder for the old names, once."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def passing_on(package: str, module: str) -> Any:
    """Return a ``__getattr__`` for a package that was a module: it looks missing attributes up in ``module``."""

    def get(name: str) -> Any:
        # An import of one of the package's own modules asks here first.
        own = name.startswith("__") or importlib.util.find_spec(f"{package}.{name}") is not None
        found = None if own else getattr(importlib.import_module(module), name, None)
        if found is None or isinstance(found, ModuleType):
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        warnings.warn(f"{package}.{name} is {module}.{name} now: import that", DeprecationWarning, stacklevel=2)
        return found

    return get
