"""`harness predict`: predict videos, images and sound files with a model, one table an input."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from harness.data.tracking.detection import detector_settings
from harness.predicting.inputs import Input, Inputs, find_inputs, is_run, split_run
from harness.predicting.media import open_input
from harness.predicting.models import Model, RunModel, finder_of
from harness.predicting.one_pass import predict_media
from harness.predicting.ready_models import ReadyModel, default_ready
from harness.predicting.request import Request
from harness.predicting.row_writers import check_format
from harness.predicting.tables import table_of
from harness.predicting.work import Work
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
    detector = detector_settings(request.settings)
    named, model_name = _named(request)
    found = find_inputs(named)
    if not found.count:
        raise UserError("predict-no-input")
    _only_problem(found)
    _check_targets(request, [file for file in found.files if file.kind == "video"])
    model = load_model(model_name, device=request.device, plugins=request.plugins)
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
        where = "" if request.streams else f", in {request.out}"
        print(visible(f"stopped; {len(work.summaries)} of {found.count} inputs are finished{where}"), file=sys.stderr)
        raise SystemExit(130) from None
    if work.problems:
        raise _failed(work.problems, found.count, request)


def _check_targets(request: Request, videos: Sequence[Input]) -> None:
    for target in (request.overlay_target(), request.page_target()):
        if target is not None:
            target.check(videos)
    if request.page is not None and not videos:
        raise UserError("predict-report-no-video", path=request.page)
    if request.overlay is not None and not videos:
        raise UserError("predict-overlay-no-video", path=request.overlay)


def one_file(path: Path) -> Input:
    """Return a path as an input; UserError if it is not an input, or a folder that does not hold exactly one."""
    found = find_inputs([path])
    if found.problems:
        raise found.problems[0]
    if len(found.files) != 1:
        raise UserError("predict-one-file", file=path)
    return found.files[0]


def predict_file(file: Input, model: Model, people: str = "main") -> pd.DataFrame:
    """Predict one input and return its table; UserError if it cannot be predicted."""
    if people not in PEOPLE:
        raise UserError("predict-people", got=people)
    predicted = predict_media(open_input(file.path, file.kind), model, everybody=people == "all")
    return table_of(predicted, model.answers)


def load_model(name: str | None, *, device: str | None = None, plugins: Sequence[Path] = ()) -> Model:
    """Load a model.

    Args:
        name: The folder of a finished run, or a ready model; None: the ready model of the default recipe.
        device: Device to compute on; None: the model's default.
        plugins: Plugin files of the model.

    Raises:
        UserError: The model does not exist.
    """
    folder = Path(name).expanduser() if name else None
    if folder is not None and (is_run(folder) or folder.is_dir()):
        zero_shot = saved_config(folder) if (folder / "config.toml").is_file() else None
        if zero_shot is not None and zero_shot.zero_shot:
            return ReadyModel(zero_shot.encoders, device=device, plugins=plugins)
        return RunModel(folder, device=device, plugins=plugins)
    chosen = name or default_ready()
    if not chosen:
        raise UserError("predict-no-model")
    if folder is not None and (len(folder.parts) > 1):
        raise UserError("predict-model-unknown", got=name, known="there is no such folder; `harness run` trains a run")
    return ReadyModel(chosen, device=device, plugins=plugins)


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


def _failed(problems: Sequence[UserError], count: int, request: Request) -> UserError:
    if count == 1:
        return problems[0]
    rest = f"; the others are in {request.out}" if len(problems) < count and not request.streams else ""
    return UserError("predict-some-failed", count=len(problems), count2=count, rest=rest)
