"""Models that predict videos: their common interface, and finished runs behind it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from harness.batching.clips import stride_of
from harness.config.schema import RunConfig
from harness.data.tracking.detection import FaceFinder
from harness.data.tracking.pose_boxes import RULE
from harness.evaluation.looks import check_passes
from harness.evaluation.postprocessing import Chain, labelled
from harness.evaluation.prediction import answers
from harness.evaluation.video_answers import columns_of
from harness.features.frozen_encoder import frozen_slots
from harness.predicting.live_looks import looks_of
from harness.predicting.live_video import Branches, LiveVideo
from harness.predicting.stages import LiveStage, live_stages
from harness.runs.finished import check_written, read_own, use_settings
from harness.runs.folder import one_run
from harness.runs.job import plan_of
from harness.runs.passes import ORIGIN_POST, PLAIN_POST, with_passes
from harness.runs.preparation import evaluation_options, trained_model
from harness.runs.splits import fitted_on
from harness.runtime.device import pick_device
from harness.runtime.precision import autocast
from harness.training.build import adapter_options, regularisation_options
from leaderboards.record import Record
from zoo.api import Answer, DetectorSpec, EditionSpec, TrackSpec, VideoAnswers
from zoo.files import file_sha256
from zoo.model.model import Batch
from zoo.model.shape_check import check
from zoo.registry.registry import Registry
from zoo.registry.tracks import find_track, load_plugins

DETECTOR = "centerface"
"""The face detector, the same as in `harness data crop`."""
EVERYTHING = 2**40
"""Frames that stay in memory if a video is predicted several times."""
AVERAGED = f"{PLAIN_POST}; `harness evaluate RUN --tta` makes a run of which it is fitted anew"
FASTEST = 240
"""Frames per second of the fastest video, for the number of frames that stay in memory."""


@dataclass(frozen=True)
class About:
    """Description of the model behind a table of predictions.

    ``digest``: sha256 of its weights; ``warnings``: limits to know before using the predictions.
    """

    model: str
    kind: str
    digest: str
    edition: str
    track: str
    versions: Mapping[str, str]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recent:
    """The last n frames of a live video.

    Attributes:
        features: Branch with a frozen encoder -> (n, D).
        inputs: Any other branch -> the input of its encoder, as a batch of one.
        present: Branch -> (n,) bool.
        times: (n,) seconds.
    """

    features: Mapping[str, np.ndarray]
    inputs: Mapping[str, Mapping[str, torch.Tensor]]
    present: Mapping[str, np.ndarray]
    times: np.ndarray


Follow = Callable[[VideoAnswers], object]


class Model(Protocol):
    """A model that predicts videos.

    ``person``: how its person boxes are found, if the user does not set `detector.person`.
    ``keep``: frames that its windows may reach back. ``length``: frames that a live prediction uses. ``chain``:
    post-processors. ``waits``: why no row is final before the end of a video, if so. ``stages``: the runs that predict
    a video first.
    """

    about: About
    branches: Branches
    edition: EditionSpec
    track: TrackSpec
    detector: DetectorSpec
    person: str
    keep: int
    length: int
    chain: Chain
    waits: str
    stages: list[LiveStage]

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The predicted quantities, with their classes."""

    def step(self, rate: float) -> int:
        """Return the stride between the frames of a window, in a video of ``rate`` frames per second."""

    def predict(self, video: LiveVideo, follow: Follow | None = None) -> VideoAnswers:
        """Return post-processed predictions of every frame; reads the video as far as needed.

        ``follow`` is called with the predictions, not post-processed, of all leading frames whose windows are closed.
        """

    def latest(self, recent: Recent) -> VideoAnswers:
        """Return post-processed predictions of the last frames of a live video."""


def finder_of(model: Model, settings: Mapping[str, Any] | None) -> FaceFinder:
    """Return the FaceFinder of a model with the user's settings; UserError if one of them is wrong."""
    return FaceFinder(model.detector, {"person": model.person, **(settings or {})})


