"""The weights that trained encoders begin with, and those that the adapters of a run belong to.

``weights.safetensors`` of a run with adapters holds these and everything else that was trained. The pretrained weights
under them are named in its metadata, key ``base``, by name and sha256 for each slot, and are loaded from their own
file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from zoo.errors import UserError
from zoo.model.lora import attach_all, encoder_of, layers_of
from zoo.model.model import Model
from zoo.registry.plan import Plan
from zoo.weights.loading import Loaded, load_pretrained
from zoo.weights.metadata import read_metadata


def load_starting_weights(model: Model, plan: Plan) -> dict[str, Loaded]:
    """Load the weights of the pretrained encoders that are trained, then add adapters; return the weights by slot."""
    loaded = {}
    for slot in plan.slots:
        if slot.frozen or slot.passport is None:
            continue
        found = load_pretrained(encoder_of(model, slot.name), slot.passport)
        if slot.lora is not None:
            found = replace(found, notes=(*found.notes, f"adapters on {layers_of(slot, slot.lora)}"))
        loaded[slot.name] = found
    attach_all(model, plan)
    return loaded


def load_base(model: Model, plan: Plan, weights: Path) -> None:
    """Load the weights that the adapters of a finished run belong to, and add adapters.

    Raises:
        UserError: They are not those that the run's file names.
    """
    named = base_of(weights) if model.adapted else {}
    for slot in plan.slots:
        if slot.lora is None or slot.passport is None:
            continue
        found = load_pretrained(encoder_of(model, slot.name), slot.passport)
        known = named.get(slot.name, {"name": "unnamed weights", "sha256": ""})
        if found.sha256 != known["sha256"]:
            raise UserError(
                "adapters-other-base",
                file=weights,
                slot=slot.name,
                name=known["name"],
                wanted=known["sha256"][:12] or "unknown",
                base=found.path,
                got=found.sha256[:12],
            )
    attach_all(model, plan)


def base_metadata(model: Model, loaded: Mapping[str, Loaded]) -> dict[str, str]:
    """Return the metadata that names the weights under the adapters of a model; {} if it has none."""
    named = {slot: {"name": loaded[slot].card.name, "sha256": loaded[slot].sha256} for slot in model.adapted}
    return {"base": json.dumps(named)} if named else {}


def base_of(path: Path) -> dict[str, dict[str, str]]:
    """Return slot -> name and sha256 of the weights under the adapters in a file; {} if it names none."""
    try:
        said = json.loads(read_metadata(path).get("base", "{}"))
        return {slot: {"name": str(one["name"]), "sha256": str(one["sha256"])} for slot, one in said.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
