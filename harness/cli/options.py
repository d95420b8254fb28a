"""Options that several commands share."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from zoo.errors import UserError
from zoo.files import is_plain

Encoders = Annotated[str, typer.Option("--encoders", help="slots: STREAM[.TAG][=ENCODER[:ARGUMENT]], by commas")]
OptEncoders = Annotated[
    str | None, typer.Option("--encoders", help="slots: STREAM[.TAG][=ENCODER[:ARGUMENT]], by commas")
]
Fusion = Annotated[str | None, typer.Option("--fusion", help="how slots are brought together")]
Head = Annotated[str | None, typer.Option("--head", help="the temporal model")]
Track = Annotated[str | None, typer.Option("--track", help="va, expr, au, mtl")]
AnyTrack = Annotated[str | None, typer.Option("--track", help="va, expr, au, mtl, ce, ...; default: the run's")]
Edition = Annotated[str | None, typer.Option("--edition", help="abaw10...; default: the latest that has the track")]
DataDir = Annotated[Path | None, typer.Option("--data", help="an Aff-Wild2 folder; default: the synthetic demo set")]
Plugins = Annotated[list[Path] | None, typer.Option("--plugin", help="a plugin file; may be given again")]
RunPlugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", help="a plugin file that the run was made with, unchanged; may be given again"),
]
RunData = Annotated[Path | None, typer.Option("--data", help="where the run's data are now; default: where they were")]
EvaluationData = Annotated[
    Path | None, typer.Option("--data", help="where the run's data are now, or other data; default: where they were")
]
Sets = Annotated[list[str] | None, typer.Option("--set", help="any other setting, KEY=VALUE; may be given again")]
DetectorSets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="detector.KEY=VALUE: an option of the detector, or detector.mode=track, which follows faces between "
        "detections; repeatable",
    ),
]
ListFile = Annotated[Path | None, typer.Option("--list", help="the organisers' test list or example file")]
Out = Annotated[Path, typer.Option("--out", help="where runs and tables are kept")]
Jobs = Annotated[int | None, typer.Option("--jobs", min=1, help="processes; default: the number of cores")]
Launcher = Annotated[
    str, typer.Option("--launcher", help="local: processes here; ray: a cluster ($RAY_ADDRESS; extra ray)")
]


class Command(TyperCommand):
    """A command whose complaints about its arguments say what to write instead."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line; the library's error gets a sentence more where it is a mistake that we know."""
        given = list(args)  # the library eats its own
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # the library's own, which it gives no public name
            if hasattr(error, "message"):
                error.message += _advice(error, given)
            raise


def _advice(error: Any, args: list[str]) -> str:
    option = getattr(error, "option_name", None)
    if type(error).__name__ == "NoSuchOption" and option:
        from harness.config.schema import known_keys

        name = option.lstrip("-").replace("-", "_")
        keys = [key for key in known_keys() if key.rpartition(".")[2] == name]
        return f"; it is a setting: --set {keys[0]}=VALUE" if keys else ""
    if "unexpected extra argument" in error.message and "--encoders" in args:
        first = args.index("--encoders") + 1
        words = list(itertools.takewhile(lambda word: not word.startswith("-"), args[first:]))
        return f"; several encoders are one word: --encoders {','.join(words)}" if len(words) > 1 else ""
    return ""


def with_home_paths(app: typer.Typer) -> None:
    """Let every command of an app, and of those below it, take ``~`` in its paths, also where no shell expands it, and
    say what to write where its arguments are wrong."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = _with_home_paths(command.callback)
            command.cls = Command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            with_home_paths(group.typer_instance)


def _with_home_paths(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def expanded(*args: Any, **options: Any) -> Any:
        return command(*args, **{name: _expanded(value) for name, value in options.items()})

    return expanded


def _expanded(value: Any) -> Any:
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    if not isinstance(value, Path):
        return value
    if not is_plain(str(value)):
        raise UserError("name-unprintable", name=ascii(str(value)))
    try:
        return value.expanduser()
    except RuntimeError:  # ~nobody
        return value
