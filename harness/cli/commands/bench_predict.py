"""`harness bench --predict`: the stages of a prediction alone, their bound, and the one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.benchmarks.measure import describe, in_child, machine
from harness.cli.commands.bench import write_json
from harness.predicting.command import load_model, one_file, split_settings
from harness.predicting.speed import DEVICE, Timings
from harness.runtime.machine import cores
from harness.runtime.terminal import tabulate
from zoo.text import visible


@dataclass(frozen=True)
class Figures:
    """Measured figures of predicting one video.

    Attributes:
        stages: Processor seconds per frame of each stage alone.
        rate: Frames per second of the one pass, by the clock.
        processor: Processor seconds per frame of the one pass.
    """

    stages: dict[str, float]
    cores: int
    frames: int
    rate: float
    processor: float
    load: float
    first_frame: float
    first_row: float
    peak_mb: float
    readings: int

    @property
    def bound(self) -> float:
        """Cores over the sum of the stages."""
        return self.cores / sum(self.stages.values())


def bench_predict(
    video: Path,
    model: str | None,
    settings: Sequence[str],
    plugins: Sequence[Path],
    *,
    rounds: int,
    json_file: Path | None,
) -> Figures:
    """Measure the prediction of a video and print the figures; also write them as JSON if ``json_file`` is given.

    Raises:
        UserError: The video or the model cannot be used, or the file cannot be written.
    """
    one_file(video)  # report mistakes before anything is measured
    load_model(model, device=DEVICE, plugins=plugins, settings=split_settings(settings)[1])
    arguments = (str(video), model, list(settings), [str(path) for path in plugins])
    known = machine()
    stages = in_child("harness.predicting.speed:stages", *arguments, rounds, threads=1).result
    whole = in_child("harness.predicting.speed:one_pass", *arguments)
    told: Timings = whole.result
    figures = Figures(
        stages,
        cores(),
        told["frames"],
        told["frames"] / told["seconds"],
        told["processor"] / told["frames"],
        told["load"],
        told["first_frame"],
        told["first_row"],
        whole.peak_mb,
        told["readings"],
    )
    print(render(figures, video, model))
    print(describe(known))
    if json_file is not None:
        write_json(json_file, {"machine": known, **vars(figures), "bound": figures.bound})
    return figures


def render(figures: Figures, video: Path, model: str | None) -> str:
    """Return the figures as text for the terminal."""
    rows = [[name, f"{1000 * s:.2f}", f"{1 / s:,.0f}" if s else "-"] for name, s in figures.stages.items()]
    rows.append(["all of them", f"{1000 * sum(figures.stages.values()):.2f}", ""])
    table = tabulate(
        rows,
        ["stage alone, one thread", "ms of processor a frame", "frames/s"],
        disable_numparse=True,
        colalign=("left", "right", "right"),
    )
    again = f", decoded {figures.readings} times" if figures.readings > 1 else ""
    return "\n".join(
        [
            visible(f"{video}: {figures.frames} frames; model {model or 'of the default recipe'}"),
            table,
            f"bound: {figures.cores} cores / sum of the stages = {figures.bound:.1f} frames/s",
            f"one pass: {figures.rate:.1f} frames/s, {figures.rate / figures.bound:.0%} of the bound{again}; "
            f"{1000 * figures.processor:.2f} ms of processor a frame",
            f"peak memory {figures.peak_mb:,.0f} MB; seconds from the start: model loaded {figures.load:.1f}, first "
            f"frame read {figures.first_frame:.1f}, first row {figures.first_row:.1f}",
        ]
    )
