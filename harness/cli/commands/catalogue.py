"""`harness list`, `info` and `check`: blocks, and whether a combination fits. list and info need no torch."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from harness.cli.commands.info_edition import describe, describe_metric
from harness.runtime.terminal import tabulate
from zoo.api import KINDS, EditionSpec, Spec, StreamSpec
from zoo.errors import UserError
from zoo.registry.augmentations import DEFAULT, augmentation_texts
from zoo.registry.plan import all_options
from zoo.registry.registry import Entry, Registry, load
from zoo.registry.suggestions import did_you_mean
from zoo.text import visible


def list_plugins(kind: str | None, as_json: bool, plugins: Sequence[Path]) -> None:
    """Print all blocks, or those of one kind."""
    registry = load(list(plugins))
    if kind is not None and kind not in KINDS:
        raise UserError("kind-unknown", kind=kind, hint=did_you_mean(kind, KINDS), names=", ".join(KINDS))
    entries = [entry for k in ([kind] if kind else KINDS) for entry in _in_order(registry.entries(k))]
    if as_json:
        rows = [
            {"kind": e.kind, "name": e.spec.name, "summary": _summary(e.spec), "package": e.package, "plugin": e.plugin}
            for e in entries
        ]
        print(json.dumps({"blocks": rows, "problems": [vars(p) for p in registry.problems]}, indent=1))
        return
    table = [(e.kind, e.spec.name, _summary(e.spec), e.package) for e in entries]
    print(tabulate(table, ["kind", "name", "what it is", "from"], tablefmt="simple"))
    _problems(registry)


def _in_order(entries: Sequence[Entry]) -> list[Entry]:
    """Sort by name, with numbers in numeric order: abaw2 before abaw10."""
    return sorted(
        entries, key=lambda e: [(int(x), "") if x.isdigit() else (0, x) for x in re.findall(r"\d+|\D+", e.spec.name)]
    )


def _summary(spec: Any) -> str:
    if isinstance(spec, EditionSpec):
        venue = spec.venue if str(spec.year) in spec.venue else f"{spec.venue} ({spec.year})"
        return f"{venue}: {', '.join(track.name for track in spec.tracks)}"
    return str(spec.summary)


def _problems(registry: Registry) -> None:
    for problem in registry.problems:
        print(visible(f"skipped plugin {problem.plugin}: {problem.reason}"), file=sys.stderr)


def info(name: str, plugins: Sequence[Path]) -> None:
    """Print every field of the blocks, edition or metric of that name."""
    from zoo.metrics import scores as metrics

    registry = load(list(plugins))
    found = [registry.entry(kind, name) for kind in KINDS if name in registry.names(kind)]
    if not found and name not in metrics.METRICS:
        known = sorted({n for kind in KINDS for n in registry.names(kind)} | set(metrics.METRICS))
        raise UserError("name-unknown", name=name, hint=did_you_mean(name, known))
    blocks = []
    for entry in found:
        head: list[tuple[str, Any]] = [("kind", entry.kind), ("from", f"{entry.package} ({entry.plugin})")]
        if isinstance(entry.spec, EditionSpec):
            blocks.append(tabulate(head[1:], tablefmt="plain") + "\n" + describe(entry.spec))
        else:
            blocks.append(tabulate(head + _block_rows(entry.spec), tablefmt="plain") + _options(entry.kind, entry.spec))
    if name in metrics.METRICS:
        blocks.append(describe_metric(metrics.card(name)))
    print("\n\n".join(blocks))
    _problems(registry)


def _block_rows(spec: Spec | StreamSpec) -> list[tuple[str, Any]]:
    skip = {"options", "build", "reader", "scores"}
    rows = [(f.name, getattr(spec, f.name)) for f in fields(spec) if f.name not in skip]
    shown = [(name, _shown(value)) for name, value in rows if value not in ("", (), None)]
    return shown + ([("predicts by itself", "yes")] if getattr(spec, "scores", None) else [])


def _shown(value: Any) -> Any:
    if callable(value):
        return "as its options say"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else value


def _options(kind: str, spec: Any) -> str:
    options = all_options(spec, kind) if isinstance(spec, Spec) else {}
    if not options:
        return ""
    rows = []
    for name, option in options.items():
        if name == "per_frame" and getattr(spec, "kind", "frames") != "frames":
            continue  # sound has no frames of its own
        choices = f" ({', '.join(map(str, option.choices))})" if option.choices else ""
        rows.append((name, option.kind.__name__, option.default, option.help + choices))
    return "\n\n" + tabulate(
        rows, ["option", "type", "default", "what it does"], tablefmt="simple", disable_numparse=True
    )


def check(flags: Mapping[str, Any], sets: Sequence[str], recipe: str | None = None) -> None:
    """Build a combination on the meta device and print its shapes and sizes."""
    from harness.config.schema import load_config
    from harness.runs.job import plan_of
    from harness.training.build import adapter_options, regularisation_options
    from harness.training.checks import check_training
    from zoo.model.augmenter import build_chains
    from zoo.model.lora import layers_of
    from zoo.model.shape_check import check as check_plan
    from zoo.registry.tracks import find_track, load_plugins

    config = load_config(recipe, flags, sets)
    registry = load_plugins(config.plugin)
    edition, track = find_track(registry, config.track, config.edition)
    plan = plan_of(config.model_copy(update={"augment": config.augment or (DEFAULT,)}), registry, track)
    build_chains(plan)
    found = check_plan(plan, adapter_options(config), regularisation_options(config))
    check_training(plan, config)
    rows = []
    for slot in plan.slots:
        state = f"frozen, {slot.passport.name if slot.passport else 'nothing to learn'}" if slot.frozen else "trained"
        if slot.lora is not None and slot.passport is not None:
            state = f"adapted, {slot.passport.name}"
        rows.append(
            (
                slot.name,
                slot.encoder.name,
                found["dims"][slot.name],
                f"{found['parameters'][f'encoder {slot.name}']:,}",
                state,
            )
        )
    print(tabulate(rows, ["slot", "encoder", "features", "parameters", "weights"], tablefmt="simple"))
    losses = ", ".join(f"{block.spec.name} ({kind})" for kind, block in plan.losses.items())
    print(
        f"\n{edition.name} {track.name}: {len(track.answers)} predictions, {found['raw']} raw outputs; losses: {losses}"
    )
    sizes = found["parameters"]
    who = f"fusion {plan.fusion.spec.name} with head {plan.head.spec.name}"
    print(f"{who}: {sizes['fusion and heads']:,} parameters; trained in all: {sizes['trained in all']:,}")
    for slot in plan.slots:
        if slot.lora is not None:
            print(f"adapters of {slot.name} ({slot.lora}): {layers_of(slot, slot.lora)}")
    for text in augmentation_texts(plan.augment):
        print(f"augmented in training: {text}")
    print("the parts fit together")
