"""`harness predict`: predict videos, images and sound files with a model, one table an input."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from harness.data.decoding.video import VideoInfo
from harness.data.tracking.detection import FaceFinder, detector_settings
from harness.predicting.inputs import Input, Inputs, find_inputs, is_run, split_run
from harness.predicting.media import open_input
from harness.predicting.models import Model, RunModel
from harness.predicting.one_pass import Predicted, predict_media
from harness.predicting.overlay import CONTAINERS, write_overlay
from harness.predicting.ready_models import ReadyModel, default_ready
from harness.predicting.tables import check_format, line_of, summary_of, table_of, write_about, write_table
from harness.predicting.targets import Target
from harness.runs.folder import saved_config
from harness.runtime.progress import Bar
from zoo.api import VideoAnswers
from zoo.errors import FullDiskError, UserError
from zoo.text import visible

PEOPLE = ("main", "all")


class PageWriter(Protocol):
    """A function that writes the page of a video (harness.reports.video_page)."""

    def __call__(self, path: Path, video: VideoInfo, people: Sequence[VideoAnswers], about: Mapping[str, Any]) -> None:
        """Write the page of a video; UserError if it cannot be written."""


@dataclass(frozen=True)
class Request:
    """The arguments of `harness predict`.

    Attributes:
        overlay: A file for one video, a folder for several; None: no overlay.
        page: A file for one video, a folder for several; None: no page.
        write_page: Writes the page.
        settings: ``detector.KEY=VALUE``.
    """

    inputs: Sequence[Path]
    model: str | None = None
    out: Path = Path("predictions")
    people: str = "main"
    form: str = "csv"
    overlay: Path | None = None
    device: str | None = None
    plugins: Sequence[Path] = ()
    settings: Sequence[str] = ()
    page: Path | None = None
    write_page: PageWriter | None = None

    def overlay_target(self) -> Target | None:
        """Return the output path of the overlays."""
        return None if self.overlay is None else Target("--overlay", self.overlay, tuple(CONTAINERS))

    def page_target(self) -> Target | None:
        """Return the output path of the pages.

        A single video must have a file if it is named itself, but not if it is the only one in a named folder.
        """
        if self.page is None:
            return None
        return Target("--report", self.page, (".html",), folder_for_one=any(path.is_dir() for path in self.inputs))


@dataclass
class Work:
    """A request in progress."""

    request: Request
    model: Model
    count: int  # number of named inputs
    detector: Mapping[str, Any] = field(default_factory=dict)
    summaries: list[dict[str, Any]] = field(default_factory=list)
    problems: list[UserError] = field(default_factory=list)

    def predict(self, files: Sequence[Input]) -> None:
        """Predict some files; a file that fails is noted and does not stop the others, but a full disk does."""
        for file in files:
            try:
                self._one(file)
            except FullDiskError:
                raise
            except UserError as error:
                self._note(error)

    def _one(self, file: Input) -> None:
        request, model = self.request, self.model
        media = open_input(file.path, file.kind)
        with Bar(total=media.info.n_frames, unit="frame", desc=visible(media.name)) as bar:
            everybody = request.people == "all"
            predicted = predict_media(media, model, everybody=everybody, detector=self.detector, tick=bar.update)
        path = request.out / f"{media.name}.{request.form}"
        request.out.mkdir(parents=True, exist_ok=True)
        summary = summary_of(predicted, model.answers) | {"table": path.name}
        write_table(path, table_of(predicted, model.answers))
        self.summaries.append(summary)
        write_about(request.out, model.about, self.summaries)
        print(visible(f"{path}: {line_of(summary, model.answers)}"))
        if predicted.readings > 1:
            why = "who is looked at was known only at its end" if request.people == "main" else "once for each person"
            print(visible(f"{path}: decoded {predicted.readings} times: {why}"))
        if media.kind == "video":
            if (overlay := request.overlay_target()) is not None:
                self._draw(predicted, overlay)
            if (page := request.page_target()) is not None and request.write_page is not None:
                self._page(predicted, summary, page, request.write_page)

    def watch(self, cameras: Sequence[int]) -> None:
        """Predict cameras, one after the other, each until Ctrl-C."""
        for number in cameras:
            try:
                if not isinstance(self.model, RunModel):
                    raise UserError("predict-camera-model", model=self.model.about.model)
                from harness.predicting.camera import watch

                table = watch(number, self.model)
                path = self.request.out / f"camera-{number}.{self.request.form}"
                self.request.out.mkdir(parents=True, exist_ok=True)
                write_table(path, table)
                self.summaries.append({"input": f"camera {number}", "frames": len(table), "table": path.name})
                write_about(self.request.out, self.model.about, self.summaries)
                print(visible(f"{path}: {len(table)} frames"))
            except UserError as error:
                self._note(error)

    def _note(self, error: UserError) -> None:
        self.problems.append(error)
        if self.count > 1:
            print(f"failed: {error}", file=sys.stderr)

    def _page(self, predicted: Predicted, summary: Mapping[str, Any], target: Target, write: PageWriter) -> None:
        about = {**asdict(self.model.about), "answers": self.model.answers, "summary": summary}
        path = target.of(predicted.media.path)
        write(path, predicted.media.info, [person.predictions for person in predicted.people], about)
        print(visible(f"{path}: report"))

    def _draw(self, predicted: Predicted, target: Target) -> None:
        path = target.of(predicted.media.path)
        with Bar(total=predicted.media.info.n_frames, unit="frame", desc=f"overlay {path.name}") as bar:
            write_overlay(path, predicted, self.model.answers, tick=bar.update)
        print(visible(f"{path}: overlay"))


def predict(request: Request) -> None:
    """Predict all inputs of a request.

    Raises:
        UserError: Some inputs could not be predicted. All others have been.
    """
    check_format(request.form)
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
    if isinstance(model, ReadyModel):
        print(visible(f"model {model.about.model}: {model.card}"), flush=True)
    for warning in model.about.warnings:
        print(visible(f"warning: {warning}"), file=sys.stderr)
    for problem in found.problems:
        print(f"failed: {problem}", file=sys.stderr)
    FaceFinder(model.detector, detector)  # raises here once, not for every input, if a setting is wrong
    work = Work(request, model, found.count, detector, problems=list(found.problems))
    try:
        work.predict(found.files)
        work.watch(found.cameras)
    except KeyboardInterrupt:
        if work.summaries:  # the last table may be written, but not its summary
            write_about(request.out, model.about, work.summaries)
        done = f"{len(work.summaries)} of {found.count} inputs are finished, in {request.out}"
        print(visible(f"stopped; {done}"), file=sys.stderr)
        raise SystemExit(130) from None
    if work.problems:
        raise _failed(work.problems, found.count, request.out)


def _check_targets(request: Request, videos: Sequence[Input]) -> None:
    for target in (request.overlay_target(), request.page_target()):
        if target is not None:
            target.check(videos)
    if request.page is not None and not videos:
        raise UserError("predict-report-no-video", path=request.page)


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


def _failed(problems: Sequence[UserError], count: int, out: Path) -> UserError:
    if count == 1:
        return problems[0]
    rest = f"; the others are in {out}" if len(problems) < count else ""
    return UserError("predict-some-failed", count=len(problems), count2=count, rest=rest)
