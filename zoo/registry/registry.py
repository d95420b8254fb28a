"""The registry of blocks: find installed plugins and plugin files in one loop. No heavy imports.

A plugin is an entry point of the group ``abaw_zoo`` or a ``.py`` file; the built-in blocks are found in the same way.
A broken installed plugin is listed in ``Registry.problems`` and skipped. A broken file stops the program, because the
user asked for it. Two blocks with one name stop it too, because the program must not guess which one is meant.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pluggy

from zoo import api
from zoo.errors import UserError
from zoo.libraries import check_loaded
from zoo.registry.options import check_options
from zoo.registry.spec_types import misfit
from zoo.registry.suggestions import did_you_mean

__all__ = ["Entry", "Problem", "Registry", "check_options", "load", "of_module", "resolve"]

FILE, MODULE = "file", "module"  # Entry.package of a plugin that is not in a package
_SPECS: dict[str, type] = {kind: get_args(get_type_hints(getattr(api.Hooks, kind))["return"])[0] for kind in api.KINDS}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")  # names that --encoders and --set can address


@dataclass(frozen=True)
class Entry:
    """One registered block.

    Attributes:
        kind: One of ``zoo.api.KINDS``.
        spec: The block's spec.
        plugin: The plugin's module or file.
        package: ``"abaw-zoo 0.1.0"``, or ``"file"``.
    """

    kind: str
    spec: Any
    plugin: str
    package: str

    @property
    def name(self) -> str:
        """The block's name."""
        return str(self.spec.name)

    @property
    def origin(self) -> str:
        """The plugin and its package, for messages."""
        return f"{self.plugin} ({self.package})"


@dataclass(frozen=True)
class Problem:
    """A plugin that was skipped (module and package), and the reason in one line."""

    plugin: str
    reason: str


