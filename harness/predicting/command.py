"""`harness predict`: predict videos, images and sound files with a model, one table an input."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from harness.config.schema import RunConfig
from harness.data.tracking.detection import detector_settings
from harness.predicting.inputs import Input, Inputs, find_inputs, split_run
from harness.predicting.media import open_input
from harness.predicting.models import Model, RunModel, finder_of
from harness.predicting.one_pass import predict_media
from harness.predicting.outputs import check_outputs, set_aside_long_names
from harness.predicting.ready_models import ReadyModel, default_ready
from harness.predicting.request import Request
from harness.predicting.row_writers import check_format
from harness.predicting.tables import table_of
from harness.predicting.work import Work
from harness.runs.finished import record_of_run
from harness.runs.folder import saved_config
from zoo.errors import UserError
from zoo.text import visible

PEOPLE = ("main", "all")


def predict(request: Request) -> None:
    """Predict all inputs of a request.

    Raises:
        UserError: Some inputs could not be predicted. All others have been.
    """
    check_format(request.form, request.out)
    if request.people not in PEOPLE:
        raise UserError("predict-people", got=request.people)
    detector, options = split_settings(request.settings)
    named, model_name = _named(request)
    found = find_inputs(named)
    if not found.count:
        raise UserError("predict-no-input")
    for note in found.notes:
        print(visible(note), file=sys.stderr)
    set_aside_long_names(request, found)
    _only_problem(found)
    check_outputs(request, found)
    model = load_model(model_name, device=request.device, plugins=request.plugins, settings=options, tta=request.tta)
    work = Work(request, model, found.count, detector, problems=list(found.problems))
    if isinstance(model, ReadyModel):
        work.say(f"model {model.about.model}: {model.card}")
    for warning in model.about.warnings:
        print(visible(f"warning: {warning}"), file=sys.stderr)
    for problem in found.problems:
        print(f"failed: {problem}", file=sys.stderr)
    finder_of(model, detector)  # raises here once, not for every input, if a setting is wrong
    try:
        work.predict(found.files)
        work.watch(found.cameras)
    except KeyboardInterrupt:
        work.write_about()  # the last table may be written, but not its summary
        where = f", in {request.out}" if work.summaries and not request.streams else ""
        lacks = f"; {work.drawing} is not written" if work.drawing else ""
        done = f"{len(work.summaries)} of {found.count} inputs are finished{where}"
        print(visible(f"stopped; {done}{lacks}"), file=sys.stderr)
        raise SystemExit(130) from None
    if work.problems or work.undrawn:
        raise _failed(work, found.count)


def split_settings(sets: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the settings of the FaceFinder, and the options of encoders, ``encoder.SLOT.OPTION=VALUE``, as texts.

    Raises:
        UserError: Another setting is given.
    """
    options = [text for text in sets if text.strip().startswith("encoder.")]
    return detector_settings([text for text in sets if text not in options]), options


def one_file(named: str | Path) -> Input:
    """Return a path as an input; UserError if it is not an input, or a folder that does not hold exactly one."""
    if not isinstance(named, str | Path):
        raise UserError("predict-one-file", file=repr(named))
    path = Path(named).expanduser()
    found = find_inputs([path])
    if found.count != 1 or found.cameras:
        raise UserError("predict-one-file", file=path)
    if found.problems:
        raise found.problems[0]
    return found.files[0]


def predict_file(
    file: Input, model: Model, people: str = "main", detector: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Predict one input and return its table; UserError if it cannot be predicted."""
    if people not in PEOPLE:
        raise UserError("predict-people", got=people)
    predicted = predict_media(open_input(file.path, file.kind), model, everybody=people == "all", detector=detector)
    return table_of(predicted, model.answers)


def load_model(
    name: str | None,
    *,
    device: str | None = None,
    plugins: Sequence[Path] = (),
    settings: Sequence[str] = (),
    tta: Sequence[str] = (),
) -> Model:
    """Load a model.

    Args:
        name: The folder of a finished run, or a ready model; None: the ready model of the default recipe.
        device: Device to compute on; None: the model's default.
        plugins: Plugin files of the model.
        settings: Options of a ready model's encoder, ``encoder.SLOT.OPTION=VALUE``.
        tta: Settings ``tta.KEY=VALUE`` in place of a trained run's.

    Raises:
        UserError: The model does not exist, or settings are given for a run, which has its own.
    """
    folder = Path(name).expanduser() if name else None
    if folder is not None and folder.is_dir():
        if settings:
            raise UserError("predict-run-settings", model=folder, got=settings[0])
        config = saved_config(folder) if (folder / "config.toml").is_file() else RunConfig()
        if config.trees:
            raise UserError("trees-run")
        if (record := record_of_run(folder)) is not None and "ensemble" in record.result:
            raise UserError("predict-ensemble", folder=folder)
        if not config.zero_shot:
            return RunModel(folder, device=device, plugins=plugins, tta=tta)
        if tta:
            raise UserError("tta-untrained", model=folder)
        return ReadyModel.of_run(folder, device=device, plugins=plugins)
    chosen = name or default_ready()
    if not chosen:
        raise UserError("predict-no-model")
    if folder is not None and len(folder.parts) > 1 and not {":", "="} & set(str(name)):
        raise UserError("predict-model-unknown", got=name, known="there is no such folder; `harness run` trains a run")
    if tta:
        raise UserError("tta-untrained", model=chosen)
    return ReadyModel.of_name(chosen, device=device, plugins=plugins, settings=settings)


def _named(request: Request) -> tuple[list[Path], str | None]:
    """Return the inputs and the model; `harness predict RUN VIDEO...` names the model among the inputs."""
    named, run = split_run(request.inputs)
    if run is None:
        return named, request.model
    if request.model is not None:
        raise UserError("predict-model-twice", first=request.model, second=run)
    print(visible(f"warning: {run} is taken for the model; write --model {run}"), file=sys.stderr)
    return named, str(run)


def _only_problem(found: Inputs) -> None:
    """Raise the problem of a sole input, before a model is loaded for nothing."""
    if found.problems and not found.files and not found.cameras and len(found.problems) == 1:
        raise found.problems[0]


def _failed(work: Work, count: int) -> UserError:
    problems, undrawn = work.problems, work.undrawn
    if count == 1 and len(problems + undrawn) == 1:
        return (problems + undrawn)[0]
    if count == 1:
        for error in undrawn:  # of several inputs each is printed as it happens
            print(f"failed: {error}", file=sys.stderr)
    place = "printed" if work.request.streams else f"in {work.request.out}"
    if not problems:
        return UserError("predict-some-undrawn", count=len(undrawn), place=place)
    rest = f"; the others are {place}" if len(problems) < count and not work.request.streams else ""
    rest += f"; {len(undrawn)} overlays or pages could not be written" if undrawn else ""
    return UserError("predict-some-failed", count=len(problems), count2=count, rest=rest)
