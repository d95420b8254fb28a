"""Checks of one rule on one block, with the block's last input, its output, and the reason for the rule.

A rule is a function of a case. Its docstring has one line that begins with "Check that", and a paragraph on why the
rule matters. Both are printed if the rule fails.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import partial, wraps
from typing import Any, Literal, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from zoo.api import Spec
from zoo.registry.registry import resolve


class ConformanceError(AssertionError):
    """A block breaks a rule. The text that a Check raises also has the input, the output, and why the rule matters.

    Attributes:
        fault: The fault.
        got: The faulty output, if it says more than the block's last output.

    Examples:
        >>> from zoo.testing import Check, ConformanceError
        >>> def run():
        ...     raise ConformanceError("the output has no time dimension", got="(2, 8)")
        >>> verdict = Check("live", "shape", run).judge()
        >>> verdict.fault, verdict.got
        ('the output has no time dimension', '(2, 8)')
    """

    def __init__(self, fault: str, got: str = "") -> None:
        super().__init__(fault)
        self.fault, self.got = fault, got


class Excused(Exception):
    """A rule does not apply to the block; the text is the reason."""


@dataclass(frozen=True)
class Verdict:
    """The result of a check.

    Attributes:
        state: "passed", "failed" or "excused".
        fault: The fault if it failed; the reason if it is excused.
        fed: The block's last input, in words.
        got: The output, in words.
        error: The exception that the check raises.

    Examples:
        >>> from zoo.testing import Check
        >>> Check("live", "nothing", lambda: None).judge()
        Verdict(state='passed', fault='', fed='', got='', error=None)
    """

    state: Literal["passed", "failed", "excused"]
    fault: str = ""
    fed: str = ""
    got: str = ""
    error: Exception | None = None


@dataclass(frozen=True)
class Check:
    """One rule for one block. Call it to run it; its ``str`` is a test's name.

    Attributes:
        block: The block's name.
        rule: The rule's name.
        run: Runs the rule.
        text: The rule's docstring: the requirement, and in a second paragraph the reason.

    Examples:
        >>> from zoo.api import HeadSpec
        >>> from zoo.testing import head_checks
        >>> check = head_checks(HeadSpec("live", "my_head:Live"))[1]
        >>> check.rule, check.judge().state  # there is no such module
        ('shape', 'failed')
    """

    block: str
    rule: str
    run: Callable[[], None]
    text: str = ""

    @property
    def asks(self) -> str:
        """The requirement."""
        return _paragraph(self.text, 0)

    @property
    def why(self) -> str:
        """Why the rule matters."""
        return _paragraph(self.text, 1)

    def judge(self) -> Verdict:
        """Run the rule without raising.

        Returns:
            The verdict.
        """
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
        """Run the rule. It passes if it does not apply.

        Raises:
            ConformanceError: The block breaks the rule.
            Exception: The block raised an exception.
        """
        error = self.judge().error
        if isinstance(error, ConformanceError):
            raise error from None
        if error is not None:
            raise error

    def __str__(self) -> str:
        return f"{self.block}-{self.rule}"


def checks_of(block: str, rules: tuple[Callable[[Any], None], ...], case: Any) -> list[Check]:
    """Bind rules to a case.

    Args:
        block: The block's name.
        rules: Functions of a case.
        case: The block with everything that the rules need.

    Returns:
        One check per rule.
    """
    return [Check(block, rule.__name__, partial(rule, case), rule.__doc__ or "") for rule in rules]


def run_all(checks: list[Check]) -> None:
    """Run checks in order.

    Args:
        checks: The checks.

    Raises:
        ConformanceError: The first check that failed.
    """
    for check in checks:
        check()


def expect(condition: object, fault: str, got: str = "") -> None:
    """Raise ConformanceError unless a condition holds.

    Args:
        condition: The condition.
        fault: The fault if it does not hold.
        got: The faulty output, in words.

    Raises:
        ConformanceError: The condition does not hold.
    """
    if not condition:
        raise ConformanceError(fault, got)


def excuse(reason: str) -> NoReturn:
    """Leave a rule that does not apply.

    Args:
        reason: Why it does not apply.

    Raises:
        Excused: Always.
    """
    raise Excused(reason)


def _paragraph(text: str, index: int) -> str:
    parts = inspect.cleandoc(text).split("\n\n")
    return " ".join(parts[index].split()) if index < len(parts) else ""


# --- the last call of the block ---------------------------------------------------------------------------------------


@dataclass
class _Call:
    """A call of a block's method. ``out`` is ``...`` until the method returns."""

    method: str
    names: list[str]
    given: tuple[Any, ...]
    options: Mapping[str, Any]
    out: Any = ...


class _Last:
    """The last call. It is described only if a rule fails."""

    call: _Call | None = None


def construct(spec: Spec, *given: Any, **options: Any) -> Any:
    """Build a block from its spec, and record the build and all its calls.

    Args:
        spec: The block's spec.
        *given: Positional arguments of the build.
        **options: The block's options.

    Returns:
        The block.
    """
    build = resolve(spec.build)
    call = _Last.call = _Call("build", [], given, options)
    call.out = made = build(*given, **options)
    return record_calls(made)


def record_calls(block: Any) -> Any:
    """Record the inputs and outputs of a block: a module's forward, and the known methods of any block.

    Args:
        block: The block.

    Returns:
        The same block.
    """
    if isinstance(block, nn.Module):
        block.register_forward_pre_hook(_before, with_kwargs=True)
        block.register_forward_hook(_after)
    for name in ("decode", "fit", "apply", "detect", "image", "sound", "words", "vectors"):
        method = None if isinstance(block, nn.Module) and name != "decode" else getattr(block, name, None)
        if callable(method):
            with suppress(AttributeError):  # an object with __slots__ is not recorded
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
    """Return the last input and the last output, in words."""
    call = _Last.call
    if call is None:
        return "", ""
    names = call.names if len(call.names) >= len(call.given) else [""] * len(call.given)
    given = [f"{name}: {describe(x)}" if name else describe(x) for name, x in zip(names, call.given, strict=False)]
    given += [f"{name}={describe(x)}" for name, x in call.options.items()]
    return f"{call.method}({', '.join(given)})", "" if call.out is ... else describe(call.out)


def describe(value: Any) -> str:
    """Describe a value in a few words: a tensor or array by its shape, dtype and range.

    Args:
        value: Any value.

    Returns:
        One line.
    """
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
