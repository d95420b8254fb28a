"""Options that several commands share, and the command class of them all."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from harness.cli.help import Help, name_values
from zoo.errors import UserError
from zoo.limits import check_plain

BRANCHES = "use these input branches, comma-separated: STREAM[.TAG][=ENCODER[:ARGUMENT]] (`harness help branches`)"
SETTINGS = "change any other setting (`harness help settings`); repeatable"
DEVICE = "compute on this device: cpu, cuda or auto"
THE_RECIPES = "the recipe's"
THE_RUNS = "the run's"

Device = Annotated[str | None, typer.Option("--device", metavar="NAME", help=DEVICE, show_default="auto")]
Devices = Annotated[
    int | None,
    typer.Option("--devices", min=1, help="share each batch over N devices of this machine", show_default="1"),
]
Nodes = Annotated[
    int | None,
    typer.Option("--nodes", min=1, help="use N machines with as many devices each", show_default="1"),
]
Precision = Annotated[
    str | None, typer.Option("--precision", metavar="NAME", help="compute in 32 or bf16-mixed", show_default="32")
]
Finetune = Annotated[
    list[str] | None,
    typer.Option("--finetune", metavar="BRANCH", help="train the encoder of this input branch too; repeatable"),
]
Adapt = Annotated[
    list[str] | None,
    typer.Option(
        "--adapt",
        metavar="BRANCH=lora[:OPTIONS]",
        help="train adapters of this branch's pretrained encoder in place of its weights (`harness help adapt`): "
        "rank=N,alpha=X,..., comma-separated; repeatable",
    ),
]
Augment = Annotated[
    list[str] | None,
    typer.Option(
        "--augment",
        metavar="BRANCH=NAMES",
        help="augment the input of trained encoders (`harness list augmentations`): names, comma-separated; default or "
        "none; repeatable",
        show_default="default",
    ),
]
Tta = Annotated[
    str | None,
    typer.Option(
        "--tta",
        metavar="PARTS",
        help="average predictions of the same frames, such as flip,views=4,strides=1+2: mirrored pictures, augmented "
        "views, other strides",
        show_default="none",
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME|FILE",
        help="start from these settings (`harness recipes`, a TOML file, a run's config.toml)",
        show_default="default, or demo for a demo set",
    ),
]
Loss = Annotated[
    list[str] | None,
    typer.Option(
        "--loss", metavar="NAME", help="replace the default loss of its kind (`harness list losses`); repeatable"
    ),
]
Post = Annotated[
    str | None,
    typer.Option(
        "--post",
        metavar="NAMES",
        help="apply these post-processors in order, comma-separated (`harness list postprocessors`)",
        show_default=THE_RECIPES,
    ),
]
Encoders = Annotated[str, typer.Option("--encoders", metavar="BRANCHES", help=BRANCHES)]
OptEncoders = Annotated[
    str | None, typer.Option("--encoders", metavar="BRANCHES", help=BRANCHES, show_default=THE_RECIPES)
]
Fusion = Annotated[
    str | None,
    typer.Option(
        "--fusion",
        metavar="NAME",
        help="combine the input branches with this fusion (`harness list fusions`)",
        show_default=THE_RECIPES,
    ),
]
Head = Annotated[
    str | None,
    typer.Option(
        "--head", metavar="NAME", help="use this temporal model (`harness list heads`)", show_default=THE_RECIPES
    ),
]
Track = Annotated[
    str | None,
    typer.Option("--track", metavar="NAME", help="use this track: va, expr, au or mtl", show_default=THE_RECIPES),
]
AnyTrack = Annotated[
    str | None,
    typer.Option("--track", metavar="NAME", help="use this track: va, expr, au, mtl, ce, ...", show_default=THE_RUNS),
]
DataTrack = Annotated[
    str | None,
    typer.Option("--track", metavar="NAME", help="look at this track only", show_default="all that are annotated"),
]
Edition = Annotated[
    str | None,
    typer.Option(
        "--edition",
        metavar="NAME",
        help="use this edition of the competition, such as abaw10",
        show_default="the latest that has the track",
    ),
]
DataEdition = Annotated[
    str | None,
    typer.Option(
        "--edition",
        metavar="NAME",
        help="use this edition's tracks",
        show_default="the latest that fits the annotations",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="read this Aff-Wild2 folder", show_default="a synthetic demo set, made once"
    ),
]
Plugins = Annotated[
    list[Path] | None, typer.Option("--plugin", metavar="FILE", help="load this plugin file; repeatable")
]
RunPlugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", metavar="FILE", help="load this plugin file, unchanged since the run was made; repeatable"
    ),
]
RunData = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="read the run's data here", show_default="the recorded folder"),
]
EvaluationData = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="read the run's data here, or other data", show_default="the recorded folder"
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help=SETTINGS),
]
_DETECTOR = (
    "set an option of the detector, detector.KEY=VALUE; detector.mode=track follows faces between detections, "
    "detector.person=blazepose finds the box of the body by its pose; "
)
DetectorSets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=f"{_DETECTOR}repeatable")]
_PREDICT = f"{_DETECTOR}encoder.BRANCH.KEY=VALUE is for a model without training; repeatable"
PredictSets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=_PREDICT)]
ListFile = Annotated[
    Path | None, typer.Option("--list", metavar="FILE", help="take the test rows from the organisers' list or example")
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="write runs and tables into this folder")]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", min=1, help="work with N processes", show_default="the number of cores"),
]
Launcher = Annotated[
    str,
    typer.Option(
        "--launcher",
        metavar="NAME",
        help="start processes on this machine (local) or on a Ray cluster (ray, at $RAY_ADDRESS; extra ray)",
    ),
]


class Command(Help, TyperCommand):
    """A command whose errors about arguments say what to write instead."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line; add advice to the library's message if the mistake is a known one."""
        given = list(args)  # the library consumes its own
        self._refuse_repeated(given)
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # a class of the library that has no public name
            if hasattr(error, "message"):
                has_settings = any(isinstance(p, TyperOption) and p.help == SETTINGS for p in self.params)
                error.message += _advice(error, given, has_settings)
            raise

    def _refuse_repeated(self, args: list[str]) -> None:
        """Raise UserError if an option that takes a list in one word is given twice: only the last would be used.

        Of other options the last one wins, as in most programs, so that a script can put its own behind the usual ones.
        """
        words = [word.partition("=")[0] for word in itertools.takewhile(lambda word: word != "--", args)]
        for param in self.params:
            if not isinstance(param, TyperOption) or param.multiple or "separated" not in (param.help or ""):
                continue
            if sum(words.count(option) for option in param.opts if option.startswith("--")) > 1:
                raise UserError("option-repeated", option=param.opts[0])


