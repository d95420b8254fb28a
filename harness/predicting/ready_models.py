"""Ready models: encoders with an output layer of their own, named by the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from harness.config.recipe import about
from harness.config.schema import RunConfig, load_config
from harness.data.tracking.pose_boxes import RULE
from harness.evaluation.postprocessing import Chain
from harness.evaluation.video_answers import columns_of, video_answers
from harness.features.frozen_encoder import frozen_slots
from harness.predicting.live_video import Branches, LiveVideo
from harness.predicting.models import (
    DETECTOR,
    About,
    Follow,
    Recent,
    fitted_chain,
    person_of,
    rights_warning,
    versions_of,
)
from harness.predicting.stages import LiveStage
from harness.runs.finished import use_settings
from harness.runs.folder import one_run
from harness.runs.job import plan_of
from harness.runs.zero_shot import AT_ONCE
from harness.runtime.device import pick_device
from zoo.api import Answer, DetectorSpec, EditionSpec, EncoderSpec, OwnScores, TrackSpec, VideoAnswers
from zoo.errors import UserError
from zoo.files import file_sha256
from zoo.model.own_scores import match
from zoo.registry.class_names import plain
from zoo.registry.registry import Registry
from zoo.registry.suggestions import did_you_mean
from zoo.registry.tracks import find_track, load_plugins

RECIPE = "default"  # for real data; it names the default ready model
NOTE = "predictions describe how a face looks or a voice sounds, not what a person feels"

HELD = 30
"""Frames for which a live prediction is repeated if no face is found, at most: one second of most cameras."""


def default_ready() -> str:
    """Return the name of the default ready model; "" if the recipe names none."""
    return about(RECIPE).ready


def ready_names(registry: Registry) -> list[str]:
    """Return the encoders that predict by themselves, as ``--model`` takes them."""
    specs: list[EncoderSpec] = [entry.spec for entry in registry.entries("encoders")]
    return [spec.name + (":NAME" if spec.argument else "") for spec in specs if spec.scores is not None]


class ReadyModel:
    """An encoder that predicts by itself.

    ``of_name`` and ``of_run`` make one.

    Args:
        name: The model's name.
        config: Settings with one encoder, whose options and post-processors are used.
        registry: The registry.
        edition: The edition of the track.
        track: The track.
        free: True to predict the encoder's own classes and values instead of the track's.

    Raises:
        UserError: The encoder does not exist, does not predict by itself, or its weights cannot be obtained.
    """

    def __init__(
        self, name: str, config: RunConfig, registry: Registry, edition: EditionSpec, track: TrackSpec, *, free: bool
    ) -> None:
        self.edition = edition
        plans = plan_of(config, registry, track).slots
        if len(plans) != 1:
            raise UserError("predict-model-slots", got=name, count=len(plans))
        (plan,) = plans
        own = plan.own_scores
        if own is None or plan.passport is None:
            raise UserError("predict-model-not-ready", got=name, known=_known(plan.encoder, registry))
        self.ready = match(name, own, name if free else track.name, _answers(own) if free else track.answers)
        self.track = replace(track, answers=self.ready.answers)
        self.detector: DetectorSpec = registry.get("detectors", DETECTOR)
        self.person, self.waits = RULE, ""
        self.stages: list[LiveStage] = []
        (self.slot,) = frozen_slots([plan], config.features, pick_device(config.device))
        self.branches = Branches([plan], [self.slot])
        self.keep, self.length = 2 * AT_ONCE, HELD
        self.chain = Chain(plan_of(config, registry, self.track).post, self.track)
        self.card = f"{plan.passport.name}: {plan.encoder.summary} (licence {plan.passport.license})"
        digest = file_sha256(self.slot.file) if self.slot.file else ""
        warnings = (NOTE, *rights_warning(plan.passport.name, plan.passport.license, known=plan.passport.rights_known))
        versions = {"encoder": str(plan.encoder.version), "torch": str(torch.__version__)}
        self.about = About(name, "ready model", digest, "", "", versions, warnings)

    @classmethod
    def of_name(
        cls, name: str, *, device: str | None = None, plugins: Sequence[Path] = (), settings: Sequence[str] = ()
    ) -> ReadyModel:
        """Return the ready model of a name; it predicts its own classes and values.

        Args:
            name: ``fer``, ``hsemotion:NAME``, or with its stream, ``face=fer``.
            device: Device to compute on; None: the GPU if there is one.
            plugins: Plugin files that may register the encoder.
            settings: ``encoder.SLOT.OPTION=VALUE``.
        """
        registry = load_plugins([str(path) for path in plugins])
        slot = name if "=" in name else f"{_stream(name, registry)}={name}"
        flags = {"encoders": slot, "track": "expr", "post": ["interpolate"], "device": device}
        config = load_config(RECIPE, flags, settings)
        edition, track = find_track(registry, "expr", None)
        return cls(name, config, registry, edition, track, free=True)

    @classmethod
    def of_run(cls, folder: Path, *, device: str | None = None, plugins: Sequence[Path] = ()) -> ReadyModel:
        """Return the model of a run with `--zero-shot`: its encoder with its options, its track, its post-processing.

        Args:
            folder: The folder of the run.
            device: Device to compute on; None: as in the run's settings.
            plugins: The plugin files that the run was made with.

        Raises:
            UserError: The run is not finished, or its settings, plugins or weights are not the recorded ones.
        """
        config, record = use_settings(folder, one_run(folder), plugins)
        if record is None or record.status != "done":
            raise UserError("run-not-a-run", folder=folder)
        config = config.model_copy(update={"device": device} if device else {})
        registry = load_plugins(config.plugin)
        edition, track = find_track(registry, config.track, config.edition)
        model = cls(folder.resolve().name, config, registry, edition, track, free=False)
        recorded = [block.get("sha256") for block in record.result.get("passports") or []]
        if recorded != [model.about.digest]:
            known = ", ".join(str(digest)[:12] for digest in recorded) or "none"
            raise UserError(
                "run-weights-other", folder=folder, file=model.slot.file, got=model.about.digest[:12], known=known
            )
        model.person = person_of(record)
        model.chain = fitted_chain(model.chain, config, folder, track)
        model.about = replace(
            model.about,
            kind="run",
            edition=edition.name,
            track=track.name,
            versions={**model.about.versions, **versions_of(record)},
        )
        return model

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The predicted quantities, with their classes."""
        return self.track.answers

    def step(self, rate: float) -> int:
        """Return 1: it predicts frame by frame."""
        return 1

    def predict(self, video: LiveVideo, follow: Follow | None = None) -> VideoAnswers:
        """Return predictions of every frame; frames without data are interpolated."""
        name, clips = self.slot.plan.name, video.clips([self.slot.plan.name])

        def raw(frames: int) -> VideoAnswers:
            return video_answers(clips, 0, self.answers, decoded[:frames], {}, clips.present[0])

        decoded = np.tile(self.ready.absent().numpy(), (video.n_frames, 1))
        waiting: list[tuple[np.ndarray, np.ndarray]] = []  # frame indices and their features
        for start in range(0, video.n_frames, AT_ONCE):
            stop = min(start + AT_ONCE, video.n_frames)
            rows = video.clip(name, clips.videos[0].name, start, stop)
            seen = np.flatnonzero(clips.present[0][name][start:stop])
            waiting.append((seen + start, rows[seen]))
            self._score(waiting, decoded, ended=stop == video.n_frames)
            ((unscored, _),) = waiting
            if follow is not None and stop < video.n_frames:
                follow(raw(int(unscored[0]) if len(unscored) else stop))
        return self.chain.apply(raw(video.n_frames))

    @torch.inference_mode()
    def latest(self, recent: Recent) -> VideoAnswers:
        """Return predictions of the last frames of a live video; a frame without data repeats the last prediction."""
        name, n = self.slot.plan.name, len(recent.times)
        seen, decoded = recent.present[name], np.tile(self.ready.absent().numpy(), (n, 1))
        if seen.any():
            decoded[seen] = self._decoded(recent.features[name][seen])
        targets = {answer.name: np.full(n, np.nan, np.float32) for answer in self.answers}
        values = columns_of(self.answers, decoded)
        return self.chain.apply(VideoAnswers("live", "live", values, targets, {name: seen}, recent.times))

    def _decoded(self, rows: np.ndarray) -> np.ndarray:
        features = torch.from_numpy(np.asarray(rows, np.float32)).to(self.slot.device)
        scores = self.slot.encoder.scores(features).float()  # type: ignore[operator]
        decoded: np.ndarray = self.ready.decode(scores).cpu().numpy()
        return decoded

    def _score(self, waiting: list[tuple[np.ndarray, np.ndarray]], decoded: np.ndarray, *, ended: bool) -> None:
        """Score features in batches of AT_ONCE, as `harness run --zero-shot` does.

        The remainder waits for the next call, unless the video has ``ended``.
        """
        frames, rows = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
        while len(frames) >= AT_ONCE or (ended and len(frames)):
            decoded[frames[:AT_ONCE]] = self._decoded(rows[:AT_ONCE])
            frames, rows = frames[AT_ONCE:], rows[AT_ONCE:]
        waiting[:] = [(frames, rows)]


def _known(encoder: EncoderSpec, registry: Registry) -> str:
    """Return the ready models, or how to name the classes of an encoder that may be one."""
    names = ", ".join(ready_names(registry))
    if encoder.scores is None:
        return f"one of {names}"
    return f"its classes with --set encoder.SLOT.classes=NAME,NAME,... in the order of its outputs, or one of {names}"


def _stream(name: str, registry: Registry) -> str:
    """Return the first stream of an encoder."""
    encoder = name.partition(":")[0]
    known = registry.names("encoders")
    if encoder not in known:
        ready = ", ".join(ready_names(registry))
        raise UserError("predict-model-unknown", got=name, known=f"{did_you_mean(encoder, known)}there are {ready}")
    spec: EncoderSpec = registry.get("encoders", encoder)
    return spec.streams[0] if spec.streams else ("audio" if spec.kinds == ("sound",) else "face")


def _answers(own: OwnScores) -> tuple[Answer, ...]:
    """Return the predicted quantities, with classes spelled as in the tracks."""
    classes = tuple(plain(name).capitalize() for name in own.classes)
    classified = (Answer("expression", "class", -1, classes),) if classes else ()
    return (*classified, *(Answer(name, "value", -5) for name in own.values))
