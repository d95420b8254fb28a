"""`harness pretrain`: corpus, checks, training, validation, model card, in this order."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch

from harness.batching.training_windows import training_counts
from harness.config.recorded import recorded
from harness.config.schema import RunConfig, flat
from harness.data.corpora.checking import Checked, check_pictures
from harness.evaluation.shared_prediction import shared_answers
from harness.io.atomic import atomic
from harness.io.run_lock import run_lock
from harness.pretraining.cards import Card, card_of, write_card
from harness.pretraining.clips import SLOT, parts_of
from harness.pretraining.counts import count_pictures, labels_of
from harness.pretraining.export import WEIGHTS, export
from harness.pretraining.plan import Pretraining, read_corpus, resolved
from harness.pretraining.request import Request, read_request
from harness.pretraining.scores import score_targets
from harness.runs.exposure import exposure_metadata, read_exposure
from harness.runs.folder import check_name, new_folder
from harness.runs.job import chosen_loggers
from harness.runs.start import joined_by
from harness.runs.starting_weights import load_starting_weights
from harness.runtime.distributed import World
from harness.training.build import make_augmenter, make_model
from harness.training.loggers import Loggers
from harness.training.loop import train
from zoo.corpora import CorpusTable
from zoo.errors import UserError
from zoo.registry.tracks import load_plugins
from zoo.weights.loading import Loaded

BATCH = 256  # pictures that are predicted at once


def pretrain(request: Request, config: RunConfig, *, out: Path, name: str | None = None) -> Path:
    """Train an encoder on a corpus into a new folder, and return the folder.

    Raises:
        UserError: Something does not fit together, or the corpus is not whole; before the folder is made.
        Stopped: The user stopped it; ``resume`` continues it.
    """
    check_name(out, name)
    job, table = _prepared(request, config)
    with joined_by(job.config) as world:
        checked = _checked(job, table, world)
        made = None
        if world.first:
            made = new_folder(out, name, f"{request.corpus}-{job.plan.slots[0].encoder.name}")
            atomic(made / "config.toml", lambda part: part.write_text(job.config.toml(), encoding="utf-8"))
            request.write(made)
        folder = world.broadcast(made)
        assert folder is not None  # the first process has made it
        _run(job, checked, folder, world)
    return folder


def resume(folder: Path, machines: Mapping[str, int | None] | None = None, *, data: Path | None = None) -> Path:
    """Continue a stopped pretraining in its folder, on other ``machines`` (devices, nodes) or ``data`` if given."""
    request, config = read_request(folder)
    if (folder / "card.json").is_file():
        raise UserError("resume-finished", folder=folder)
    if data is not None:
        request = Request(request.corpus, str(data), request.targets, request.partial, request.options)
    config = config.model_copy(update={key: number for key, number in (machines or {}).items() if number})
    job, table = _prepared(request, config)
    with joined_by(job.config) as world:
        _run(job, _checked(job, table, world), folder, world)
    return folder


def _prepared(request: Request, config: RunConfig) -> tuple[Pretraining, CorpusTable]:
    registry = load_plugins(config.plugin)
    spec, table = read_corpus(request, registry)
    return resolved(request, config, registry, spec, table), table


def _checked(job: Pretraining, table: CorpusTable, world: World) -> Checked:
    """Check every picture in the first process; the others get the result."""
    checked = world.broadcast(
        check_pictures(table, partial_ok=job.request.partial) if world.first else cast(Checked, None)
    )
    count_pictures(job.config, job.track, checked.table)  # damaged ones may have been the last of a part
    return checked


def _run(job: Pretraining, checked: Checked, folder: Path, world: World) -> None:
    config, track, table = job.config, job.track, checked.table
    torch.use_deterministic_algorithms(True, warn_only=True)
    started = time.time()
    parts = parts_of(table, labels_of(table, track), job.edition, track, job.input, config.seed)
    model = make_model(job.plan, job.dims, training_counts(track, parts["train"]), config)
    loaded = load_starting_weights(model, job.plan).get(SLOT)
    if world.first:
        print("\n".join(_announced(job, checked, loaded)), flush=True)
    with run_lock(folder if world.first else None):
        trained = train(
            model,
            parts["train"],
            parts["val"],
            track,
            config.train,
            seed=config.seed,
            world=world,
            folder=folder,
            made=_made(job, checked, loaded),
            loggers=lambda step: _loggers(job, folder, step),
            augment=make_augmenter(job.plan, model, config.seed),
            balanced=[a.name for a in track.answers if a.kind == "class"] or None,
        )
        videos = shared_answers(
            world, model, parts["val"], track, length=1, batch=BATCH, precision=config.train.precision
        )
        if world.first:
            scores = score_targets(track, job.request.targets, videos)
            card: Card = card_of(job, checked, loaded, trained, scores)
            card["weights_sha256"] = export(
                folder / WEIGHTS, model, job, card, exposure_metadata(loaded.path) if loaded else {}
            )
            write_card(folder, card, {"seconds": round(time.time() - started, 1), "device": str(world.device)})


def _announced(job: Pretraining, checked: Checked, loaded: Loaded | None) -> list[str]:
    """Return lines for the user: the pictures, what is left out, the terms, and what the weights begin with."""
    counted = count_pictures(job.config, job.track, checked.table)
    train, val = counted.pictures["train"], counted.pictures["val"]
    lines = [f"{job.data}: {train:,} pictures to train on, {val:,} to validate on"]
    lines += [f"left out: {count:,} ({reason})" for reason, count in counted.left_out.items()]
    lines += [f"damaged: {', '.join(checked.damaged)}"] if checked.damaged else []
    lines += [f"terms of {job.spec.data}: {job.spec.terms}; the weights inherit them"]
    if loaded is not None:
        lines += [f"starting weights: {loaded.card.name}, licence {loaded.card.license}"]
        if job.spec.data in loaded.card.saw:
            lines += [
                f"the starting weights saw {job.spec.data}: its validation pictures may be among what they learned"
            ]
        trained = dict.fromkeys(map(str, read_exposure(loaded.path)))
        lines += [f"the starting weights were trained on {', '.join(trained)}"] if trained else []
    return lines


def _made(job: Pretraining, checked: Checked, loaded: Loaded | None) -> dict[str, str]:
    """Return what a checkpoint of this training must have been made with."""
    made = {key: str(value) for key, value in flat(recorded(job.config)).items()}
    made["the targets"] = ",".join(job.request.targets)
    made["the pictures and labels"] = checked.fingerprint
    if loaded is not None:
        made["the starting weights"] = loaded.sha256
    return made


def _loggers(job: Pretraining, folder: Path, step: int) -> Loggers:
    found = Loggers(chosen_loggers(job.config, job.registry), folder, step)
    if not step:
        settings = flat(job.config.model_dump(mode="json", exclude_none=True))
        found.settings({"corpus": job.request.corpus, **settings})
    return found