_OTHER_NAMES = {"learning_rate": "lr", "lrate": "lr", "bs": "batch", "batch_size": "batch", "dropout_rate": "dropout"}
"""Names that other programs give to settings -> ours."""


def _advice(error: Any, args: list[str], has_settings: bool) -> str:
    """Return advice about a mistake in a command line; ``has_settings``: the command takes all settings by --set."""
    option = getattr(error, "option_name", None)
    if type(error).__name__ == "NoSuchOption" and option and has_settings:
        from harness.config.schema import known_keys

        name = option.lstrip("-").replace("-", "_").lower()
        name = _OTHER_NAMES.get(name, name)
        keys = [key for key in known_keys() if key.rpartition(".")[2] == name]
        return f"; it is a setting: --set {keys[0]}=VALUE" if keys else ""
    if "unexpected extra argument" in error.message and "--encoders" in args:
        first = args.index("--encoders") + 1
        words = list(itertools.takewhile(lambda word: not word.startswith("-"), args[first:]))
        return f"; write several encoders as one word: --encoders {','.join(words)}" if len(words) > 1 else ""
    return ""


def with_home_paths(app: typer.Typer) -> None:
    """Prepare every command of an app and of its groups.

    Paths accept ``~``, also if no shell expands it; options have readable metavars; errors about arguments say what to
    write instead.
    """
    for command in app.registered_commands:
        if command.callback is not None:
            name_values(command.callback)
            command.callback = _with_home_paths(command.callback)
            command.cls = Command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            with_home_paths(group.typer_instance)


def _with_home_paths(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def expanded(*args: Any, **options: Any) -> Any:
        given = {name: _expanded(value, checked=name not in _CHECKED_LATER) for name, value in options.items()}
        return command(*args, **given)

    return expanded


_CHECKED_LATER = ("inputs",)
"""Arguments of which each is checked as it is used: a name that cannot be written down stops no other."""


def _expanded(value: Any, *, checked: bool = True) -> Any:
    if isinstance(value, list):
        return [_expanded(item, checked=checked) for item in value]
    if not isinstance(value, Path):
        return value
    if checked:
        check_plain(value)
    try:
        return value.expanduser()
    except RuntimeError:  # ~nobody
        return value
