"""Merge the adapters of a finished run into the encoder that they adapt, as a file of plain weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.runs.exposure import exposure_metadata
from harness.runs.finished import use_settings
from harness.runs.folder import one_run
from harness.runs.job import plan_of
from harness.runs.preparation import trained_model
from harness.training.build import adapter_options, regularisation_options
from harness.training.checkpoint import save_weights
from zoo.errors import UserError
from zoo.model.lora import encoder_of, merge
from zoo.model.model import module_key
from zoo.model.shape_check import check
from zoo.registry.tracks import find_track, load_plugins


def merge_run(folder: Path, target: Path, *, branch: str | None = None, plugins: Sequence[Path] = ()) -> str:
    """Write an adapted encoder of a run as plain weights, for ``encoder.BRANCH.weights=FILE``.

    The names are those in a run's own file, and the metadata still say on what the encoder was trained.

    Args:
        folder: The run.
        target: The .safetensors file to write.
        branch: The input branch; None if the run has adapters in one branch only.
        plugins: The plugin files that the run was made with.

    Returns:
        The branch.

    Raises:
        UserError: The run has no such adapters, or its weights, base or plugins are not the recorded ones.
    """
    if target.suffix != ".safetensors":
        raise UserError("adapters-merge-suffix", file=target)
    config, _ = use_settings(folder, one_run(folder), plugins)
    registry = load_plugins(config.plugin)
    _, track = find_track(registry, config.track, config.edition)
    plan = plan_of(config, registry, track)
    adapted = [slot.name for slot in plan.slots if slot.lora is not None]
    if (len(adapted) != 1 and branch is None) or branch not in (None, *adapted):
        raise UserError("adapters-merge-which", folder=folder, names=", ".join(adapted) or "none")
    slot, weights = branch or adapted[0], folder / "weights.safetensors"
    dims = check(plan, adapter_options(config), regularisation_options(config))["dims"]
    encoder = encoder_of(trained_model(plan, dims, track, config, weights), slot)
    merge(encoder)
    state = {f"encoders.{module_key(slot)}.{name}": tensor for name, tensor in encoder.state_dict().items()}
    save_weights(target, state, exposure_metadata(weights))
    return slot
