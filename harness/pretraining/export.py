"""Write the trained encoder with its last layer as a file that ``face=checkpoint:FILE`` takes without options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import nn

from harness.io.atomic import atomic
from harness.pretraining.cards import Card
from harness.pretraining.clips import SLOT
from harness.pretraining.plan import Pretraining
from zoo.errors import UserError
from zoo.files import file_sha256
from zoo.model.model import Model, module_key
from zoo.weights import sealed
from zoo.weights.network_cards import NetworkCard

WEIGHTS = "model.safetensors"


def export(path: Path, model: Model, job: Pretraining, card: Card, before: Mapping[str, str]) -> str:
    """Write the encoder and its last layer; return the sha256 of the file.

    ``before``: metadata that state the exposures of the starting weights (harness.runs.exposure).

    Without a temporal model, the fusion is one linear layer on the features of the encoder: it becomes the classifier.
    """
    linear = [part for part in model.fusion.modules() if isinstance(part, nn.Linear)]
    if len(linear) != 1:
        raise UserError("pretrain-encoder", encoder=job.config.encoders, why=f"{len(linear)} linear layers follow it")
    encoder = cast(Any, model.encoders[module_key(SLOT)])
    name, state = encoder.exported(linear[0].weight.detach().cpu(), linear[0].bias.detach().cpu())
    classes = tuple(c for answer in job.track.answers for c in answer.classes)
    values = tuple(answer.name for answer in job.track.answers if answer.kind == "value")
    network = NetworkCard(
        model=name,
        size=job.input.size,
        mean=tuple(map(float, job.input.mean)),
        std=tuple(map(float, job.input.std)),
        classes=classes,
        values=values,
        squash=job.squash,
        saw=tuple(card["saw"]),
        license=card["license"],
        source="harness pretrain",
    )
    atomic(path, lambda part: sealed.save(state, part, {**before, **network.metadata()}))
    return file_sha256(path)
