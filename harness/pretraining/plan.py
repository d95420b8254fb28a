"""From a request to a plan: everything that can be refused before the pictures are looked at, or a step is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from harness.config.schema import RunConfig
from harness.pretraining.clips import SLOT
from harness.pretraining.request import Request, with_encoder_rate
from harness.runs.job import chosen_loggers, plan_of
from harness.runtime.device import pick_device
from harness.training.build import adapter_options, regularisation_options
from harness.training.checks import check_training
from zoo.api import CorpusSpec, EditionSpec, FrameInput, TrackSpec
from zoo.corpora import CorpusTable
from zoo.errors import UserError
from zoo.model.augmenter import build_chains
from zoo.model.model import build_encoder
from zoo.model.shape_check import check, meta_or_real
from zoo.registry.augmentations import DEFAULT, augmentation_texts
from zoo.registry.options import check_options
from zoo.registry.plan import Plan
from zoo.registry.registry import Registry, resolve
from zoo.weights.cards import find

METRICS = {"expr": ("macro_f1", (0.0, 1.0)), "va": ("mean_ccc", (-1.0, 1.0))}


@dataclass(frozen=True)
class Pretraining:
    """A request, resolved. ``track`` has all targets; its metric is that of the first."""

    request: Request
    config: RunConfig
    registry: Registry
    spec: CorpusSpec
    edition: EditionSpec
    track: TrackSpec
    plan: Plan
    dims: dict[str, int]
    input: FrameInput
    synthetic: bool

    @property
    def data(self) -> str:
        """The corpus's name for model cards; made-up pictures are named as such."""
        return f"made-up pictures in the layout of {self.spec.data}" if self.synthetic else self.spec.data


def read_corpus(request: Request, registry: Registry) -> tuple[CorpusSpec, CorpusTable]:
    """Read the table of a corpus; raise UserError if the request or the folder is wrong."""
    spec: CorpusSpec = registry.get("corpora", request.corpus)
    if lacking := [target for target in request.targets if target not in spec.targets]:
        raise UserError(
            "pretrain-target-missing", corpus=spec.name, got=", ".join(lacking), has=", ".join(spec.targets)
        )
    options = check_options(spec, dict(request.options))
    root = Path(request.data)
    if not root.is_dir():
        raise UserError("corpus-no-folder", root=root)
    table: CorpusTable = resolve(spec.build)(root, partial=request.partial, **options)
    for part, mask in (("training", table.train), ("validation", ~table.train)):
        if not mask.any():
            raise UserError("corpus-part-empty", root=root, part=part)
    return spec, table


def resolved(
    request: Request, config: RunConfig, registry: Registry, spec: CorpusSpec, table: CorpusTable
) -> Pretraining:
    """Resolve names, and check that everything fits together; raise UserError if not."""
    track = track_of(spec.name, request.targets, table)
    edition = EditionSpec(spec.name, spec.data, 0, (track,))
    config = config.model_copy(update={"augment": config.augment or (DEFAULT,)})
    plan = plan_of(config, registry, track)
    (slot,) = plan.slots
    if slot.name != SLOT or slot.stream.kind != "frames":
        raise UserError("pretrain-encoder", encoder=config.encoders, why="it reads no pictures")
    encoder = meta_or_real(lambda: build_encoder(slot))
    if not isinstance(encoder.input, FrameInput) or encoder.input.context:
        raise UserError("pretrain-encoder", encoder=config.encoders, why="it looks at neighbouring frames")
    if not callable(getattr(encoder, "exported", None)):
        raise UserError("pretrain-encoder", encoder=config.encoders, why="its weights cannot be written for reuse")
    config = with_encoder_rate(config, pretrained=slot.passport is not None)
    config = config.model_copy(update={"augment": augmentation_texts(plan.augment) or None})
    dims = check(plan, adapter_options(config), regularisation_options(config))["dims"]
    check_training(plan, config)
    build_chains(plan)
    chosen_loggers(config, registry)
    pick_device(config.device)
    if slot.passport is not None:
        find(slot.passport)
    synthetic = (Path(request.data) / "made_up.json").is_file()
    return Pretraining(request, config, registry, spec, edition, track, plan, dims, encoder.input, synthetic)


def track_of(name: str, targets: Sequence[str], table: CorpusTable) -> TrackSpec:
    """Return the targets as a track: the class first, then valence and arousal."""
    kinds = {"expr": "class", "va": "value"}
    answers = tuple(a for target in targets for a in table.answers if a.kind == kinds[target])
    metric, score_range = METRICS[targets[0]]
    return TrackSpec(",".join(targets), answers, metric, score_range, (), (), "", "", joint_labels=True, data=name)


def target_track(track: TrackSpec, target: str) -> TrackSpec:
    """Return the track of one target alone, with its own metric."""
    kind = "class" if target == "expr" else "value"
    metric, score_range = METRICS[target]
    answers = tuple(a for a in track.answers if a.kind == kind)
    return replace(track, name=target, answers=answers, metric=metric, score_range=score_range)


def labels_of(table: CorpusTable, track: TrackSpec) -> np.ndarray:
    """Return the labels (N, A) float32 in the order of the track's answers."""
    names = [answer.name for answer in table.answers]
    labels: np.ndarray = table.labels[:, [names.index(answer.name) for answer in track.answers]]
    return labels


def squash_of(losses: torch.nn.Module, classes: int, values: int) -> str:
    """Return how the losses turn raw outputs into values: "tanh" or "clamp" (as in zoo.weights.network_cards).

    Raise UserError if they do something else, or if classes are not a softmax: the file could not say it.
    """
    raw = torch.linspace(-2, 2, 9)[:, None, None] * torch.linspace(0.5, 1, classes + values)
    decoded = losses.decode(raw)  # type: ignore[operator]
    if classes and not torch.allclose(decoded[..., :classes], raw[..., :classes].softmax(-1), atol=1e-5):
        raise UserError("pretrain-loss", what="classes that are not a softmax")
    if not values:
        return "clamp"
    got, given = decoded[..., classes:], raw[..., classes:]
    for name, expected in (("tanh", given.tanh()), ("clamp", given.clamp(-1, 1))):
        if torch.allclose(got, expected, atol=1e-5):
            return name
    raise UserError("pretrain-loss", what="values that are neither tanh nor clipped")
