"""Training from Python: one combination of blocks, or many."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.arguments import Names, PathLike, joined, settings_of
from harness.api.finished import Run
from zoo.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from harness.config.schema import RunConfig


def run(
    *,
    encoders: Names | None = None,
    fusion: str | None = None,
    head: str | None = None,
    data: PathLike | None = None,
    track: str | None = None,
    recipe: PathLike | None = None,
    adapt: Names | None = None,
    settings: Mapping[str, Any] | None = None,
    out: PathLike = "runs",
    name: str | None = None,
    seeds: int = 1,
) -> Run:
    """Train and evaluate a combination, as `harness run` does.

    Args:
        encoders: Input branches, such as ``face,audio=egemaps`` or ``["face", "audio=egemaps"]``; None: as in the
            recipe.
        fusion: The fusion of the branches; None: as in the recipe.
        head: The temporal model; None: as in the recipe.
        data: An Aff-Wild2 folder; None: the synthetic demo set.
        track: ``va``, ``expr``, ``au`` or ``mtl``; None: as in the recipe, else ``va``.
        recipe: Name or file of the base settings; None: ``demo`` for the demo set, ``default`` for other data.
        adapt: Adapters to train in place of the weights of pretrained encoders, such as ``"face=lora:rank=8"``, or a
            list of them; None: as in the recipe.
        settings: Further settings by key, such as ``{"train.epochs": 5}``; they do what `--set` does.
        out: The folder in which the run's folder is created.
        name: Name of the run's folder; None: derived from the combination.
        seeds: Number of seeds to train with.

    Returns:
        The finished run.

    Raises:
        UserError: The blocks do not fit together, or the data cannot be used.

    Examples:
        >>> import harness
        >>> run = harness.run(encoders="frame,audio", data="demo", track="expr", settings={"train.epochs": 1})
        >>> run.settings["encoders"]
        'frame=lite0,audio=melcnn'
    """
    from harness.config.schema import load_usual
    from harness.reports.making import leave_report
    from harness.reports.paper_figures import draw_pictures
    from harness.runs.start import start

    branches = None if encoders is None else joined(encoders)
    flags: dict[str, Any] = {
        "encoders": branches,
        "fusion": fusion,
        "head": head,
        "track": track,
        "data_dir": _text(data),
    }
    flags["adapt"] = [adapt] if isinstance(adapt, str) else adapt
    config = load_usual(_text(recipe), flags, settings_of(settings))
    _check_devices(config)
    return Run(
        start(config, out=Path(out).expanduser(), name=name, seeds=seeds, after=leave_report, draw=draw_pictures)
    )


def sweep(
    encoders: Names,
    *,
    fusion: Names = ("late",),
    head: Names = ("gru",),
    data: PathLike | None = None,
    track: str | None = None,
    recipe: PathLike | None = None,
    settings: Mapping[str, Any] | None = None,
    out: PathLike = "runs",
    seeds: int = 1,
    jobs: int | None = None,
) -> pd.DataFrame:
    """Train all combinations, as `harness sweep` does, and rank them, best first.

    Args:
        encoders: Sets of input branches, such as ``["face", "face,audio"]`` or ``"face;face,audio"``.
        fusion: Fusions to combine, such as ``["late", "concat"]`` or ``"late,concat"``.
        head: Heads to combine.
        data: See ``run``.
        track: See ``run``.
        recipe: See ``run``.
        settings: See ``run``.
        out: The folder of runs; runs already finished in it are not trained again.
        seeds: Number of seeds to train each combination with.
        jobs: Trainings in parallel; None: one for each GPU, or for each core without a GPU.

    Returns:
        One row for each finished combination: ``run``, ``encoders``, ``fusion``, ``head``, ``main``, ``low``, ``high``
        (post-processed scores if there are any, else raw ones).

    Raises:
        UserError: None of the combinations can be built (code ``sweep-none-built``), every training failed
            (``sweep-all-failed``), or the data cannot be used.

    Examples:
        >>> import harness
        >>> few = {"train.epochs": 1}
        >>> table = harness.sweep(["frame", "frame,audio"], data="demo", head=["mlp"], settings=few, out="many", jobs=1)
        >>> sorted(table["encoders"])
        ['frame=lite0', 'frame=lite0,audio=melcnn']
    """
    import pandas as pd

    from harness.sweeps.grid import configurations, grid
    from harness.sweeps.launch import How, plan_all, train_all

    flags = {"track": track, "data_dir": _text(data)}
    combinations = grid(joined(encoders, ";"), joined(fusion), joined(head))
    configs = configurations(_text(recipe), flags, settings_of(settings), combinations)
    for config in configs:
        _check_devices(config)
    how, place = How(jobs=jobs), Path(out).expanduser()
    shared, entries = plan_all(configs, place, seeds, how)
    entries = train_all(entries, shared, place, how)
    rows = []
    for entry in entries:
        if (record := entry.record) is not None and record.status == "done":
            block: Mapping[str, Any] = record.scores.get("post") or record.scores.get("raw") or {}
            named = {key: getattr(entry.config, key) for key in ("encoders", "fusion", "head")}
            rows.append({"run": record.name, **named, **block})
    if not rows:
        raise UserError("sweep-all-failed", message="; ".join(dict.fromkeys(entry.problem for entry in entries)))
    columns = ["run", "encoders", "fusion", "head", "main", "low", "high"]
    return pd.DataFrame(rows, columns=columns).sort_values("main", ascending=False, ignore_index=True)


def _check_devices(config: RunConfig) -> None:
    """Refuse several devices unless torchrun or SLURM started the script: a run starts the others by its command."""
    from harness.runtime.distributed import started_from_outside

    if config.devices * config.nodes > 1 and not started_from_outside():
        raise UserError("api-devices", devices=config.devices, nodes=config.nodes)


def _text(path: PathLike | None) -> str | None:
    return None if path is None else str(path)
