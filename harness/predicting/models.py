"""Models that predict videos: their common interface, and finished runs behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from harness.evaluation.postprocessing import Chain, labelled
from harness.evaluation.prediction import answers
from harness.features.frozen_encoder import frozen_slots
from harness.predicting.live_video import Branches, LiveVideo
from harness.runs.finished import check_written, read_own, use_settings
from harness.runs.folder import one_run
from harness.runs.job import plan_of
from harness.runs.run import evaluation_options, trained_model
from harness.runs.splits import fitted_on
from harness.runtime.device import pick_device
from harness.training.build import adapter_options, regularisation_options
from leaderboards.record import Record
from zoo.api import Answer, DetectorSpec, EditionSpec, TrackSpec, VideoAnswers
from zoo.files import file_sha256
from zoo.model.shape_check import check
from zoo.registry.registry import Registry
from zoo.registry.tracks import find_track, load_plugins

DETECTOR = "centerface"
"""The face detector, the same as in `harness data crop`."""


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


class Model(Protocol):
    """A model that predicts videos. ``keep``: frames that its windows may reach back."""

    about: About
    branches: Branches
    edition: EditionSpec
    track: TrackSpec
    detector: DetectorSpec
    keep: int

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The predicted quantities, with their classes."""

    def predict(self, video: LiveVideo) -> VideoAnswers:
        """Return post-processed predictions of every frame; reads the video as far as needed."""


class RunModel:
    """A finished run.

    Args:
        folder: The folder of the run.
        device: Device to compute on; None: as in the run's settings.
        plugins: The plugin files that the run was made with, which must be named again.

    Raises:
        UserError: It is not a finished run, or its weights or plugins are not the recorded ones.
    """

    def __init__(self, folder: Path, *, device: str | None = None, plugins: Sequence[Path] = ()) -> None:
        check_written(folder / "weights.safetensors")
        config, record = use_settings(folder, one_run(folder), plugins)
        self.config = config.model_copy(update={"device": device} if device else {})
        self.registry: Registry = load_plugins(config.plugin)
        self.edition, self.track = find_track(self.registry, config.track, config.edition)
        self.plan = plan_of(config, self.registry, self.track)
        self.detector: DetectorSpec = self.registry.get("detectors", DETECTOR)
        self.device = pick_device(self.config.device)
        torch.use_deterministic_algorithms(True, warn_only=True)
        dims = check(self.plan, adapter_options(config), regularisation_options(config))["dims"]
        weights = folder / "weights.safetensors"
        self.network = trained_model(self.plan, dims, self.track, config, weights).to(self.device)
        self.branches = Branches(self.plan.slots, frozen_slots(self.plan.slots, config.features, self.device))
        self.how: dict[str, Any] = evaluation_options(config, self.plan)
        self.keep = (self.how["batch"] + 2) * self.how["length"]
        self.chain = self._fitted(folder)
        self.about = About(
            folder.resolve().name,
            "run",
            file_sha256(weights),
            self.edition.name,
            self.track.name,
            _versions(record),
            tuple(warnings_of(record)),
        )

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The predicted quantities, with their classes."""
        return self.track.answers

    def predict(self, video: LiveVideo) -> VideoAnswers:
        """Return predictions of every frame, with post-processing fitted on the run's own validation predictions."""
        clips = video.clips(self.network.slots)
        (raw,) = answers(self.network, clips, self.track, device=self.device, **self.how)
        return self.chain.apply(raw)

    def _fitted(self, folder: Path) -> Chain:
        chain = Chain(self.plan.post, self.track)
        fitted = fitted_on(self.config, folder)
        if fitted is not None and labelled(known := read_own(fitted, self.track)):
            chain.fit(known)
        return chain


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


def rights_warning(name: str, license: str | None, *, known: bool = True) -> list[str]:
    """Return a warning about weights of unknown licence, or whose model card has ``rights_known=False``; else none."""
    if known and (license or "unknown").lower() != "unknown":
        return []
    return [f"the rights in the weights of {name} are unknown: ask their authors before you hand on what they predict"]


def _versions(record: Record | None) -> dict[str, str]:
    found = (record.result.get("versions") if record else None) or {}
    return {str(name): str(version) for name, version in found.items()}
