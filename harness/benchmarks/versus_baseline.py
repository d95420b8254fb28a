"""The baseline and the harness on the same work: loading, training, epochs, evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import torch

from harness.batching.clips import ClipData
from harness.benchmarks import baseline, steps
from harness.benchmarks.measure import Rates, Work, in_child, interleaved
from harness.benchmarks.tables import Row, against
from harness.benchmarks.workload import cut, repeated
from harness.config.schema import RunConfig, load_config
from harness.data.index.index import Split
from harness.features.store import FeatureStore
from harness.runs.job import Job, make_job
from harness.runs.preparation import prepare
from harness.training.build import make_model, raw_slots
from zoo.api import Counts, FrameInput
from zoo.model.model import Model, normalised

RECIPE = str(Path(__file__).with_name("baseline.toml"))
STEPS = 3  # timed steps of training and prediction in a round: each takes seconds
WARM = 2  # uncounted steps before, in a new process
VIDEOS, FRAMES = 20, 120  # of each split, at most
CACHED_STEPS = 12
EVALUATED = 4  # videos
FIELD = "the field's way"
LSTM = ["encoder.face.size=112", "head.hidden=512", "train.clip=16", "train.optimizer=sgd"]  # as in the baseline
FROZEN: dict[str, tuple[dict[str, str], list[str]]] = {
    "lite0 at 112, gru": ({"encoders": "face=lite0", "fusion": "concat", "head": "gru"}, ["encoder.face.size=112"]),
    "lite0 at 112, the LSTM of 512": ({"encoders": "face=lite0", "fusion": "concat", "head": "lstm"}, LSTM),
    "lite0 at 112, the LSTM of 512, bf16": (
        {"encoders": "face=lite0", "fusion": "concat", "head": "lstm"},
        [*LSTM, "train.precision=bf16-mixed"],
    ),
}
Tick = Callable[[str], object]


@dataclass
class Sides:
    """Both sides on the training and validation videos of one data folder. ``bf16``: this machine computes in it."""

    data: str | None
    rounds: int = 1
    bf16: bool = False
    tick: Tick = str
    job: Job = field(init=False)

    def __post_init__(self) -> None:
        sets = ["train.precision=bf16-mixed"] if self.bf16 else []
        job = make_job(load_config(RECIPE, {"data_dir": self.data, "device": "cpu"}, sets))
        self.job = cut(job, videos=VIDEOS, frames=FRAMES)

    def rows(self) -> list[Row]:
        """Return every speed that is compared with the baseline."""
        return [*self.loading(), *self.training(), *self.evaluation()]

    def measured(self, candidates: dict[str, Work], *, rounds: int | None = None) -> dict[str, Rates]:
        """Return rates of candidates measured in turn."""
        return interleaved(candidates, rounds=rounds or self.rounds, tick=self.tick)

    # --- the same work for both ---

    def clips(self, split: Split, steps: int = 0) -> ClipData:
        """Return a split's raw clips; with ``steps`` the videos are repeated until there are so many batches."""
        videos, close = self.job.index.split(split), split == "train"
        if steps:
            settings = self.job.config.train
            videos = repeated(videos, steps * settings.batch, settings.clip, labelled=close)
        return ClipData(
            self.job.index, videos, ["face"], FeatureStore(), raw_slots(self.job.plan, self.job.index), close_gaps=close
        )

    def sequences(self, split: Split) -> baseline.FrameByFrame:
        """Return the baseline's data set of a split."""
        return baseline.FrameByFrame(baseline.sequences(baseline.face_videos(self.job.index.split(split))))

    # --- measurements ---

    def loading(self) -> list[Row]:
        """Measure reading face crops from JPEGs in one process: sequences of 16 labelled frames, batches of 16."""
        theirs, ours = self.sequences("train"), self.clips("train")
        settings, spec = self.job.config.train, FrameInput(baseline.SIZE, baseline.MEAN, baseline.STD)

        def prepared() -> float:
            frames = 0
            for batch in steps.training_batches(ours, settings, 10**6):
                normalised(batch.inputs["face"]["frames"], spec)
                frames += int(batch.valid.sum())
            return float(frames)

        got = self.measured(
            {
                "the field's loader": lambda: _read(theirs),
                "the loader": lambda: steps.load(ours, settings),
                "the loader, normalised": prepared,
            },
            rounds=2 * self.rounds,
        )
        base = got["the field's loader"]
        return [
            against("face loader, from JPEGs, one process", FIELD, base, got["the loader"], 5),
            against("the same, pixels as the network takes them", FIELD, base, got["the loader, normalised"]),
        ]

    def training(self) -> list[Row]:
        """Measure ResNet-18 and LSTM end to end, and epochs over cached features; all in turn."""
        cpu, words = torch.device("cpu"), "bf16" if self.bf16 else "float32"
        bare = baseline.Loop(baseline.Network(), fast=self.bf16)
        ready = list(islice(iter(baseline.loader(self.sequences("train"))), STEPS))
        ours = self.clips("train", STEPS + 2 + WARM)
        model, others = self._model(self.job), dict[str, Work]()
        if self.bf16:
            plain = replace(self.job, config=_with(self.job.config, precision="32"))
            others["in float32"] = partial(steps.harness_steps, plain, self._model(plain), ours, cpu)
        # A new network each round: training compiles what it is given, and would compile this one twice.
        quick = replace(self.job, config=_with(self.job.config, compile=True))
        others["with --compile"] = lambda: steps.harness_steps(quick, self._model(quick), ours, cpu, uncounted=WARM)
        cached = {
            what: _cached(self.data, flags, sets)
            for what, (flags, sets) in FROZEN.items()
            if self.bf16 or not what.endswith("bf16")
        }
        got = self.measured(
            {
                "the field's steps": partial(_in_its_own_process, "steps", self.data),
                "steps": lambda: steps.harness_steps(self.job, model, ours, cpu),
                "bare steps": lambda: bare.steps(ready),
                **others,
                **cached,
            }
        )
        base, own = got["the field's steps"], got["steps"]
        return [
            against(f"training, ResNet-18 and LSTM end to end, {words}", FIELD, base, own, 1.8),
            *(against(f"the same {what}", FIELD, base, got[what]) for what in others),
            against(f"the same in {words}", "bare loop, tensors in memory", got["bare steps"], own, 0.95),
            *(against(f"epochs after the first, {what}", FIELD, base, got[what], 100) for what in cached),
        ]

    def evaluation(self) -> list[Row]:
        """Measure the trained network's predictions for validation videos."""
        cpu = torch.device("cpu")
        ours, model = self.clips("val"), self._model(self.job)
        ours.videos = ours.videos[:EVALUATED]
        got = self.measured(
            {
                "the field's answers": partial(_in_its_own_process, "answers", self.data),
                "answers": lambda: steps.harness_answers(self.job, model, ours, cpu),
            }
        )
        return [against("evaluation of that network", FIELD, got["the field's answers"], got["answers"])]

    @staticmethod
    def _model(job: Job) -> Model:
        return make_model(job.plan, {"face": 512}, [Counts(1, (1,) * 20) for _ in job.track.answers], job.config)


