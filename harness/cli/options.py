"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
ListFile = Annotated[Path | None, typer.Option("--list", help="the organisers' test list or example file")]
Out = Annotated[Path, typer.Option("--out", help="where runs and tables are kept")]
Jobs = Annotated[int | None, typer.Option("--jobs", min=1, help="processes; default: the number of cores")]
Launcher = Annotated[
    str, typer.Option("--launcher", help="local: processes here; ray: a cluster ($RAY_ADDRESS; extra ray)")
]
