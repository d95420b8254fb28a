"""Weights of a model of transformers: the file's names are converted by transformers itself, and none may be missing.

transformers leaves a tensor random if the file lacks its name, and a wrong prefix makes it lack all of them. Nothing is
raised then. Here every tensor of the network must come from the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from plugins.encoders._hf_cards import KNOWN, UNKNOWN, Card
from plugins.encoders._hf_families import Family, configuration, family_of, layers_of, network_class, own_classes
from plugins.encoders._hf_files import CONFIG, built_from, commit_of, known_sha256, model_folder, weights_file
from zoo.api import ModelCard
from zoo.errors import UserError, first_line
from zoo.weights.loading import Adapted

TRIED = 8  # prefixes


def card(stream: str, argument: str | None, layer: str, pool: str, revision: str | None) -> ModelCard:
    """Return the model card of a model's weights. Raise UserError if its files are missing or for another stream."""
    folder = model_folder(argument, revision, stream)
    _, family = family_of(folder, stream)
    classes = own_classes(folder, family, layer, pool)
    file, commit = weights_file(folder), commit_of(folder)
    known = KNOWN.get(argument or "", Card(UNKNOWN))
    return ModelCard(
        name=str(argument) if commit else folder.resolve().name,
        sha256=known_sha256(file),
        license=known.license if commit else "as the folder's owner says",
        source=f"huggingface.co/{argument} at {commit}" if commit else "a local folder",
        path=str(file),
        saw=known.trained_on if commit else (),
        adapt=partial(adapt, folder, stream, layer == "learned", bool(classes)),
        classes=classes,
        citation=known.citation if commit else "",
        built_from=built_from(folder),
    )


def adapt(folder: Path, stream: str, learned: bool, scores: bool, state: Mapping[str, Tensor]) -> Adapted:
    """Rename a file's tensors to the encoder's names; the names' form, old or new, is transformers' own matter.

    Raises:
        UserError: Tensors of the network are missing, or have other shapes, whatever prefix is taken off.
    """
    kind, family = family_of(folder, stream)
    config = configuration(folder, kind, family)
    best: tuple[int, str, Any] | None = None
    for prefix in _prefixes(state, family.prefixes):
        part = {name[len(prefix) :]: tensor for name, tensor in state.items() if name.startswith(prefix)}
        net, lacking = _loaded(family, config, part)
        if not lacking:
            tensors = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
            if scores:
                tensors |= {name: state[name] for name in ("classifier.weight", "classifier.bias") if name in state}
            if learned:
                tensors["mix"] = next(iter(tensors.values())).new_zeros(layers_of(config))
            notes = [f"{prefix!r} taken off {len(part)} names"] if prefix else []
            notes.append(f"{len(tensors)} tensors for {family.network} out of {len(state)}")
            return Adapted(tensors, tuple(notes))
        if best is None or len(lacking) < best[0]:
            best = len(lacking), prefix, lacking
    assert best is not None
    count, prefix, lacking = best
    some = ", ".join(lacking[:3]) + (", ..." if count > 3 else "")
    raise UserError(
        f"the weights do not fit {folder / CONFIG}: {count} tensors of {family.network} are not in the file"
        f"{f' without {prefix!r}' if prefix else ''}, or have another shape ({some}); the file has "
        f"{', '.join(sorted(state)[:2])}, ...: get config.json and weights of one model"
    )


def _loaded(family: Family, config: Any, state: dict[str, Tensor]) -> tuple[Any, list[str]]:
    """Return the network with the tensors of ``state``, and the names of those that it lacks."""
    cls, given = network_class(family)
    try:
        net, info = cls.from_pretrained(
            None,
            config=config,
            state_dict=state,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are reported then
            **given,
        )
    except (RuntimeError, ValueError, KeyError) as error:
        return None, [first_line(error)]
    wrong = [str(key[0] if isinstance(key, tuple) else key) for key in info["mismatched_keys"]]
    return net, sorted({*info["missing_keys"], *wrong, *map(str, info.get("error_msgs", ()))})


def _prefixes(state: Mapping[str, Tensor], usual: tuple[str, ...]) -> Iterator[str]:
    """Yield the family's prefixes that the file has, none at all, and the other first words of the names."""
    words = Counter(name.partition(".")[0] + "." for name in state if "." in name)
    found = [prefix for prefix in usual if any(name.startswith(prefix) for name in state)]
    yield from dict.fromkeys([*found, "", *(word for word, _ in words.most_common(TRIED))])
