"""A rule at work on one block: what the block was fed last, what came back, and why the rule is there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from typing import Any, Literal, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from zoo.api import Spec
from zoo.registry.registry import resolve


class ConformanceError(AssertionError):
    """A block breaks a rule. ``fault``: what is wrong; ``got``: what came back, where that says more than the last
    answer of the block. The text of what a Check raises also has what was fed, and why it matters."""

    def __init__(self, fault: str, got: str = "") -> None:
        super().__init__(fault)
        self.fault, self.got = fault, got


class Excused(Exception):
    """A rule does not apply to the block; the text says why not."""


@dataclass(frozen=True)
class Verdict:
    """How a check ended. ``fault``: of a failed one; of an excused one why. ``error`` is what the check raises."""

    state: Literal["passed", "failed", "excused"]
    fault: str = ""
    fed: str = ""
    got: str = ""
    error: Exception | None = None


@dataclass(frozen=True)
class Check:
    """One rule for one block: call it; it raises ConformanceError. ``str`` of it is a test's name; ``text`` is the
    rule's docstring: what it asks for and, in a second paragraph, why."""

    block: str
    rule: str
    run: Callable[[], None]
    text: str = ""

    @property
    def asks(self) -> str:
        """What the rule asks for."""
        return _paragraph(self.text, 0)

    @property
    def why(self) -> str:
        """Why it matters."""
        return _paragraph(self.text, 1)

    def judge(self) -> Verdict:
        """Check the rule without raising."""
        _Last.call = None
        try:
            self.run()
        except Excused as reason:
            return Verdict("excused", str(reason))
        except ConformanceError as error:
            fed, came = _last()
            verdict = Verdict("failed", error.fault, fed, error.got or came)
            text = f"{self.block} breaks the rule {self.rule!r}: {error.fault}{self._details(verdict)}"
            return Verdict("failed", verdict.fault, fed, verdict.got, ConformanceError(text))
        except Exception as error:
            fed, _ = _last()
            got = f"{type(error).__name__}: {error}"
            error.add_note(f"raised by {self.block} while the rule {self.rule!r} was checked")
            verdict = Verdict("failed", "it raises an exception", fed, got, error)
            error.add_note(self._details(verdict).strip("\n"))
            return verdict
        finally:
            _Last.call = None
        return Verdict("passed")

    def _details(self, verdict: Verdict) -> str:
        rows = (("fed", verdict.fed), ("came back", verdict.got), ("why it matters", self.why))
        return "".join(f"\n  {name}: {text}" for name, text in rows if text)

    def __call__(self) -> None:
        """Check the rule. A rule that does not apply is kept."""
        error = self.judge().error
        if isinstance(error, ConformanceError):
            raise error from None
        if error is not None:
            raise error

    def __str__(self) -> str:
        return f"{self.block}-{self.rule}"


def checks_of(block: str, rules: tuple[Callable[[Any], None], ...], case: Any) -> list[Check]:
    """The rules, each bound to the case."""
    return [
        Check(block, rule.__name__, lambda rule=rule: rule(case), rule.__doc__ or "")  # type: ignore[misc]
        for rule in rules
    ]


def run_all(checks: list[Check]) -> None:
    """Run checks in order; the first that fails raises."""
    for check in checks:
        check()


def expect(condition: object, fault: str, got: str = "") -> None:
    """Raise ConformanceError with the fault unless the condition holds."""
    if not condition:
        raise ConformanceError(fault, got)


def excuse(reason: str) -> NoReturn:
    """Leave a rule that does not apply."""
    raise Excused(reason)


def _paragraph(text: str, index: int) -> str:
    parts = inspect.cleandoc(text).split("\n\n")
    return " ".join(parts[index].split()) if index < len(parts) else ""


# --- the last call of the block ---------------------------------------------------------------------------------------


