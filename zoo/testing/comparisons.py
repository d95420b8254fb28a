"""What the checks of all kinds of blocks share: comparisons, training steps, option values, a blocked network."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zoo.api import Option, Spec
from zoo.testing.rules import ConformanceError, describe, expect

SAME = 1e-4
"""Largest difference, relative to the largest number, that float32 arithmetic in another order may make."""
HEAVY = ("torch", "torchvision", "torchaudio", "timm", "cv2", "pandas", "av", "pyarrow", "scipy", "sklearn")


# --- comparing answers ------------------------------------------------------------------------------------------------


def distance(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to the largest number (at least 1); inf where one is not finite."""
    a, b = a.detach(), b.detach()
    if a.numel() == 0:
        return 0.0
    if not (a.isfinite().all() and b.isfinite().all()):
        return float("inf")
    return float((a - b).abs().max() / max(1.0, float(a.abs().max())))


def expect_same(a: Tensor, b: Tensor, fault: str) -> None:
    """Both answers are the same up to rounding."""
    expect(a.shape == b.shape, f"{fault}: shape {tuple(a.shape)} becomes {tuple(b.shape)}")
    gap = distance(a, b)
    if gap > SAME:
        expect(False, f"{fault} (by {gap:.2g} of the largest number)", _most_different(a.detach(), b.detach()))


def _most_different(a: Tensor, b: Tensor) -> str:
    """Where two answers of one shape lie furthest apart, and how many numbers differ."""
    gap = torch.nan_to_num((a.double() - b.double()).abs(), nan=float("inf"))
    place = [int(i) for i in torch.unravel_index(gap.argmax(), gap.shape)]
    other = int((gap > SAME * max(1.0, float(a.abs().max()))).sum())
    values = f"{float(a[tuple(place)]):.6g} before and {float(b[tuple(place)]):.6g} after, at {place}"
    return f"{values}; {other} of {gap.numel()} numbers differ"


def expect_other(a: Tensor, b: Tensor, fault: str) -> None:
    """The answers differ by more than rounding."""
    expect(distance(a, b) > SAME, fault, f"twice the same: {describe(b)}")


def expect_tensor(x: object, shape: tuple[int, ...], what: str) -> None:
    """A finite floating tensor of this shape."""
    expect(isinstance(x, Tensor), f"{what} is a {type(x).__name__}, not a tensor")
    assert isinstance(x, Tensor)
    got = describe(x)
    expect(tuple(x.shape) == shape, f"{what} has shape {tuple(x.shape)}, not {shape}", got)
    expect(x.is_floating_point(), f"{what} has dtype {x.dtype}, not a floating one", got)
    expect(x.is_meta or x.isfinite().all(), f"{what} has numbers that are not finite", got)


# --- modules ----------------------------------------------------------------------------------------------------------


def randomise_parameters(module: nn.Module) -> nn.Module:
    """Move every parameter a little, each by noise that its name alone decides: what starts at zero (a gate, equal
    weights) would hide that nothing reacts, and equal parts of two variants of a block stay equal."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=noise))
    return module.eval()


def expect_saved(module: nn.Module, fresh: nn.Module, answer: Callable[[nn.Module], Tensor]) -> None:
    """``fresh``, with the trained module's state read back from a file, gives the same answer."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        save_file({name: value.clone().contiguous() for name, value in module.state_dict().items()}, file)
        try:
            fresh.load_state_dict(load_file(file))
        except RuntimeError as error:
            raise ConformanceError(f"a fresh block does not take the saved state: {error}") from error
    expect_same(
        answer(module),
        answer(fresh),
        "a fresh block with the saved state answers otherwise: part of its state is no parameter or buffer",
    )


def train_a_little(module: nn.Module, loss: Callable[[], Tensor], steps: int = 3) -> None:
    """A few optimiser steps, so that the state is no longer the one a constructor makes."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    module.train()
    if parameters:
        optimiser = torch.optim.Adam(parameters, 1e-2)
        for _ in range(steps):
            optimiser.zero_grad()
            loss().backward()
            optimiser.step()
    module.eval()


# --- options ----------------------------------------------------------------------------------------------------------


def defaults(spec: Spec, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options: the given ones over the spec's defaults."""
    unknown = set(options) - set(spec.options)
    expect(not unknown, f"it has no option {', '.join(sorted(unknown))}")
    return {name: option.default for name, option in spec.options.items()} | dict(options)


def other_value(option: Option, now: Any) -> Any:
    """A value that an option admits and that is not ``now``."""
    if option.choices:
        return next(choice for choice in option.choices if choice != now)
    if option.kind is bool:
        return not now
    if option.kind is int:
        return 2 * now if now else 1
    if option.kind is float:
        return now / 2 if now else 0.5
    if option.kind is tuple:
        return tuple(2 * x if isinstance(x, int | float) else f"{x}other" for x in now or ("",))
    return f"{now or ''}other"


def expect_options_matter(
    spec: Spec, options: Mapping[str, Any], values: Mapping[str, Any], outcome: Callable[..., list[Any]]
) -> None:
    """``outcome(**options)`` changes with every single option of the spec."""
    full = defaults(spec, options)
    usual = outcome(**full)
    for name, option in spec.options.items():
        value = values[name] if name in values else other_value(option, full[name])
        changed = outcome(**{**full, name: value})
        expect(_differ(usual, changed), f"option {name!r}: {full[name]!r} or {value!r} makes no difference")


def _differ(a: list[Any], b: list[Any]) -> bool:
    """Whether two lists of tensors and plain values differ anywhere."""
    if len(a) != len(b):
        return True
    for x, y in zip(a, b, strict=True):
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            if x.shape != y.shape or not torch.equal(x, y):
                return True
        elif x != y:
            return True
    return False


def both_modes(module: nn.Module, answer: Callable[[nn.Module], Tensor]) -> list[Tensor]:
    """The answers in evaluation and, with fixed random numbers, in training: dropout shows in the second only."""
    with torch.no_grad():
        still = answer(module.eval())
        torch.manual_seed(0)
        moving = answer(module.train())
    return [still, moving]


# --- surroundings -----------------------------------------------------------------------------------------------------


@contextmanager
def no_network() -> Iterator[None]:
    """Inside, whatever looks up a host or opens a connection fails with ConformanceError."""

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise ConformanceError("it uses the network: weights come by the passport, not when the block is built")

    with (
        mock.patch.object(socket, "getaddrinfo", refuse),
        mock.patch.object(socket.socket, "connect", refuse),
        mock.patch.object(socket.socket, "connect_ex", refuse),
    ):
        yield


def check_light(module: str) -> None:
    """Importing a catalogue and calling its hooks loads none of the heavy packages (in a process of its own, where
    they raise): ``check_light("plugins.heads")``. What a user lists must not wait for torch."""
    script = (
        "import importlib, sys\n"
        "from zoo import api\n"
        "plugin = importlib.import_module(sys.argv[1])\n"
        "for kind in api.KINDS:\n"
        "    print(kind, len(getattr(plugin, kind)()) if hasattr(plugin, kind) else 0)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in HEAVY:
            Path(folder, f"{name}.py").write_text(f"raise ImportError('the catalogue loads {name}')\n")
        path = os.pathsep.join([folder, *sys.path])
        result = subprocess.run(
            [sys.executable, "-c", script, module],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
    expect(result.returncode == 0, f"{module} is not light: {result.stderr.strip().rpartition(chr(10))[2]}")
