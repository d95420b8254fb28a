"""Shared parts of the checks: comparisons, training steps, option values, a blocked network."""

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
from zoo.errors import UserError
from zoo.testing.rules import ConformanceError, describe, expect

SAME = 1e-4
"""Largest difference, relative to the largest number, that another order of float32 operations may cause."""
HEAVY = ("torch", "torchvision", "torchaudio", "timm", "cv2", "pandas", "av", "pyarrow", "scipy", "sklearn")


# --- comparing answers ------------------------------------------------------------------------------------------------


def distance(a: Tensor, b: Tensor) -> float:
    """Return the largest difference, relative to the largest number (at least 1).

    Args:
        a: Any shape.
        b: The same shape.

    Returns:
        The difference; inf if a number is not finite.
    """
    a, b = a.detach(), b.detach()
    if a.numel() == 0:
        return 0.0
    if not (a.isfinite().all() and b.isfinite().all()):
        return float("inf")
    return float((a - b).abs().max() / max(1.0, float(a.abs().max())))


def expect_same(a: Tensor, b: Tensor, fault: str) -> None:
    """Raise ConformanceError unless two outputs are the same except for rounding.

    Args:
        a: The output before a change.
        b: The output after it.
        fault: The fault if they differ.

    Raises:
        ConformanceError: They differ.
    """
    expect(a.shape == b.shape, f"{fault}: shape {tuple(a.shape)} becomes {tuple(b.shape)}")
    gap = distance(a, b)
    if gap > SAME:
        expect(False, f"{fault} (by {gap:.2g} of the largest number)", _most_different(a.detach(), b.detach()))


def _most_different(a: Tensor, b: Tensor) -> str:
    """Say where two outputs of one shape differ most, and how many numbers differ."""
    gap = torch.nan_to_num((a.double() - b.double()).abs(), nan=float("inf"))
    place = [int(i) for i in torch.unravel_index(gap.argmax(), gap.shape)]
    other = int((gap > SAME * max(1.0, float(a.abs().max()))).sum())
    values = f"{float(a[tuple(place)]):.6g} before and {float(b[tuple(place)]):.6g} after, at {place}"
    return f"{values}; {other} of {gap.numel()} numbers differ"


def expect_other(a: Tensor, b: Tensor, fault: str) -> None:
    """Raise ConformanceError unless two outputs differ by more than rounding.

    Args:
        a: The output before a change.
        b: The output after it.
        fault: The fault if they do not differ.

    Raises:
        ConformanceError: They do not differ.
    """
    expect(distance(a, b) > SAME, fault, f"twice the same: {describe(b)}")


def expect_tensor(x: object, shape: tuple[int, ...], what: str) -> None:
    """Raise ConformanceError unless a value is a finite floating-point tensor of a given shape.

    Args:
        x: The value.
        shape: The shape.
        what: A name for the value, for the message.

    Raises:
        ConformanceError: It is not.
    """
    expect(isinstance(x, Tensor), f"{what} is a {type(x).__name__}, not a tensor")
    assert isinstance(x, Tensor)
    got = describe(x)
    expect(tuple(x.shape) == shape, f"{what} has shape {tuple(x.shape)}, not {shape}", got)
    expect(x.is_floating_point(), f"{what} has dtype {x.dtype}, not a floating one", got)
    expect(x.is_meta or x.isfinite().all(), f"{what} has numbers that are not finite", got)


# --- modules ----------------------------------------------------------------------------------------------------------


def randomise_parameters(module: nn.Module) -> nn.Module:
    """Add noise to every parameter; the noise depends on the parameter's name only.

    Parameters that start at zero (a gate, equal weights) would hide that an output does not react. Equal parts of two
    variants of a block stay equal.

    Args:
        module: The module, changed in place.

    Returns:
        The module, in evaluation mode.
    """
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=noise))
    return module.eval()