def _in_its_own_process(what: str, data: str | None) -> tuple[float, float]:
    """Run the baseline's loop in a process without our settings (harness.runtime.memory); return frames and seconds."""
    frames, seconds = in_child(f"harness.benchmarks.versus_baseline:field_{what}", data).result
    return frames, seconds


def field_steps(data: str | None) -> tuple[float, float]:
    """Run some training steps, reading included, after two that are not counted; return frames and seconds."""
    loop, batches = baseline.Loop(baseline.Network()), iter(baseline.loader(_enough(data, "train")))
    loop.steps(islice(batches, WARM))
    return loop.steps(islice(batches, STEPS))


def field_answers(data: str | None) -> tuple[float, float]:
    """Predict some batches after two that are not counted; return frames and seconds."""
    loop, batches = baseline.Loop(baseline.Network()), iter(baseline.loader(_enough(data, "val"), shuffle=False))
    loop.answers(islice(batches, WARM))
    return loop.answers(islice(batches, STEPS))


def _enough(data: str | None, split: Split) -> baseline.FrameByFrame:
    """Return as many sequences as are needed, by repeating few videos."""
    known = Sides(data).sequences(split)
    known.sequences = list(islice(cycle(known.sequences), (WARM + STEPS) * baseline.BATCH))
    return known


def _with(config: RunConfig, **train: object) -> RunConfig:
    return config.model_copy(update={"train": config.train.model_copy(update=train)})


def _cached(data: str | None, flags: dict[str, str], sets: list[str]) -> Work:
    """Return a work that trains on features in the cache."""
    job = make_job(load_config("default", {"data_dir": data, "device": "cpu", **flags}, sets))
    job = cut(job, videos=EVALUATED, frames=FRAMES)
    prepared = prepare(job)
    train, settings = prepared.splits["train"], job.config.train
    videos = repeated(train.videos, CACHED_STEPS * settings.batch, settings.clip)
    clips = ClipData(train.index, videos, train.slots, train.store, train.raw)
    return lambda: steps.harness_steps(job, prepared.model, clips, prepared.world.device)


def _read(data: baseline.FrameByFrame) -> float:
    return float(sum(labels.shape[0] * labels.shape[1] for _, labels in baseline.loader(data)))