class RunModel:
    """A finished run.

    Args:
        folder: The folder of the run.
        device: Device to compute on; None: as in the run's settings.
        plugins: The plugin files that the run was made with, which must be named again.
        chain: The runs that read its predictions.
        tta: Settings ``tta.KEY=VALUE`` in place of the run's.

    Raises:
        UserError: It is not a finished run, or its weights or plugins are not the recorded ones.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: str | None = None,
        plugins: Sequence[Path] = (),
        tta: Sequence[str] = (),
        chain: tuple[Path, ...] = (),
    ) -> None:
        check_written(folder / "weights.safetensors")
        config, record = use_settings(folder, one_run(folder), plugins)
        averaged = averaging_warning(config, record, tta)
        config = with_passes(config, tta) if tta else config
        self.config = config.model_copy(update={"device": device} if device else {})
        self.registry: Registry = load_plugins(config.plugin)
        self.edition, self.track = find_track(self.registry, config.track, config.edition)
        self.plan = plan_of(config, self.registry, self.track)
        self.stages = live_stages(self.plan.slots, folder, record, partial(_fold, device), plugins, chain)
        self.detector: DetectorSpec = self.registry.get("detectors", DETECTOR)
        self.person = person_of(record)
        self.device = pick_device(self.config.device)
        torch.use_deterministic_algorithms(True, warn_only=True)
        dims = check(self.plan, adapter_options(config), regularisation_options(config))["dims"]
        weights = folder / "weights.safetensors"
        self.network = trained_model(self.plan, dims, self.track, config, weights).to(self.device)
        check_passes(config, self.plan)
        self.how = evaluation_options(config, self.plan)
        passes = self.how["passes"]
        frozen = frozen_slots(self.plan.slots, config.features, self.device)
        self.branches = Branches(self.plan.slots, frozen, looks_of(passes, self.plan))
        self.stride, self.fps = config.train.stride, config.train.fps
        self.waits = "train.evaluation=full predicts whole videos" if self.how["full"] else ""
        if self.stride > 1 or self.fps:
            self.waits = self.waits or "train.stride and train.fps may leave out frames, which are interpolated"
        if len(passes) > 1:
            self.waits = "test-time augmentation averages several passes over the video"
        self.length = self.how["length"]
        self.keep = EVERYTHING if len(passes) > 1 else (self.how["batch"] + 2) * self.length * self.step(FASTEST)
        self.chain = fitted_chain(Chain(self.plan.post, self.track), config, folder, self.track)
        self.about = About(
            folder.resolve().name,
            "run",
            file_sha256(weights),
            self.edition.name,
            self.track.name,
            versions_of(record),
            (*warnings_of(record), *averaged),
        )

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The predicted quantities, with their classes."""
        return self.track.answers

    def step(self, rate: float) -> int:
        """Return the stride between the frames of a window, in a video of ``rate`` frames per second."""
        return stride_of(np.arange(2) / rate, self.fps) if self.fps else self.stride

    def predict(self, video: LiveVideo, follow: Follow | None = None) -> VideoAnswers:
        """Return predictions of every frame, with post-processing fitted on the run's own validation predictions."""
        clips = video.clips(self.network.slots, stride=self.stride, fps=self.fps)
        (raw,) = answers(self.network, clips, self.track, device=self.device, follow=follow, **self.how)
        return self.chain.apply(raw)

    @torch.inference_mode()
    def latest(self, recent: Recent) -> VideoAnswers:
        """Return post-processed predictions of the last frames of a live video."""
        network, n = self.network.eval(), len(recent.times)
        features = {name: torch.from_numpy(rows[None]) for name, rows in recent.features.items()}
        masks = {name: torch.from_numpy(recent.present[name][None]) for name in network.slots}
        inputs = {name: dict(given) for name, given in recent.inputs.items()}
        blank = torch.zeros(1, n, len(self.answers))
        valid = torch.ones(1, n, dtype=torch.bool)
        batch = Batch(features, inputs, masks, valid, blank, blank.bool()).to(self.device)
        with autocast(self.device, self.how["precision"]):
            out = network(batch)

        def columns(raw: torch.Tensor) -> dict[str, np.ndarray]:
            return columns_of(self.answers, network.decode(raw).double().cpu().numpy()[0])

        slots = network.slots if self.how["per_slot"] else ()
        own = {name: columns(out.per_slot[name]) for name in slots}
        extra = {f"slot.{name}.{key}": part for name, parts in own.items() for key, part in parts.items()}
        for one in self.how["own"]:
            extra[one.key] = one.probabilities(recent.features[one.slot]).astype(np.float32)
        targets = {answer.name: np.full(n, np.nan, np.float32) for answer in self.answers}
        present = {name: recent.present[name] for name in network.slots}
        return self.chain.apply(
            VideoAnswers("live", "live", columns(out.raw), targets, present, recent.times, extra=extra)
        )


def _fold(device: str | None, folder: Path, plugins: tuple[Path, ...], chain: tuple[Path, ...]) -> RunModel:
    return RunModel(folder, device=device, plugins=plugins, chain=chain)


def fitted_chain(chain: Chain, config: RunConfig, folder: Path, track: TrackSpec) -> Chain:
    """Return post-processors, fitted on the run's own validation predictions if those are labelled."""
    fitted = fitted_on(config, folder)
    if fitted is not None and labelled(known := read_own(fitted, track)):
        chain.fit(known)
    return chain


def person_of(record: Record | None) -> str:
    """Return how the person boxes of a run's data were found, as a value of `detector.person`."""
    made = ((record.result.get("data") if record else None) or {}).get("boxes") or []
    found = re.search(r" person=(\S+)-\d+$", made[0]) if made else None
    return found[1] if found else RULE


def warnings_of(record: Record | None) -> list[str]:
    """Return warnings about a run's predictions: synthetic training data, weights of unknown licence."""
    if record is None:
        return []
    out = []
    if (record.result.get("data") or {}).get("synthetic"):
        out.append("this run was trained on the synthetic demo set, on drawn figures: it knows nothing of real people")
    for weights in record.result.get("passports") or []:
        if weights.get("sha256"):
            out += rights_warning(
                str(weights.get("name") or weights.get("slot")),
                weights.get("license"),
                known=weights.get("rights_known", True),
            )
    return list(dict.fromkeys(out))


def averaging_warning(config: RunConfig, record: Record | None, tta: Sequence[str]) -> list[str]:
    """Return a warning if predictions are averaged and post-processing was fitted to plain ones.

    Args:
        config: The run's settings.
        record: Its record.
        tta: The settings of test-time augmentation that the user gives.
    """
    now = bool(tta) and not config.tta.used
    later = "run" in ((record.result.get("tta") if record else None) or {})  # by `harness evaluate --tta`
    if config.fit:
        return [ORIGIN_POST] if now or later else []
    return [AVERAGED] if now else []


def rights_warning(name: str, license: str | None, *, known: bool = True) -> list[str]:
    """Return a warning about weights of unknown licence, or whose model card has ``rights_known=False``; else none."""
    if known and (license or "unknown").lower() != "unknown":
        return []
    return [f"the rights in the weights of {name} are unknown: ask their authors before you hand on what they predict"]


def versions_of(record: Record | None) -> dict[str, str]:
    """Return the versions of the libraries that a run was made with."""
    found = (record.result.get("versions") if record else None) or {}
    return {str(name): str(version) for name, version in found.items()}
