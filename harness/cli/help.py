"""Help without rich: groups of commands, readable metavars, an Examples section. Light."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from typer.core import TyperGroup
from typer.models import ArgumentInfo, OptionInfo

Function = TypeVar("Function", bound=Callable[..., Any])

INDENT = "  "
_EXAMPLES = "__examples__"
_METAVARS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


def examples(*lines: str) -> Callable[[Function], Function]:
    """Attach example command lines to a command; its help ends with them."""

    def attach(command: Function) -> Function:
        setattr(command, _EXAMPLES, lines)
        return command

    return attach


def examples_of(command: Any) -> tuple[str, ...]:
    """Return the example lines of a command or a group, none if it has no callback or no examples."""
    found: tuple[str, ...] = getattr(getattr(command, "callback", None), _EXAMPLES, ())
    return found


class Help:
    """Mixin for commands and groups of typer: sections and words that do not depend on typer's version."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line: ``RUN...`` for a required argument, not ``{RUN...}...``."""
        pieces = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [re.sub(r"^\{(.*)\}(\.\.\.)?$", r"\1", piece) for piece in pieces]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        rows: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
        for param in self.get_params(ctx):  # type: ignore[attr-defined]
            if record := param.get_help_record(ctx):
                rows[param.param_type_name].append((re.sub(r" <[^<>]*>$", "", record[0]), _in_words(record[1])))
        for title, records in (("Arguments", rows["argument"]), ("Options", rows["option"])):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples as they are, without wrapping them, then the epilog."""
        if lines := examples_of(self):
            with formatter.section("Examples"):
                formatter.write("".join(f"{INDENT}{line}\n" for line in lines))
        super().format_epilog(ctx, formatter)  # type: ignore[misc]


class Group(Help, TyperGroup):
    """A group that lists its commands by ``rich_help_panel``, which typer heeds only if rich is in use."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, then the commands."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section for each panel, "Commands" if a command has none; all sections share one column."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        width = max(len(name) for name, _ in commands)
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, command in commands:
            if command is not None and not command.hidden:
                panel = str(getattr(command, "rich_help_panel", None) or "Commands")
                text = command.get_short_help_str(formatter.width - width - 6)
                panels.setdefault(panel, []).append((name.ljust(width), text))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)


def name_values(command: Callable[..., Any]) -> None:
    """Give parameters without a metavar one: options by type (N, X, TEXT, PATH), arguments their name in capitals."""
    hints = get_type_hints(command, include_extras=True)
    for name, hint in hints.items():
        annotation, *metadata = get_args(hint) or (hint,)
        kind = next((kind for kind in _METAVARS if kind in _types(annotation)), None)
        for info in metadata:
            if isinstance(info, OptionInfo) and info.metavar is None and kind is not None:
                info.metavar = _METAVARS[kind]
            elif isinstance(info, ArgumentInfo) and info.metavar is None:
                info.metavar = name.upper()
    command.__annotations__ = hints  # typer would otherwise evaluate the strings again, into new objects


def _types(annotation: Any) -> list[Any]:
    """Return the plain types that an annotation such as ``list[Path] | None`` is made of."""
    inner = get_args(annotation)
    return [kind for part in inner for kind in _types(part)] if inner else [annotation]


def _in_words(text: str) -> str:
    """Rewrite ``1<=x<=100``, ``x>=1`` and ``default: (the recipe's)``, as typer shows them."""
    text = re.sub(r"(\d+)<=x<=(\d+)", r"\1 to \2", text)
    text = re.sub(r"\bx>=(\d+)", r"at least \1", text)
    return re.sub(r"default: \((.+?)\)(?=[;\]])", r"default: \1", text)