def expect_saved(module: nn.Module, fresh: nn.Module, answer: Callable[[nn.Module], Tensor]) -> None:
    """Raise ConformanceError unless a fresh block with the saved state of a trained one gives the same output.

    Args:
        module: The trained block.
        fresh: A new block, which gets the state from a file.
        answer: Returns a block's output.

    Raises:
        ConformanceError: The state does not fit, or the output differs.
    """
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
    """Take a few optimiser steps, so that the state is no longer that of a new block.

    Args:
        module: The block, left in evaluation mode.
        loss: Returns the loss.
        steps: Number of steps.
    """
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
    """Return all options: the given ones over the spec's defaults.

    Args:
        spec: The block's spec.
        options: The given options.

    Returns:
        Option values by name.

    Raises:
        ConformanceError: An option is unknown.
    """
    unknown = set(options) - set(spec.options)
    expect(not unknown, f"it has no option {', '.join(sorted(unknown))}")
    return {name: option.default for name, option in spec.options.items()} | dict(options)


def other_value(option: Option, now: Any) -> Any:
    """Return an allowed value of an option that differs from ``now``.

    Args:
        option: The option.
        now: The present value.

    Returns:
        The other value.
    """
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
    """Raise ConformanceError unless every single option of a spec changes the outcome.

    Args:
        spec: The block's spec.
        options: Options in place of the defaults.
        values: The other values to try; an option without one gets ``other_value``. With UserError in place of a value
            the option must be refused, because these ``options`` leave it without effect.
        outcome: ``outcome(**options)`` returns tensors and plain values.

    Raises:
        ConformanceError: An option makes no difference.
    """
    full = defaults(spec, options)
    usual = outcome(**full)
    for name, option in spec.options.items():
        value = values[name] if name in values else other_value(option, full[name])
        if value is UserError:
            expect(
                _refuses(outcome, {**full, name: other_value(option, full[name])}), f"option {name!r} is not refused"
            )
            continue
        changed = outcome(**{**full, name: value})
        expect(_differ(usual, changed), f"option {name!r}: {full[name]!r} or {value!r} makes no difference")


def _refuses(outcome: Callable[..., list[Any]], options: Mapping[str, Any]) -> bool:
    try:
        outcome(**options)
    except UserError:
        return True
    return False


def _differ(a: list[Any], b: list[Any]) -> bool:
    """Return True if two lists of tensors and plain values differ anywhere."""
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
    """Return a module's output in evaluation mode and, with a fixed seed, in training mode.

    Only the latter shows dropout.

    Args:
        module: The module.
        answer: Returns its output.

    Returns:
        The two outputs.
    """
    with torch.no_grad():
        still = answer(module.eval())
        torch.manual_seed(0)
        moving = answer(module.train())
    return [still, moving]


# --- surroundings -----------------------------------------------------------------------------------------------------


@contextmanager
def no_network() -> Iterator[None]:
    """Block the network inside the context.

    Raises:
        ConformanceError: A host is looked up or a connection opened.

    Examples:
        >>> import socket
        >>> from zoo.testing import ConformanceError, no_network
        >>> try:
        ...     with no_network():
        ...         socket.create_connection(("localhost", 80))
        ... except ConformanceError:
        ...     print("refused")
        refused
    """

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise ConformanceError("it uses the network: weights come by the passport, not when the block is built")

    with (
        mock.patch.object(socket, "getaddrinfo", refuse),
        mock.patch.object(socket.socket, "connect", refuse),
        mock.patch.object(socket.socket, "connect_ex", refuse),
    ):
        yield


def check_light(module: str) -> None:
    """Check that importing a catalogue and calling its hooks loads none of the heavy packages.

    It runs in a process of its own, in which these packages raise. Listing blocks must not wait for torch.

    Args:
        module: The catalogue, such as ``"plugins.heads"``.

    Raises:
        ConformanceError: A heavy package is imported.
    """
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
