"""Prediction of the inputs of a request, one after the other, and the files that it leaves."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.predicting.camera import watch
from harness.predicting.final_rows import Person
from harness.predicting.inputs import Input
from harness.predicting.marks import MARK
from harness.predicting.media import open_input
from harness.predicting.models import Model
from harness.predicting.one_pass import Predicted, predict_media
from harness.predicting.overlay import write_overlay
from harness.predicting.request import PageWriter, Request
from harness.predicting.row_writers import RowWriter, StandardOutput, TableFile
from harness.predicting.tables import Summary, line_of, rows_of, summary_of, write_about
from harness.predicting.targets import Target
from harness.runtime.progress import Bar
from zoo.api import Answer
from zoo.errors import FullDiskError, UserError
from zoo.text import visible


@dataclass
class Work:
    """A request in progress."""

    request: Request
    model: Model
    count: int  # number of named inputs
    detector: Mapping[str, Any] = field(default_factory=dict)
    summaries: list[Summary] = field(default_factory=list)
    problems: list[UserError] = field(default_factory=list)
    undrawn: list[UserError] = field(default_factory=list)  # overlays and pages that could not be written
    drawing: Path | None = None  # the overlay or page that is being written
    reasons: list[str] = field(default_factory=list)  # why rows appear only at the end, as said so far
    stream: StandardOutput | None = field(init=False)

    def __post_init__(self) -> None:
        self.stream = StandardOutput(self.request.form) if self.request.streams else None

    def predict(self, files: Sequence[Input]) -> None:
        """Predict some files; one that fails is noted and does not stop the others, but a full disk for tables does."""
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
        with self._table(media.name) as (writer, table):
            follower = _Follower(self, media.name, writer)
            with Bar(total=media.info.n_frames, unit="frame", desc=visible(media.name)) as bar:
                predicted = predict_media(
                    media,
                    model,
                    everybody=request.people == "all",
                    detector=self.detector,
                    tick=bar.update,
                    follower=follower,
                )
        summary = summary_of(predicted, model.answers, table)
        self._finished(summary)
        self.say(f"{self._place(table)}: {line_of(summary, model.answers)}")
        if predicted.posed is not None:
            self.say(f"{self._place(table)}: {predicted.posed}")
        if predicted.readings > 1:
            why = "who is looked at was known only at its end" if request.people == "main" else "once for each person"
            self.say(f"{self._place(table)}: decoded {predicted.readings} times: {why}")
        if media.kind == "video":
            if (overlay := request.overlay_target()) is not None:
                with self._extra(overlay.of(media.path)):
                    self._draw(predicted, overlay)
            if (page := request.page_target()) is not None and request.write_page is not None:
                with self._extra(page.of(media.path)):
                    self._page(predicted, summary, page, request.write_page)

    def watch(self, cameras: Sequence[int]) -> None:
        """Predict cameras, one after the other, each until it ends or Ctrl-C is pressed."""
        for number in cameras:
            try:
                with self._table(f"camera-{number}") as (writer, table):
                    frames = watch(number, self.model, writer, self.say, self.detector)
                self._finished({"input": f"camera {number}", "frames": frames, "table": table})
                self.say(f"{self._place(table)}: {frames} frames")
            except UserError as error:
                self._note(error)

    def say(self, text: str) -> None:
        """Print a line about the work: to standard error if rows go to standard output."""
        print(visible(text), file=sys.stderr if self.request.streams else sys.stdout, flush=True)

    @contextmanager
    def _table(self, name: str) -> Iterator[tuple[RowWriter, str]]:
        """Yield the writer of an input's rows, and the name of its table; on standard output the name of the input."""
        if self.stream is not None:
            yield self.stream, name
            return
        table = f"{name}.{self.request.form}"
        with TableFile(self.request.out / table) as file:
            yield file, table

    def _place(self, table: str) -> str:
        """Return the path of a table, or the name of an input whose rows go to standard output."""
        return table if self.request.streams else str(self.request.out / table)

    def _finished(self, summary: Summary) -> None:
        self.summaries.append(summary)
        self.write_about()

    def write_about(self) -> None:
        """Write the summaries of the finished inputs next to their tables."""
        if self.summaries and not self.request.streams:
            write_about(self.request.out, self.model.about, self.summaries)

    @contextmanager
    def _extra(self, path: Path) -> Iterator[None]:
        """Note an overlay or page that cannot be written, even on a full disk: the table of its input is whole."""
        self.drawing = path
        try:
            yield
            self.drawing = None
        except UserError as error:
            self.drawing = None
            self._note(error, self.undrawn)

    def _note(self, error: UserError, among: list[UserError] | None = None) -> None:
        (self.problems if among is None else among).append(error)
        if self.count > 1:
            print(f"failed: {error}", file=sys.stderr)

    def _page(self, predicted: Predicted, summary: Mapping[str, Any], target: Target, write: PageWriter) -> None:
        about = {**asdict(self.model.about), "answers": self.model.answers, "summary": summary, "mark": MARK}
        path = target.of(predicted.media.path)
        write(path, predicted.media.info, [person.predictions for person in predicted.people], about)
        self.say(f"{path}: report")

    def _draw(self, predicted: Predicted, target: Target) -> None:
        path = target.of(predicted.media.path)
        with Bar(total=predicted.media.info.n_frames, unit="frame", desc=f"overlay {path.name}") as bar:
            write_overlay(path, predicted, self.model.answers, tick=bar.update)
        self.say(f"{path}: overlay")


class _Follower:
    """Rows of an input, written as they become final."""

    def __init__(self, work: Work, name: str, writer: RowWriter) -> None:
        self.work, self.name, self.writer = work, name, writer
        self.answers: tuple[Answer, ...] = work.model.answers

    def rows(self, person: Person, start: int) -> None:
        """Write the next rows of a person."""
        self.writer.add(rows_of(person, self.answers, start))

    def restart(self, reason: str) -> None:
        """Begin the table again."""
        self.writer.restart()
        if self.work.request.streams:
            self.work.say(f"{self.name}: {reason}; all rows follow again, from frame 1")

    def wait(self, reason: str) -> None:
        """Say once why rows appear only at the end of each video."""
        if self.work.request.streams and reason not in self.work.reasons:
            self.work.reasons.append(reason)
            self.work.say(f"rows appear at the end of a video: {reason}")