@dataclass
class _Call:
    """A call of a block's method. ``out`` is unset until it returns."""

    method: str
    names: list[str]
    given: tuple[Any, ...]
    options: Mapping[str, Any]
    out: Any = ...


class _Last:
    """The last call, described only where a rule fails."""

    call: _Call | None = None


def construct(spec: Spec, *given: Any, **options: Any) -> Any:
    """What the spec builds, its calls recorded (the build too)."""
    build = resolve(spec.build)
    call = _Last.call = _Call("build", [], given, options)
    call.out = made = build(*given, **options)
    return record_calls(made)


def record_calls(block: Any) -> Any:
    """Record what a block is called with and what it gives: a module's forward, and the named methods of any block."""
    if isinstance(block, nn.Module):
        block.register_forward_pre_hook(_before, with_kwargs=True)
        block.register_forward_hook(_after)
    for name in ("decode", "fit", "apply", "detect", "image", "sound", "vectors"):
        method = None if isinstance(block, nn.Module) and name != "decode" else getattr(block, name, None)
        if callable(method):
            with suppress(AttributeError):  # an object that admits no new attributes is not recorded
                setattr(block, name, _recorded(name, method))
    return block


def _before(module: nn.Module, given: tuple[Any, ...], options: dict[str, Any]) -> None:
    _Last.call = _Call("forward", _names(module.forward), given, options)


def _after(module: nn.Module, given: tuple[Any, ...], out: Any) -> None:
    if _Last.call is not None:
        _Last.call.out = out


def _recorded(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(*given: Any, **options: Any) -> Any:
        record = _Last.call = _Call(name, _names(method), given, options)
        record.out = method(*given, **options)
        return record.out

    return call


def _names(method: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(method).parameters)
    except (TypeError, ValueError):
        return []


def _last() -> tuple[str, str]:
    """What was fed last and what came back, in words."""
    call = _Last.call
    if call is None:
        return "", ""
    names = call.names if len(call.names) >= len(call.given) else [""] * len(call.given)
    given = [f"{name}: {describe(x)}" if name else describe(x) for name, x in zip(names, call.given, strict=False)]
    given += [f"{name}={describe(x)}" for name, x in call.options.items()]
    return f"{call.method}({', '.join(given)})", "" if call.out is ... else describe(call.out)


def describe(value: Any) -> str:
    """A value in a few words: a tensor or array by its shape, type and range."""
    if isinstance(value, Tensor):
        return _array(tuple(value.shape), str(value.dtype).removeprefix("torch."), value.detach())
    if isinstance(value, np.ndarray):
        kind = value.dtype.kind in "biuf"
        return _array(value.shape, str(value.dtype), torch.from_numpy(np.array(value)) if kind else None)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {describe(v)}" for k, v in value.items()) + "}"
    if is_dataclass(value) and not isinstance(value, type):
        inside = ", ".join(f"{f.name}={describe(getattr(value, f.name))}" for f in fields(value))
        return f"{type(value).__name__}({inside})"
    if isinstance(value, list | tuple) and len(value) > 3:
        return f"{len(value)} of {describe(value[0])}"
    if isinstance(value, list | tuple):
        return "(" + ", ".join(describe(x) for x in value) + ")"
    if value is None or isinstance(value, str | int | float | bool):
        return repr(value)
    return f"a {type(value).__name__}" if not callable(value) else getattr(value, "__name__", type(value).__name__)


def _array(shape: tuple[int, ...], dtype: str, values: Tensor | None) -> str:
    text = f"{shape} {dtype}"
    if values is None or values.is_meta or not values.numel():
        return text
    if values.dtype == torch.bool:
        return f"{text}, {int(values.sum())} of {values.numel()} true"
    finite = values[values.isfinite()]
    wrong = values.numel() - finite.numel()
    span = f", {float(finite.min()):.3g} to {float(finite.max()):.3g}" if finite.numel() else ""
    return f"{text}{span}" + (f", {wrong} of {values.numel()} not finite" if wrong else "")