class Registry:
    """All blocks by kind (one of ``zoo.api.KINDS``) and name; ``problems`` lists the plugins that were skipped."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._entries: dict[str, dict[str, Entry]] = {kind: {} for kind in api.KINDS}

    def add(self, entry: Entry) -> None:
        """Register a block; raise UserError that names both plugins if the name is taken."""
        other = self._of(entry.kind).setdefault(entry.name, entry)
        if other is not entry:
            raise UserError(
                "block-name-twice", noun=_noun(entry.kind), name=entry.name, origin=other.origin, origin2=entry.origin
            )

    def entries(self, kind: str) -> list[Entry]:
        """Return the blocks of a kind, sorted by name; raise UserError for an unknown kind."""
        return [entry for _, entry in sorted(self._of(kind).items())]

    def names(self, kind: str) -> list[str]:
        """Return the names of the blocks of a kind, sorted."""
        return sorted(self._of(kind))

    def entry(self, kind: str, name: str) -> Entry:
        """Return one block; raise UserError with the most similar name if it does not exist."""
        entries = self._of(kind)
        if name in entries:
            return entries[name]
        near = did_you_mean(name, entries)
        raise UserError("block-unknown", noun=_noun(kind), name=name, near=near, kind=kind, skipped=self.skipped)

    @property
    def skipped(self) -> str:
        """The end of a message about a missing name: the skipped plugins, which may have had it."""
        return "; skipped as broken: " + ", ".join(p.plugin for p in self.problems) if self.problems else ""

    def get(self, kind: str, name: str) -> Any:
        """Return the spec of one block; raise UserError with the most similar name if it does not exist."""
        return self.entry(kind, name).spec

    def _of(self, kind: str) -> dict[str, Entry]:
        if kind not in self._entries:
            raise UserError(
                "registry-kind-unknown", kind=kind, hint=did_you_mean(kind, api.KINDS), names=", ".join(api.KINDS)
            )
        return self._entries[kind]


def load(plugin_files: Sequence[Path] = ()) -> Registry:
    """Find every plugin: the installed ones by package and module, then the files in the given order.

    Raises:
        UserError: A file is missing or broken, or two plugins register one name.
    """
    registry = Registry()
    for source in (*_installed(), *_files(plugin_files)):
        try:
            entries = _entries(source)
        except _FaultyError as fault:
            if source.package == FILE:
                raise UserError("plugin-unusable", plugin=source.plugin, reason=fault) from fault.__cause__
            registry.problems.append(Problem(f"{source.plugin} ({source.package})", str(fault)))
            continue
        for entry in entries:
            registry.add(entry)
    return registry


def of_module(name: str) -> list[Entry]:
    """Return the blocks that an importable module registers, whether or not it is installed as a plugin.

    Raises:
        UserError: The module is broken as a plugin.
    """
    try:
        return _entries(_Source(name, MODULE, lambda: importlib.import_module(name)))
    except _FaultyError as fault:
        raise UserError("plugin-unusable", plugin=name, reason=fault) from fault.__cause__


def resolve(target: api.Target) -> Callable[..., Any]:
    """Import a target and return the callable.

    Any exception of the target's module that is not listed here passes with its traceback.

    Raises:
        UserError: The target, or a package that it needs, is missing (the message names the target), or a library
            cannot be loaded (the message names it; see zoo.libraries).
    """
    if not isinstance(target, str):
        return target
    module, _, attribute = target.partition(":")
    if not module or not attribute:
        raise UserError("target-invalid", target=target)
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:
        check_loaded(error)
        if not isinstance(error, ModuleNotFoundError):
            raise
        if error.name and f"{module}.".startswith(f"{error.name}."):
            raise UserError("target-module-missing", target=target, name=error.name) from error
        raise UserError("target-package-missing", target=target, name=error.name) from error
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise UserError("target-missing", target=target, module=module)
    return found


# --- one plugin -------------------------------------------------------------------------------------------------------


class _FaultyError(Exception):
    """A plugin cannot be used; the text is the reason, in one line."""


@dataclass(frozen=True)
class _Source:
    """The origin of a plugin; ``load`` imports it."""

    plugin: str
    package: str
    load: Callable[[], object]


def _installed() -> list[_Source]:
    sources = []
    for point in importlib.metadata.entry_points(group=api.PROJECT):
        package = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown package"
        sources.append(_Source(point.value, package, point.load))
    return sorted(sources, key=lambda source: (source.package, source.plugin))


def _files(paths: Sequence[Path]) -> Iterator[_Source]:
    for path in dict.fromkeys(Path(path).resolve() for path in paths):
        if not path.is_file() or path.suffix != ".py":
            raise UserError("plugin-file-missing", file=path)
        yield _Source(str(path), FILE, partial(_import_file, path))


def _import_file(path: Path) -> ModuleType:
    """Import a file once, under a name made of its own name and its path.

    No other module is shadowed, and a worker process that loads the same file finds its classes under the same name.
    """
    name = f"{api.PROJECT}_file_{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it is executed: dataclasses look up their module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _entries(source: _Source) -> list[Entry]:
    """Return all blocks that one plugin registers; raise _FaultyError if any part of it is wrong.

    Each plugin gets a manager of its own, so that a plugin that pluggy refuses leaves no trace for the others.
    """
    plugin = _attempt(source.load)
    manager = pluggy.PluginManager(api.PROJECT)
    manager.add_hookspecs(api.Hooks)
    _attempt(lambda: manager.register(plugin))
    callers = manager.get_hookcallers(plugin) or []
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        name = next(caller.name for caller in callers if not caller.has_spec())
        near = did_you_mean(name, api.KINDS)
        raise _FaultyError(f"unknown hook {name!r}: {near}the hooks: {', '.join(api.KINDS)}") from error
    if not callers:
        raise _FaultyError("it registers nothing: mark a hook such as `def encoders()` with @api.hookimpl")
    specs = [
        (caller.name, spec)
        for caller in sorted(callers, key=lambda caller: caller.name)
        for hook in caller.get_hookimpls()
        if caller.has_spec()
        for spec in _specs(caller.name, _attempt(hook.function))
    ]
    return [Entry(kind, spec, source.plugin, source.package) for kind, spec in specs]


def _specs(kind: str, answer: object) -> list[Any]:
    """Return a hook's result if it is a list of well-named, well-typed specs of its kind, each name once."""
    wanted = _SPECS[kind]
    if not isinstance(answer, list):
        raise _FaultyError(f"{kind}() must return a list of {wanted.__name__}, not {type(answer).__name__}")
    names: list[str] = []
    for spec in answer:
        if not isinstance(spec, wanted):
            raise _FaultyError(f"{kind}() must return a list of {wanted.__name__}; it holds a {type(spec).__name__}")
        name = spec.name  # type: ignore[attr-defined]
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise _FaultyError(f"{kind}() names a block {name!r}: a name has letters, digits, _ and -, a letter first")
        if name in names:
            raise _FaultyError(f"{kind}() returns two blocks with the name {name!r}")
        if fault := misfit(spec, wanted):
            raise _FaultyError(f"{kind}() registers {name!r}, whose {fault}")
        names.append(name)
    return answer


def _attempt(step: Callable[[], Any]) -> Any:
    """Run a plugin's code and turn its exceptions into a reason.

    This includes SystemExit: a script without a main guard, imported by mistake, must not end the program silently.
    """
    try:
        return step()
    except (Exception, SystemExit) as error:
        raise _FaultyError(_reason(error)) from error


def _reason(error: BaseException) -> str:
    """Return one line: the exception, and the innermost line of the plugin's own code if there is one."""
    ours = {__file__, importlib.__file__, importlib.metadata.__file__}
    where = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if file not in ours and not file.startswith("<") and "pluggy" not in Path(file).parts:
            where = f" ({Path(file).name}, line {line})"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300] + where


def _noun(kind: str) -> str:
    return {"losses": "loss", "corpora": "corpus"}.get(kind, kind.removesuffix("s"))
