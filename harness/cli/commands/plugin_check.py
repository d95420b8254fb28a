"""`harness plugin check`: conformance checks of every block that a package, a module or a file registers."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.api import KINDS, PROJECT, EncoderSpec
from zoo.errors import UserError
from zoo.registry.registry import Entry, Registry, check_options, load, of_module
from zoo.testing import Check, Verdict, check_light, spec_checks


def check(target: str, arguments: Sequence[str], tries: Sequence[str]) -> None:
    """Run every rule and print its result; exit with code 1 if one is broken.

    Args:
        target: An installed package, a module or a .py file.
        arguments: ENCODER:ARGUMENT, the argument to check an encoder with.
        tries: OPTION=VALUE, a value for the rule *options* to try.

    Raises:
        UserError: There is nothing to check, or an argument does not have its form.
    """
    entries, module = _entries(target)
    given = _pairs(arguments, ":", "--argument", "ENCODER:ARGUMENT, for example timm:resnet18")
    values = _pairs(tries, "=", "--try", "OPTION=VALUE, for example size=96")
    if unknown := set(values) - {name for entry in entries for name in getattr(entry.spec, "options", ())}:
        raise UserError("plugin-try-unknown", option=unknown.pop(), target=target)
    checks = [c for entry in entries for c in _checks(entry, given, values)]
    checks += [_light(name) for name in ([module] if module else [])]
    width = max(len("block"), *(len(c.block) for c in checks)), max(len("rule"), *(len(c.rule) for c in checks))
    print(f"{'block':{width[0]}}  {'rule':{width[1]}}  result", flush=True)
    print(f"{'-' * width[0]}  {'-' * width[1]}  ------")
    verdicts = []
    for one in checks:
        print(f"{one.block:{width[0]}}  {one.rule:{width[1]}}  ", end="", flush=True)
        verdicts.append(one.judge())
        print(_result(verdicts[-1]), flush=True)
    for one, verdict in zip(checks, verdicts, strict=True):
        if verdict.state == "failed":
            _explain(one, verdict)
    count = Counter(verdict.state for verdict in verdicts)
    print(f"\n{count['passed']} passed, {count['failed']} failed, {count['excused']} do not apply")
    if count["failed"]:
        sys.exit(1)


def _result(verdict: Verdict) -> str:
    if verdict.state == "excused":
        return f"does not apply: {verdict.fault}"
    return "passed" if verdict.state == "passed" else "FAILED"


def _explain(one: Check, verdict: Verdict) -> None:
    print(f"\n{one.block} breaks the rule {one.rule!r}: {verdict.fault}")
    rows = [("the rule", one.asks), ("fed", verdict.fed), ("came back", verdict.got), ("why it matters", one.why)]
    for name, text in rows:
        if text:
            print(f"  {name}: {text}")


# --- blocks to check -------------------------------------------------------------------------------------------------


def _entries(target: str) -> tuple[list[Entry], str | None]:
    """Return the blocks that a target registers, and the module that registers them if it is a single one."""
    path = Path(target)
    if path.suffix == ".py":
        return _all(load([path]), lambda entry: entry.plugin == str(path.resolve())), None
    sys.path.append(os.getcwd())  # a module in this folder is importable too
    try:
        package = importlib.metadata.distribution(target)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return _of_module(target), target
    return _of_package(f"{package.name} {package.version}")


def _all(registry: Registry, chosen: Callable[[Entry], bool]) -> list[Entry]:
    return [entry for kind in KINDS for entry in registry.entries(kind) if chosen(entry)]


def _of_module(name: str) -> list[Entry]:
    known = _all(load(), lambda entry: entry.plugin == name)
    try:
        missing = not known and importlib.util.find_spec(name) is None
    except (ImportError, ValueError):
        missing = True
    if missing or (Path(name).is_dir() and not Path(name, "__init__.py").is_file()):
        folder = f"; install a folder first: `uv pip install -e {name}`" if Path(name).is_dir() else ""
        raise UserError("plugin-not-found", name=name, folder=folder)
    return known or of_module(name)


def _of_package(package: str) -> tuple[list[Entry], str | None]:
    registry = load()
    entries = _all(registry, lambda entry: entry.package == package)
    broken = [p for p in registry.problems if p.plugin.endswith(f"({package})")]
    if broken:
        raise UserError("plugin-broken", plugin=broken[0].plugin, reason=broken[0].reason)
    if not entries:
        raise UserError("plugin-registers-nothing", package=package, group=PROJECT)
    modules = {entry.plugin for entry in entries}
    return entries, modules.pop() if len(modules) == 1 else None


def _pairs(texts: Sequence[str], sign: str, flag: str, wanted: str) -> dict[str, str]:
    found = {}
    for text in texts:
        name, there, value = text.partition(sign)
        if not there or not name or not value:
            raise UserError("plugin-option-invalid", flag=flag, text=text, wanted=wanted)
        found[name] = value
    return found


def _checks(entry: Entry, arguments: Mapping[str, str], values: Mapping[str, str]) -> list[Check]:
    """Return the checks of one block; an encoder with a fixed list of arguments is checked with the first."""
    given: dict[str, Any] = {}
    spec = entry.spec
    if isinstance(spec, EncoderSpec):
        given["argument"] = arguments.get(spec.name, spec.names[0] if spec.names else None)
    if own := {name: value for name, value in values.items() if name in getattr(spec, "options", ())}:
        read = check_options(spec, own)
        given["values"] = {name: read[name] for name in own}
    return spec_checks(entry.kind, spec, **given)


def _light(module: str) -> Check:
    text = """Importing the module and calling its hooks loads neither torch nor any other heavy package.

    Every `harness list` and every `--help` imports it, and would wait seconds for a network that is not used."""
    return Check(module, "light", lambda: check_light(module), text)
