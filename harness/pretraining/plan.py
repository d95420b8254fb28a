"""From a request to a plan: everything that can be refused before the pictures are looked at, or a step is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from harness.config.schema import RunConfig
from harness.data.corpora.tables import checked_table
from harness.data.synthetic.corpus_faces import is_made_up
from harness.pretraining.clips import SLOT
from harness.pretraining.counts import count_pictures
from harness.pretraining.request import Request, with_encoder_rate
from harness.runs.job import chosen_loggers, plan_of
from harness.runtime.device import pick_device
from harness.training.build import adapter_options, regularisation_options
from harness.training.checks import check_training
from zoo.api import Answer, CorpusSpec, Counts, EditionSpec, FrameInput, TrackSpec
from zoo.corpora import CorpusTable
from zoo.errors import UserError
from zoo.model.augmenter import build_chains
from zoo.model.model import LossGroup, build_encoder
from zoo.model.shape_check import check, meta_or_real
from zoo.registry.augmentations import DEFAULT, augmentation_texts
from zoo.registry.options import check_options
from zoo.registry.plan import Plan
from zoo.registry.registry import Registry, resolve
from zoo.weights.cards import find

METRICS = {"expr": ("macro_f1", (0.0, 1.0)), "va": ("mean_ccc", (-1.0, 1.0))}


@dataclass(frozen=True)
class Pretraining:
    """A request, resolved.

    ``track`` has all targets; its metric is that of the first. ``squash``: see ``squash_of``.
    """

    request: Request
    config: RunConfig
    registry: Registry
    spec: CorpusSpec
    edition: EditionSpec
    track: TrackSpec
    plan: Plan
    dims: dict[str, int]
    input: FrameInput
    squash: str
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
    read: CorpusTable = resolve(spec.build)(root, partial=request.partial, **options)
    table = checked_table(read, spec.name, partial=request.partial)
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
    exported = getattr(encoder, "exported", None)
    if not callable(exported):
        raise UserError("pretrain-encoder", encoder=config.encoders, why="its weights cannot be written for reuse")
    # An architecture whose last layer cannot be written is found now, not after the training.
    width = sum(answer.width for answer in track.answers)
    meta_or_real(lambda: exported(torch.zeros(width, encoder.dim), torch.zeros(width)))
    config = with_encoder_rate(config, pretrained=slot.passport is not None)
    config = config.model_copy(update={"augment": augmentation_texts(plan.augment) or None})
    dims = check(plan, adapter_options(config), regularisation_options(config))["dims"]
    check_training(plan, config)
    squash = squash_of(LossGroup(plan, [_any_counts(answer) for answer in track.answers]), track)
    count_pictures(config, track, table)
    build_chains(plan)
    chosen_loggers(config, registry)
    pick_device(config.device)
    if slot.passport is not None:
        find(slot.passport)
    return Pretraining(
        request, config, registry, spec, edition, track, plan, dims, encoder.input, squash, is_made_up(table)
    )


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


def _any_counts(answer: Answer) -> Counts:
    """Return counts that differ between labels, so that a loss that decodes by them is noticed."""
    bins = tuple(range(1, 1 + max(2, len(answer.classes))))
    return Counts(sum(bins), bins)


def squash_of(losses: LossGroup, track: TrackSpec) -> str:
    """Return how the losses turn raw outputs into values: "tanh" or "clamp" (as in zoo.weights.network_cards).

    Raise UserError if they do something else, or if classes are not a softmax: the file could not say it.
    """
    classes = sum(answer.width for answer in track.answers if answer.kind == "class")
    raw = torch.linspace(-2, 2, 9)[:, None, None] * torch.linspace(0.5, 1, losses.width)
    decoded = losses.decode(raw)
    if decoded.shape != raw.shape:
        raise UserError("pretrain-loss", what=f"{losses.width} outputs to {decoded.shape[-1]} predictions")
    if classes and not torch.allclose(decoded[..., :classes], raw[..., :classes].softmax(-1), atol=1e-5):
        raise UserError("pretrain-loss", what="classes that are not a softmax")
    if classes == losses.width:
        return "clamp"
    got, given = decoded[..., classes:], raw[..., classes:]
    for name, expected in (("tanh", given.tanh()), ("clamp", given.clamp(-1, 1))):
        if torch.allclose(got, expected, atol=1e-5):
            return name
    raise UserError("pretrain-loss", what="values that are neither tanh nor clipped")
